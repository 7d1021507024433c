"""Networks may compute in bfloat16; what is measured of them is float32."""

import pytest
import torch
from torch import Tensor, nn

from genlearn.distributions import CategoricalCodes, LogisticPixels
from genlearn.losses import interpolates, unit_gradient_penalty, zero_centred_penalty
from genlearn.models import GAN, gated_pixel_cnn
from genlearn.training import Step

SHAPE = (1, 6, 6)


def in_bf16() -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16)


def random_levels(levels: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    dtype = torch.uint8 if levels <= 256 else torch.int64
    return torch.randint(levels, (16, *SHAPE), generator=generator, dtype=dtype)


@pytest.mark.parametrize(
    "likelihood", [LogisticPixels(256), CategoricalCodes(600)], ids=["logistic", "codes"]
)
def test_a_pixel_model_scores_the_levels_themselves_not_their_rounding(likelihood):
    """In bfloat16, 200.5 and 511 are no numbers; 511 would be 512, a code of its own."""
    torch.manual_seed(0)
    model = gated_pixel_cnn(SHAPE, likelihood.levels, likelihood=likelihood, features=8, layers=1)
    x = random_levels(likelihood.levels)
    with in_bf16(), torch.no_grad():
        parameters, log_prob = model.parameters_of(x), model.log_prob(x)
    assert parameters.dtype == torch.bfloat16
    expected = likelihood.distribution(parameters.float()).log_prob(x.float())
    assert torch.equal(log_prob, expected)


def new_gan(**options) -> GAN:
    torch.manual_seed(0)
    return GAN.dcgan(SHAPE, 256, latent_dim=4, channels=(8, 16), init_std=None, **options)


def test_all_values_of_both_players_are_float32():
    gan, step = new_gan(), Step(0, (random_levels(256),), torch.default_generator)
    with in_bf16():
        assert gan.generator(gan.noise(2)).dtype == torch.bfloat16
        values = gan.discriminator_loss(step) | {"generator": gan.generator_loss(step)["loss"]}
    assert {value.dtype for value in values.values()} == {torch.float32}


PENALTIES = {
    "R1": lambda critic, real, fake: zero_centred_penalty(critic, real),
    "R2": lambda critic, real, fake: zero_centred_penalty(critic, fake),
    "gp": lambda critic, real, fake: unit_gradient_penalty(
        critic, interpolates(real, fake, torch.linspace(0, 1, len(real)))
    ),
}


@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalty_and_its_gradient_are_close_to_those_in_float32(name):
    """The gradient of a gradient, both of them taken under autocast."""
    gan = new_gan(normalise=("batch", "none"))
    step = Step(0, (random_levels(256),), torch.default_generator)
    seen = []

    def penalty(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        seen.append(fake.dtype)
        return 10 * PENALTIES[name](critic, real, fake)

    def gradient(block: torch.autocast) -> tuple[Tensor, Tensor]:
        torch.manual_seed(1)
        with block:
            terms = gan.discriminator_loss(step, penalty)
        grads = torch.autograd.grad(
            terms["penalty"], gan.discriminator.parameters(), allow_unused=True
        )
        return terms["penalty"], torch.cat([g.flatten() for g in grads if g is not None])

    (value, slope), (exact, right) = (
        gradient(in_bf16()),
        gradient(torch.autocast("cpu", enabled=False)),
    )
    assert seen == [torch.float32] * 2
    assert value.dtype == slope.dtype == torch.float32
    torch.testing.assert_close(value, exact, rtol=0.03, atol=0)
    assert (slope - right).norm() < 0.05 * right.norm()
    assert not torch.equal(slope, right)


def test_batch_norm_counts_in_float32():
    layer = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    with in_bf16():
        output = layer(torch.randn(8, 3, generator=torch.Generator().manual_seed(0)))
    assert {b.dtype for b in layer[1].buffers() if b.is_floating_point()} == {torch.float32}
    assert output.dtype == torch.bfloat16
