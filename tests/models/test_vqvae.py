"""A VQ-VAE against the same by hand, and against the sum over all its codes."""

import copy
import itertools

import pytest
import torch
from torch import Tensor, nn

from genlearn.data import Batches, Split
from genlearn.distributions import BernoulliPixels, CategoricalPixels, LogisticPixels
from genlearn.models import VQVAE, IndependentPrior
from genlearn.nets import Codebook, perplexity
from genlearn.training import Objective, fit

SHAPE = (1, 2, 4)


def images(levels: int = 2, count: int = 6, shape: tuple[int, int, int] = SHAPE) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(levels, (count, *shape), generator=generator, dtype=torch.uint8)


def vqvae(levels: int = 2, shape: tuple[int, int, int] = SHAPE, **options) -> VQVAE:
    """A small model with all weights at random: 1 x 2 codes of 3 words for the usual shape."""
    torch.manual_seed(0)
    small = {"codes": 3, "code_dim": 2, "channels": (3, 4), "restart": 0.0}
    model = VQVAE.conv(shape, levels, **{**small, **options})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5)
    return model


def fitted(model: VQVAE) -> IndependentPrior:
    return IndependentPrior.fit(model.encode(images(model.levels, 50)), len(model.codebook))


# --- the bound ---------------------------------------------------------------


def test_the_bound_is_one_term_of_the_sum_that_is_the_likelihood():
    """All 9 grids of codes, all 256 images: p(x) sums to one, and no bound lies above log p(x)."""
    model = vqvae().eval()
    prior = fitted(model)
    every = torch.tensor(list(itertools.product(range(2), repeat=8)), dtype=torch.uint8)
    every = every.view(-1, *SHAPE)
    grids = torch.tensor(list(itertools.product(range(3), repeat=2))).view(-1, 1, 2)
    with torch.no_grad():
        joint = torch.stack(
            [
                prior.log_prob(grid[None]) + model.likelihood(grid[None]).log_prob(every.float())
                for grid in grids
            ]
        ).double()
        bound, codes = model.elbo(every, prior).double(), model.encode(every)
    exact = joint.logsumexp(0)
    assert abs(exact.exp().sum().item() - 1) < 1e-5
    assert (bound <= exact).all()
    index = codes[:, 0, 0] * 3 + codes[:, 0, 1]
    torch.testing.assert_close(bound, joint.gather(0, index[None])[0], rtol=1e-5, atol=1e-5)


# --- the loss ----------------------------------------------------------------


@pytest.mark.parametrize("levels", [2, 17])
def test_terms_equal_those_written_out(levels):
    model, x = vqvae(levels), images(levels)
    terms = model.terms(x)
    vectors = model.encoder(2 * x.float() / (levels - 1) - 1)  # (N, D, h, w)
    words = model.codebook.words[terms.codes].movedim(-1, 1)
    everything = model.codebook.words[:, :, None, None]
    nearest = (vectors.unsqueeze(1) - everything).square().sum(2).argmin(1)
    assert torch.equal(terms.codes, nearest)
    assert torch.equal(model.encode(x), nearest)
    logits = model.decoder(words)
    if levels == 2:
        logits = torch.cat([torch.zeros_like(logits), logits], -1)
    chosen = logits.log_softmax(-1).gather(-1, x.long().unsqueeze(-1))
    torch.testing.assert_close(terms.reconstruction, chosen.flatten(1).sum(1))
    torch.testing.assert_close(terms.commitment, (vectors - words).square().flatten(1).sum(1))


def test_the_encoder_gets_the_gradient_that_the_decoder_has_at_the_codewords():
    model, x = vqvae(17), images(17)
    weight = model.encoder[-1].weight
    loss = model.terms(x).reconstruction.sum()
    (ours,) = torch.autograd.grad(loss, weight, materialize_grads=True)
    words = model.codebook.words[model.encode(x)].movedim(-1, 1).requires_grad_()
    log_prob = CategoricalPixels(17).distribution(model.decoder(words)).log_prob(x.float())
    (upstream,) = torch.autograd.grad(log_prob.sum(), words)
    vectors = model.encoder(2 * x.float() / 16 - 1)
    (expected,) = torch.autograd.grad(vectors, weight, upstream)
    torch.testing.assert_close(ours, expected)
    assert ours.abs().max() > 0


def test_commitment_moves_the_encoder_alone():
    model, x = vqvae(), images()
    model.terms(x).commitment.sum().backward()
    assert all(parameter.grad is None for parameter in model.decoder.parameters())
    before = model.terms(x).commitment.sum().item()
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter -= 1e-4 * parameter.grad
    assert model.terms(x).commitment.sum().item() < before


# --- training ----------------------------------------------------------------


