"""Networks without a probability of their own."""

from genlearn.nets.codebook import Codebook, Quantised, perplexity
from genlearn.nets.conv import ConvDecoder, conv_encoder, conv_features, image_sizes
from genlearn.nets.mlp import mlp
from genlearn.nets.resnet import ResidualBlock
from genlearn.nets.zero import start_at_zero

__all__ = [
    "Codebook",
    "ConvDecoder",
    "Quantised",
    "ResidualBlock",
    "conv_encoder",
    "conv_features",
    "image_sizes",
    "mlp",
    "perplexity",
    "start_at_zero",
]
