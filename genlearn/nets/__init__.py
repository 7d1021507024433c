"""Networks without a probability of their own."""

from genlearn.nets.attention import CausalAttention, TransformerBlock
from genlearn.nets.batch_norm import has_batch_norm, restate_batch_norm
from genlearn.nets.codebook import Codebook, Quantised, perplexity
from genlearn.nets.conv import ConvDecoder, conv_encoder, conv_features, image_sizes
from genlearn.nets.dcgan import Normalisation, dcgan_discriminator, dcgan_generator
from genlearn.nets.diagonal_bilstm import DiagonalBiLSTM
from genlearn.nets.gan_resnet import resnet_discriminator, resnet_generator
from genlearn.nets.gated_pixelcnn import GatedPixelCNN
from genlearn.nets.gradient_normalised import GradientNormalised
from genlearn.nets.image_transformer import ImageTransformer
from genlearn.nets.labelled import ConcatenatedLabel, ProjectedLabel
from genlearn.nets.masked import CachedHead, Head, MaskedConv2d, causal_mask, channel_mask
from genlearn.nets.mlp import mlp
from genlearn.nets.pixel_lstm import Cell, PixelLSTM, PixelLSTMCache, gru_step, lstm_step
from genlearn.nets.pixel_network import PixelCache, PixelNetwork, PixelSizes
from genlearn.nets.pixelcnn import PixelCNN
from genlearn.nets.pixelcnn_pp import PixelCNNpp
from genlearn.nets.resnet import ResidualBlock
from genlearn.nets.row_lstm import RowLSTM
from genlearn.nets.spectral import spectrally_normalised
from genlearn.nets.zero import start_at_zero

__all__ = [
    "CachedHead",
    "CausalAttention",
    "Cell",
    "Codebook",
    "ConcatenatedLabel",
    "ConvDecoder",
    "DiagonalBiLSTM",
    "GatedPixelCNN",
    "GradientNormalised",
    "Head",
    "ImageTransformer",
    "MaskedConv2d",
    "Normalisation",
    "PixelCNN",
    "PixelCNNpp",
    "PixelCache",
    "PixelLSTM",
    "PixelLSTMCache",
    "PixelNetwork",
    "PixelSizes",
    "ProjectedLabel",
    "Quantised",
    "ResidualBlock",
    "RowLSTM",
    "TransformerBlock",
    "causal_mask",
    "channel_mask",
    "conv_encoder",
    "conv_features",
    "dcgan_discriminator",
    "dcgan_generator",
    "gru_step",
    "has_batch_norm",
    "image_sizes",
    "lstm_step",
    "mlp",
    "perplexity",
    "resnet_discriminator",
    "resnet_generator",
    "restate_batch_norm",
    "spectrally_normalised",
    "start_at_zero",
]
