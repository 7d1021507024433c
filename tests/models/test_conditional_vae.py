"""A conditional VAE against the same by hand, and against its own VAE of one class."""

import copy

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax
from torch import Tensor

from genlearn.distributions import LogisticPixels
from genlearn.models import ConditionalVAE

SHAPE, LABELS = (1, 3, 2), torch.tensor([2, 0, 3, 2])


def images(levels: int, count: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(levels, (count, *SHAPE), generator=generator, dtype=torch.uint8)


def model_of(levels: int, **options) -> ConditionalVAE:
    torch.manual_seed(0)
    model = ConditionalVAE.mlp(SHAPE, levels, 4, latent_dim=3, hidden=(5,), **options)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5)
    return model


def test_bound_equals_that_computed_by_hand():
    """In float64 from the weights alone: one-hot labels behind image and code."""
    model, x = model_of(17), images(17)
    noise = torch.randn(4, 3, generator=torch.Generator().manual_seed(2))

    def net(module, h):
        w1, b1, w2, b2 = (p.detach().double().numpy() for p in module.parameters())
        h = h @ w1.T + b1
        return (h * expit(h)) @ w2.T + b2

    hot = np.eye(4)[LABELS]
    scaled = 2 * x.double().numpy().reshape(4, -1) / 16 - 1
    encoded = net(model.vae.encoder, np.hstack([scaled, hot]))
    mean, log_std = encoded[:, :3], encoded[:, 3:]
    z = mean + np.exp(log_std) * noise.double().numpy()
    logits = net(model.vae.decoder, np.hstack([z, hot])).reshape(4, *SHAPE, 17)
    chosen = np.take_along_axis(log_softmax(logits, -1), x.numpy()[..., None].astype(int), -1)
    rate = (mean**2 + np.exp(2 * log_std) - 1 - 2 * log_std).sum(1) / 2
    expected = chosen.reshape(4, -1).sum(1) - rate
    np.testing.assert_allclose(model.elbo(x, LABELS, noise).detach(), expected, rtol=1e-5)
    np.testing.assert_allclose(model.terms(x, LABELS, noise).rate.detach(), rate, rtol=1e-4)


def test_several_codes_an_image_keep_its_label():
    model, x, noise = model_of(2), images(2), torch.randn(5, 4, 3)
    ours = model.log_weights(x, LABELS, 5, noise)
    for i in range(4):
        one = model.log_weights(x[i : i + 1], LABELS[i : i + 1], 5, noise[:, i : i + 1])
        torch.testing.assert_close(ours[:, i : i + 1], one)
    expected = ours.logsumexp(0) - np.log(5)
    torch.testing.assert_close(model.iwae(x, LABELS, 5, noise), expected)


def test_the_label_matters_to_encoder_and_decoder():
    model, x, z = model_of(2), images(2), torch.zeros(4, 3)
    other = (LABELS + 1) % 4
    q, r = model.given(LABELS).posterior(x), model.given(other).posterior(x)
    assert (q.mean - r.mean).abs().max() > 0.01
    assert (model.mean_image(z, LABELS) - model.mean_image(z, other)).abs().max() > 0.01


def test_samples_are_those_of_the_class_that_was_asked_for():
    """A decoder without hidden layers that ignores z: pixel frequencies by class are known."""
    torch.manual_seed(0)
    model = ConditionalVAE.mlp(SHAPE, 2, 4, latent_dim=3, hidden=())
    with torch.no_grad():
        model.vae.decoder[0][0].weight[:, :3].zero_()
    labels = torch.arange(4).repeat_interleave(5000)
    samples = model.sample(labels)
    assert samples.dtype == torch.uint8
    share = samples.float().view(4, 5000, *SHAPE).mean(1)
    layer = model.vae.decoder[0][0]
    expected = (layer.weight[:, 3:].T + layer.bias).sigmoid().view(4, *SHAPE)
    assert (share - expected).abs().max() < 5 * 0.5 / 5000**0.5
    assert (expected[0] - expected[1]).abs().max() > 0.05


def test_training_reaches_the_weights_and_nothing_else():
    model, x = model_of(2), images(2)
    model.elbo(x, LABELS).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    assert set(model.state_dict()) == {f"vae.{name}" for name in model.vae.state_dict()}
    other = ConditionalVAE.mlp(SHAPE, 2, 4, latent_dim=3, hidden=(5,))
    other.load_state_dict(copy.deepcopy(model.state_dict()))
    noise = torch.ones(4, 3)
    assert torch.equal(other.elbo(x, LABELS, noise), model.elbo(x, LABELS, noise))


def test_training_begins_with_codes_that_say_nothing():
    model = ConditionalVAE.mlp(SHAPE, 17, 4, pixel_features=2, likelihood=LogisticPixels(17))
    terms = model.terms(images(17), LABELS)
    assert terms.rate.tolist() == [0] * 4
    assert model.levels == 17


def test_wrong_labels_and_images_are_refused():
    model, x = model_of(2), images(2)
    with pytest.raises(ValueError, match=r"labels must be 0 … 3, got \[0, 4, 1, 2\]"):
        model.elbo(x, torch.tensor([0, 4, 1, 2]))
    with pytest.raises(ValueError, match="4 rows cannot share 3 labels evenly"):
        model.elbo(x, LABELS[:3])
    with pytest.raises(TypeError, match="do not scale them"):
        model.elbo(x.float(), LABELS)