def train(model: VQVAE, size: int, accumulate: int, steps: int = 1) -> None:
    split = Split(images(2, 64), None, 2)
    sgd = torch.optim.SGD(model.parameters(), lr=1e-3)

    def loss(step):
        terms = model.terms(step.batch[0])
        return terms.commitment.mean() - terms.reconstruction.mean()

    objective = Objective("vq", loss, sgd, after_step=model.after_step)
    fit(
        {"vq": model}, [objective], Batches(split, size), steps, accumulate=accumulate, device="cpu"
    )


def test_accumulating_two_batches_is_training_on_both_at_once():
    """Weights and codebook: the codebook moves once an update, not once a batch."""
    halves, wholes = vqvae(), vqvae()
    train(halves, 8, accumulate=2, steps=3)
    train(wholes, 16, accumulate=1, steps=3)
    for name, value in halves.state_dict().items():
        if not name.endswith("spare"):
            torch.testing.assert_close(value, wholes.state_dict()[name])
    assert not torch.equal(halves.codebook.words, vqvae().codebook.words)


def test_training_uses_the_codebook_and_lowers_the_loss():
    model = vqvae(codes=8, restart=0.1)
    x, prior = images(2, 64), IndependentPrior((1, 2), 8)
    before = model.elbo(x, prior).mean().item()
    train(model, 32, accumulate=1, steps=100)
    assert model.elbo(x, prior).mean().item() > before
    assert perplexity(model.encode(x), 8) > 3


# --- sampling ----------------------------------------------------------------


class Certain(nn.Module):
    """A decoder whose pixels are the codes: the word for code c is (c, 0)."""

    def forward(self, words):
        return 1e4 * nn.functional.one_hot(words[:, :1].long(), 3).float()


def test_samples_take_their_codes_from_the_prior_and_pixels_from_the_decoder():
    book = Codebook(3, 2)
    book.words.copy_(torch.tensor([[0.0, 0], [1, 0], [2, 0]]))
    model = VQVAE(nn.Identity(), Certain(), book, CategoricalPixels(3), (1, 2, 2), (2, 2))
    codes = torch.tensor([[[0, 1], [2, 2]], [[1, 1], [2, 0]]])
    prior = IndependentPrior.fit(codes, 3, smoothing=0.0)
    torch.manual_seed(0)
    samples = model.sample(4000, prior)
    assert samples.dtype == torch.uint8
    assert samples.shape == (4000, 1, 2, 2)
    share = torch.stack([(samples[:, 0] == code).float().mean(0) for code in range(3)], -1)
    assert (share - prior.probabilities).abs().max() < 5 * 0.5 / 4000**0.5
    assert torch.equal(model.mean_image(codes)[:, 0], codes.float())


# --- the rest ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "channels", "grid"),
    [
        ((1, 28, 28), (2, 3, 4), (7, 7)),
        ((1, 8, 8), (2, 3), (4, 4)),
        ((3, 25, 13), (2, 3, 4), (7, 4)),
        ((1, 5, 5), (2,), (5, 5)),
    ],
    ids=str,
)
def test_images_of_any_size_have_a_grid_of_codes(shape, channels, grid):
    model, x = vqvae(17, shape, channels=channels), images(17, 2, shape)
    assert model.grid == grid
    assert model.encode(x).shape == (2, *grid)
    assert model.likelihood(model.encode(x)).log_prob(x.float()).shape == (2,)
    assert model.sample(2, fitted_uniform(model)).shape == x.shape


def fitted_uniform(model: VQVAE) -> IndependentPrior:
    return IndependentPrior(model.grid, len(model.codebook))


def test_the_likelihood_may_be_chosen():
    assert isinstance(vqvae().pixels, BernoulliPixels)
    assert isinstance(vqvae(17).pixels, CategoricalPixels)
    assert vqvae(17, likelihood=LogisticPixels(17, 2)).decoder[-1].out_channels == 6


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        (images().float(), TypeError, "do not scale them"),
        (images(2, 2, (1, 4, 2)), ValueError, r"got \(2, 1, 4, 2\)"),
        (images(3), ValueError, "levels 0 … 1"),
    ],
)
def test_wrong_images_are_refused(x, error, words):
    model = vqvae()
    for method in (model.terms, model.encode):
        with pytest.raises(error, match=words):
            method(x)


def test_a_state_dict_holds_the_whole_model():
    model, x = vqvae(), images()
    train(model, 8, accumulate=1, steps=2)
    other = VQVAE.conv(SHAPE, 2, codes=3, code_dim=2, channels=(3, 4))
    other.load_state_dict(copy.deepcopy(model.state_dict()))
    prior = fitted(model)
    assert torch.equal(other.elbo(x, prior), model.elbo(x, prior))


def test_terms_are_float32_under_bf16():
    model, x = vqvae(17).eval(), images(17)
    with torch.autocast("cpu", torch.bfloat16):
        terms = model.terms(x)
    assert {terms.reconstruction.dtype, terms.commitment.dtype} == {torch.float32}
