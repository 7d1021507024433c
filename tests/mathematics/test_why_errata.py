"""Errata of chapter 01: what a source says fails, and what is right holds, on the same case."""

import itertools
import math
from pathlib import Path

import pytest
import torch

from genlearn import data

ROOT = Path(__file__).resolve().parents[2]


def losses_after_a_step(parameters, mine, of_both):
    """Take a small step of one player down its own loss; return how each loss changed."""
    before = [loss().item() for loss in of_both]
    gradients = torch.autograd.grad(mine(), parameters)
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter -= 1e-2 * gradient / gradient.norm()
    return [loss().item() - b for loss, b in zip(of_both, before, strict=True)]


@pytest.mark.erratum("E4")
def test_what_helps_one_network_of_a_vae_helps_the_other(random_vae):
    vae = random_vae((1, 2, 2), 3, latent_dim=2, hidden=(8,))
    x, noise = torch.randint(0, 3, (64, 1, 2, 2), dtype=torch.uint8), torch.randn(64, 2)

    def loss():
        return -vae.elbo(x, noise).mean()

    assert {name for name, _ in vae.named_children()} == {"encoder", "decoder"}
    for network in (vae.encoder, vae.decoder):
        changes = losses_after_a_step(list(network.parameters()), loss, [loss, loss])
        assert changes[0] == changes[1] < 0


@pytest.mark.erratum("E4")
def test_what_helps_one_player_of_an_adversarial_game_harms_the_other():
    """The smallest such game: real points at 0, made ones at theta, one weight to judge them."""
    theta, weight = (torch.tensor([v], requires_grad=True) for v in (1.0, -0.5))

    def discriminator_loss():
        return torch.nn.functional.softplus(weight * theta).sum() + math.log(2)

    def generator_loss():
        return torch.nn.functional.softplus(-weight * theta).sum()

    both = [generator_loss, discriminator_loss]
    for player, loss in zip((theta, weight), both, strict=True):
        changes = losses_after_a_step([player], loss, both)
        assert min(changes) < 0 < max(changes)


@pytest.mark.erratum("E23")
def test_a_classifier_fixes_no_images_and_images_fix_no_classifier():
    torch.manual_seed(0)
    kinds, others = torch.rand(2, 6, 3).double().softmax(2)  # p(y | x) for six images
    common, rare = torch.rand(2, 6).double().softmax(1)  # p(x)

    def classifier(joint):
        return joint / joint.sum(1, keepdim=True)

    one, two = common[:, None] * kinds, rare[:, None] * kinds
    torch.testing.assert_close(classifier(one), classifier(two))
    assert not torch.allclose(one.sum(1), two.sum(1))
    three = common[:, None] * others
    torch.testing.assert_close(one.sum(1), three.sum(1))
    assert not torch.allclose(classifier(one), classifier(three))


@pytest.mark.erratum("E23")
def test_who_can_read_digits_need_not_know_what_a_digit_is():
    """A good classifier gives noise a label as calmly as a digit; it has nothing to draw from."""
    digits = data.load("digits")
    train = digits.train.images.flatten(1).float()

    def read(images):
        return digits.train.labels[torch.cdist(images.flatten(1).float(), train).argmin(1)]

    assert (read(digits.test.images) == digits.test.labels).float().mean() > 0.9
    noise = torch.randint(0, 17, (50, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    assert set(read(noise).tolist()) <= set(range(10))


@pytest.mark.erratum("E29")
def test_any_order_of_the_pixels_gives_the_same_probability():
    """All sixteen black and white images of 2x2 pixels, in each of the 24 orders."""
    torch.manual_seed(0)
    p = torch.rand(2, 2, 2, 2).double()
    p /= p.sum()
    for order in itertools.permutations(range(4)):
        for image in itertools.product(range(2), repeat=4):
            known, product = [slice(None)] * 4, torch.tensor(1.0).double()
            for pixel in order:
                before = p[tuple(known)].sum()
                known[pixel] = slice(image[pixel], image[pixel] + 1)
                product = product * p[tuple(known)].sum() / before
            torch.testing.assert_close(product, p[image])


@pytest.mark.erratum("E31")
def test_which_model_is_best_depends_on_the_measure():
    """One model has lost half of the modes, the other blurs all eight."""
    truth, lost, blurred = data.Gaussians(), data.Gaussians(modes=4), data.Gaussians(std=0.3)
    generator = torch.Generator().manual_seed(0)
    x = truth.sample(10_000, generator)
    assert blurred.log_prob(x).mean() > lost.log_prob(x).mean() + 1

    def share_in_place(model):
        distance = torch.cdist(model.sample(10_000, generator), truth.means).min(1).values
        return (distance < 2.45 * truth.std).float().mean()

    assert share_in_place(lost) > share_in_place(blurred) + 0.1


@pytest.mark.erratum("E31")
def test_what_the_book_says_instead_has_a_year_a_measure_and_a_source():
    entries = (ROOT / "book" / "references.bib").read_text("utf-8").split("\n@")
    source = next(entry for entry in entries if "{dhariwal2021," in entry)
    assert "Diffusion Models Beat {GANs}" in source
    assert "{2021}" in source
    record = (ROOT / "book" / "errata.yml").read_text("utf-8").partition("\nE31:")[2]
    assert "Fréchet distance" in record
    assert "2021" in record
