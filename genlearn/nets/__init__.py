"""Networks without a probability of their own."""

from genlearn.nets.codebook import Codebook, Quantised, perplexity
from genlearn.nets.conv import ConvDecoder, conv_encoder, conv_features, image_sizes
from genlearn.nets.mlp import mlp
from genlearn.nets.resnet import ResidualBlock

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
]
