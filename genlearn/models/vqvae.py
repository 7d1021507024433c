"""The vector-quantised variational autoencoder: codes that are integers on a grid.

Source: van den Oord et al. (2017), Neural Discrete Representation Learning, arXiv 1711.00937.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from genlearn.distributions import PixelLikelihood, likelihood_for, scaled_images
from genlearn.models.code_prior import CodePrior
from genlearn.nets import Codebook, ConvDecoder, conv_features, image_sizes


class CodeTerms(NamedTuple):
    """What a VQ-VAE is trained on, by image, of shape (N,)."""

    reconstruction: Tensor
    """log p(x | codes), nats; goes up."""
    commitment: Tensor
    """Squared distance from the encoder's vectors to their codewords, summed over the grid; goes
    down. Its gradient is the encoder's alone."""
    codes: Tensor
    """int64, (N, h, w)."""


class VQVAE(nn.Module):
    """p(x, c) = p(c) p(x | c), where c is a grid of codes and the encoder is a function of x.

    The decoder's part, p(x | c), is trained here. p(c) is fitted afterwards, to the codes of the
    training images; it is handed to :meth:`elbo` and :meth:`sample`.

    Args:
        encoder: maps images scaled to [-1, 1], (N, C, H, W), to vectors (N, D, h, w).
        decoder: maps codewords (N, D, h, w) to (N, C, H, W, P), the parameters of each pixel.
        codebook: K words in D dimensions.
        likelihood: says what these P numbers mean, and over how many levels.
        shape: (C, H, W) of one image.
        grid: (h, w).
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        codebook: Codebook,
        likelihood: PixelLikelihood,
        shape: tuple[int, int, int],
        grid: tuple[int, int],
    ) -> None:
        super().__init__()
        self.encoder, self.decoder, self.codebook = encoder, decoder, codebook
        self.pixels, self.shape, self.grid = likelihood, shape, grid

    @classmethod
    def conv(
        cls,
        shape: tuple[int, int, int],
        levels: int,
        *,
        codes: int = 128,
        code_dim: int = 16,
        channels: Sequence[int] = (16, 32, 64),
        blocks: int = 1,
        dropout: float = 0.0,
        decay: float = 0.99,
        restart: float = 0.1,
        likelihood: PixelLikelihood | None = None,
    ) -> "VQVAE":
        """Build a VQ-VAE from two convolutional networks that mirror each other.

        Args:
            shape, levels: of the images, of any size and number of channels.
            codes: K.
            code_dim: D, the length of a codeword.
            channels: of the feature maps, from full size down, each half as high and wide as the
                one before: three of them turn 28 x 28 pixels into 7 x 7 codes.
            blocks: residual blocks at each size.
            dropout: share of hidden values set to zero while training.
            decay, restart: of the :class:`genlearn.nets.Codebook`.
            likelihood: of the pixels; by default :func:`genlearn.distributions.likelihood_for`.
        """
        likelihood = likelihood or likelihood_for(levels)
        options = {"blocks": blocks, "dropout": dropout}
        encoder = conv_features(shape, channels, **options)
        encoder.append(nn.Conv2d(channels[-1], code_dim, 1))
        count = likelihood.parameters_per_value
        decoder = ConvDecoder(code_dim, shape, channels, count, grid=True, **options)
        codebook = Codebook(codes, code_dim, decay=decay, restart=restart)
        grid = image_sizes(*shape[1:], len(channels))[-1]
        return cls(encoder, decoder, codebook, likelihood, shape, grid)

    @property
    def levels(self) -> int:
        """Number of levels over which the likelihood is a mass."""
        return self.pixels.levels

    def encode(self, x: Tensor) -> Tensor:
        """Return the codes of images of levels, (N, C, H, W): int64, (N, h, w); eq-sharp-vq."""
        return self.codebook.nearest(self._vectors(x))

    def likelihood(self, codes: Tensor) -> Distribution:
        """p(x | c) for codes (N, h, w): batch shape (N,), event shape (C, H, W)."""
        return self.pixels.distribution(self._decode(self.codebook.words[codes]))

    def terms(self, x: Tensor) -> CodeTerms:
        """Return what the loss is made of; eq-sharp-vq-loss.

        In training mode the codebook takes note of what it sees: each update of the weights is to
        be followed by one :meth:`after_step`.

        Args:
            x: images, uint8 levels, (N, C, H, W).
        """
        quantised = self.codebook(self._vectors(x))
        likelihood = self.pixels.distribution(self._decode(quantised.vectors))
        commitment = quantised.distance.flatten(1).sum(1)
        return CodeTerms(likelihood.log_prob(x.float()), commitment, quantised.codes)

    def after_step(self) -> None:
        """Move the codewords; for :class:`genlearn.training.Objective`."""
        self.codebook.update()

    def elbo(self, x: Tensor, prior: CodePrior) -> Tensor:
        """Lower bound on log p(x), nats per image, shape (N,); eq-sharp-vq-bound.

        log p(c) + log p(x | c) at the code c of the image. It is one term of the sum over all codes
        that p(x) is, so it never lies above log p(x): no expectation is needed. It is the bound
        eq-vae-elbo for a q(c | x) that is certain of its code, and compares with that of a VAE.
        """
        codes = self.encode(x)
        return prior.log_prob(codes) + self.likelihood(codes).log_prob(x.float())

    @torch.no_grad()
    def sample(self, n: int, prior: CodePrior) -> Tensor:
        """Draw n images: c from the prior, x from p(x | c). uint8, (n, C, H, W)."""
        return self.likelihood(prior.sample(n)).sample().to(torch.uint8)

    @torch.no_grad()
    def mean_image(self, codes: Tensor) -> Tensor:
        """Expected level of each pixel given the codes (N, h, w), float, (N, C, H, W)."""
        return self.pixels.mean(self._decode(self.codebook.words[codes]))

    def _vectors(self, x: Tensor) -> Tensor:
        """Turn images into the vectors before quantisation, (N, h, w, D)."""
        scaled = scaled_images(x, self.shape, self.levels)
        return self.encoder(scaled).float().movedim(1, -1)

    def _decode(self, words: Tensor) -> Tensor:
        """Turn codewords (N, h, w, D) into the parameters of each pixel."""
        return self.decoder(words.movedim(-1, 1))
