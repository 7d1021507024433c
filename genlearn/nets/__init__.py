"""Networks without a probability of their own."""

from genlearn.nets.batch_norm import has_batch_norm, restate_batch_norm
from genlearn.nets.codebook import Codebook, Quantised, perplexity
from genlearn.nets.conv import ConvDecoder, conv_encoder, conv_features, image_sizes
from genlearn.nets.gradient_normalised import GradientNormalised
from genlearn.nets.mlp import mlp
from genlearn.nets.resnet import ResidualBlock
from genlearn.nets.zero import start_at_zero

__all__ = [
    "Codebook",
    "ConvDecoder",
    "GradientNormalised",
    "Quantised",
    "ResidualBlock",
    "conv_encoder",
    "conv_features",
    "has_batch_norm",
    "image_sizes",
    "mlp",
    "perplexity",
    "restate_batch_norm",
    "start_at_zero",
]
