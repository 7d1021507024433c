"""Losses of a GAN's players by hand; their equations are tested in mathematics."""

import math

import pytest
import torch

from genlearn import losses
from genlearn.losses import ADVERSARIAL_LOSSES

REAL, FAKE = torch.tensor([0.5, 3.0]), torch.tensor([-2.0, 0.25, 1.5])


def mean(values):
    return sum(values) / len(values)


def sigmoid(t):
    return 1 / (1 + math.exp(-t))


BY_HAND = {
    "saturating": lambda t: math.log(1 - sigmoid(t)),
    "non-saturating": lambda t: -math.log(sigmoid(t)),
    "least-squares": lambda t: (t - 1) ** 2 / 2,
    "hinge": lambda t: -t,
    "wasserstein": lambda t: -t,
}
CROSS_ENTROPY = (lambda t: -math.log(sigmoid(t)), lambda t: -math.log(1 - sigmoid(t)))
BY_HAND_PAIRS = {
    "saturating": CROSS_ENTROPY,
    "non-saturating": CROSS_ENTROPY,
    "least-squares": (lambda t: (t - 1) ** 2 / 2, lambda t: t**2 / 2),
    "hinge": (lambda t: max(0, 1 - t), lambda t: max(0, 1 + t)),
    "wasserstein": (lambda t: -t, lambda t: t),
}


@pytest.mark.parametrize("name", ADVERSARIAL_LOSSES)
def test_each_player_has_the_loss_written_out(name):
    of_real, of_fake = BY_HAND_PAIRS[name]
    expected = mean([of_real(t) for t in REAL.tolist()]) + mean([of_fake(t) for t in FAKE.tolist()])
    assert ADVERSARIAL_LOSSES[name].discriminator(REAL, FAKE).item() == pytest.approx(expected)
    expected = mean([BY_HAND[name](t) for t in FAKE.tolist()])
    assert ADVERSARIAL_LOSSES[name].generator(FAKE).item() == pytest.approx(expected)


@pytest.mark.parametrize("name", ADVERSARIAL_LOSSES)
def test_large_outputs_in_low_precision_give_finite_losses_in_full_precision(name):
    huge = torch.tensor([-3e4, 3e4], dtype=torch.bfloat16)
    for loss in (
        ADVERSARIAL_LOSSES[name].discriminator(huge, huge),
        ADVERSARIAL_LOSSES[name].generator(huge),
    ):
        assert loss.isfinite()
        assert loss.dtype == torch.float32


def test_smoothing_moves_the_target_of_real_data_alone():
    smooth = losses.cross_entropy_discriminator_loss(REAL, FAKE, smoothing=0.1)
    plain = losses.cross_entropy_discriminator_loss(REAL, FAKE)
    # -0.9 log D - 0.1 log(1 - D) instead of -log D: a tenth of the logit more
    assert (smooth - plain).item() == pytest.approx(0.1 * REAL.mean().item(), abs=1e-6)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_smoothing_beyond_all_labels_is_refused(smoothing):
    with pytest.raises(ValueError, match="smoothing must be at least 0 and below 1"):
        losses.cross_entropy_discriminator_loss(REAL, FAKE, smoothing)
