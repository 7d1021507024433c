"""Networks without a probability of their own."""

from genlearn.nets.conv import ConvDecoder, conv_encoder
from genlearn.nets.mlp import mlp
from genlearn.nets.resnet import ResidualBlock

__all__ = ["ConvDecoder", "ResidualBlock", "conv_encoder", "mlp"]
