"""What must hold for every model that predicts an image value by value."""

import itertools
import random
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch

from genlearn import models, sampling
from genlearn.distributions import CategoricalPixels, LogisticPixels
from genlearn.models import PixelModel

MAKERS: dict[str, Callable[..., PixelModel]] = {
    "diagonal_bilstm": models.diagonal_bilstm,
    "image_transformer": models.image_transformer,
    "pixel_cnn": models.pixel_cnn,
    "row_lstm": models.row_lstm,
    "gated_pixel_cnn": models.gated_pixel_cnn,
    "pixel_cnn_pp": models.pixel_cnn_pp,
    "pixel_lstm": models.pixel_lstm,
}
SIZES = {
    "diagonal_bilstm": lambda draw, channels: {
        "features": 2 * channels * draw.randint(3, 5),
        "hidden": draw.choice([None, channels, 2 * channels]),
        "layers": draw.randint(1, 3),
        "first_kernel": draw.choice([3, 5, 7]),
        "head": channels * draw.randint(6, 8),
    },
    "image_transformer": lambda draw, channels: {
        "width": 4 * draw.randint(1, 3),
        "heads": draw.choice([1, 2, 4]),
        "layers": draw.randint(1, 2),
        "first_kernel": draw.choice([1, 3, 5]),
    },
    "pixel_cnn": lambda draw, channels: {
        "features": 2 * channels * draw.randint(2, 4),
        "layers": draw.randint(1, 3),
        "first_kernel": draw.choice([3, 5, 7]),
        "kernel": draw.choice([1, 3, 5]),
        "head": channels * draw.randint(3, 6),
        "places": draw.choice([False, True]),
    },
    "row_lstm": lambda draw, channels: {
        "features": 2 * channels * draw.randint(1, 3),
        "hidden": draw.choice([None, channels, 2 * channels]),
        "layers": draw.randint(1, 3),
        "first_kernel": draw.choice([3, 5, 7]),
        "kernel": draw.choice([1, 3, 5]),
        "head": channels * draw.randint(3, 6),
    },
    "gated_pixel_cnn": lambda draw, channels: {
        "features": channels * draw.randint(2, 5),
        "layers": draw.randint(1, 3),
        "first_kernel": draw.choice([3, 5, 7]),
        "kernel": draw.choice([1, 3, 5]),
        "head": channels * draw.randint(3, 6),
    },
    "pixel_cnn_pp": lambda draw, channels: {
        "features": draw.randint(3, 5),
        "layers": 1,
        "scales": draw.randint(1, 3),
    },
    "pixel_lstm": lambda draw, channels: {
        "hidden": draw.randint(4, 9),
        "layers": draw.randint(1, 2),
        "cell": draw.choice(["lstm", "gru"]),
        "position": draw.randint(1, 5),
        "head": draw.randint(3, 6),
    },
}
"""Small networks of any kind: sizes drawn for each, from the number of channels."""

STRENGTH = {"pixel_cnn": 0.5, "pixel_cnn_pp": 0.35}
"""Standard deviation of the weights, if not 0.7: what many blocks add up must stay small."""

SEES_EVERYTHING = {"diagonal_bilstm", "image_transformer", "pixel_lstm"}
"""Models in which every value may depend on all values before it, whatever their depth."""


class Case(NamedTuple):
    """One model, drawn at random."""

    name: str
    seed: int


CASES = [Case(name, seed) for name in MAKERS for seed in range(3)]


def drawn_model(case: Case, shape, levels: int, **options) -> PixelModel:
    """A model of drawn size, with weights large enough for every path to be felt."""
    draw = random.Random(f"{case}")
    torch.manual_seed(case.seed)
    model = MAKERS[case.name](shape, levels, **SIZES[case.name](draw, shape[0]), **options)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * STRENGTH.get(case.name, 0.7))
    return model.double().eval()


def all_images(shape, levels: int) -> torch.Tensor:
    """Every image there is of a small shape."""
    values = shape[0] * shape[1] * shape[2]
    every = itertools.product(range(levels), repeat=values)
    return torch.tensor(list(every), dtype=torch.uint8).view(-1, *shape)


def random_images(n: int, shape, levels: int) -> torch.Tensor:
    """Images of pure noise."""
    return torch.randint(0, levels, (n, *shape), dtype=torch.uint8)


def name_of(value) -> str:
    """A name for a parameter of a test."""
    return f"{value.name}-{value.seed}" if isinstance(value, Case) else str(value)


SMALL = [
    ((1, 2, 2), 2, None),
    ((1, 2, 2), 3, None),
    ((3, 1, 2), 2, None),
    ((2, 2, 1), 3, "logistic"),
]


@pytest.mark.parametrize("case", CASES, ids=name_of)
@pytest.mark.parametrize(("shape", "levels", "kind"), SMALL)
def test_probabilities_of_all_images_sum_to_one(case, shape, levels, kind):
    likelihood = LogisticPixels(levels, components=2) if kind else None
    model = drawn_model(case, shape, levels, likelihood=likelihood)
    total = model.log_prob(all_images(shape, levels)).exp().sum().item()
    assert total == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_probabilities_sum_to_one_for_every_label(case):
    model = drawn_model(case, (1, 2, 2), 2, classes=3)
    images = all_images((1, 2, 2), 2)
    log_probs = [model.log_prob(images, torch.full((16,), label)) for label in range(3)]
    assert [p.exp().sum().item() for p in log_probs] == pytest.approx([1] * 3, abs=1e-5)
    assert (log_probs[0] - log_probs[1]).abs().max() > 1e-3


@pytest.mark.parametrize("case", CASES, ids=name_of)
@pytest.mark.parametrize("shape", [(1, 5, 4), (3, 3, 4), (2, 1, 5), (1, 6, 1)], ids=name_of)
def test_no_conditional_moves_when_its_own_or_a_later_value_is_changed(case, shape):
    levels = 3
    model = drawn_model(case, shape, levels)
    x = random_images(4, shape, levels)  # several: a rectifier may be shut for one
    order = torch.arange(x[0].numel()).view(shape[1], shape[2], shape[0]).permute(2, 0, 1).flatten()
    before = model.parameters_of(x).flatten(1, 3)
    moved_later = 0
    for value in range(len(order)):
        changed = x.clone().flatten(1)
        changed[:, value] = (changed[:, value] + 1) % levels
        after = model.parameters_of(changed.view_as(x)).flatten(1, 3)
        moved = (after != before).any(2).any(0)
        later = order > order[value]
        assert not moved[~later].any()
        moved_later += int((moved & later).sum())
        if case.name in SEES_EVERYTHING:
            assert moved[later].all()
    assert moved_later > 0


@pytest.mark.parametrize("case", CASES, ids=name_of)
@pytest.mark.parametrize(("shape", "levels"), [((1, 6, 5), 2), ((3, 4, 3), 3), ((2, 3, 4), 5)])
def test_cached_and_naive_sampling_draw_the_same_pixels(case, shape, levels):
    model = drawn_model(case, shape, levels)
    uniforms = torch.rand(64, *shape, dtype=torch.float64)
    naive = model.sample(64, uniforms=uniforms, cached=False)
    assert torch.equal(model.sample(64, uniforms=uniforms), naive)
    assert torch.equal(model.sample(64, uniforms=uniforms, batch_size=23), naive)
    assert len(naive.unique()) == levels


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_cached_parameters_are_those_of_a_whole_pass(case):
    shape, levels = (1, 7, 6), 4
    model = drawn_model(case, shape, levels, classes=2, embedding=3).float()
    for parameter in model.parameters():
        parameter.data.mul_(0.4)
    x, label = random_images(5, shape, levels), torch.tensor([0, 1, 1, 0, 1])
    with torch.inference_mode():
        whole = model.parameters_of(x, label)
        inputs = model.encode(x).movedim(-1, 2).flatten(1, 2)
        cache = model.network.cache(model.condition(5, label), shape[1:])
        for row, column in itertools.product(range(7), range(6)):
            parameters = cache.parameters(inputs, row, column, 0)
            torch.testing.assert_close(parameters, whole[:, 0, row, column], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_sampling_follows_the_probabilities(case):
    torch.manual_seed(case.seed)
    model = drawn_model(case, (1, 2, 2), 2)
    images = all_images((1, 2, 2), 2)
    expected = model.log_prob(images).exp()
    drawn = model.sample(20_000).flatten(1).long() @ torch.tensor([8, 4, 2, 1])
    shares = drawn.bincount(minlength=16) / 20_000
    assert (shares - expected).abs().max() < 0.02


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_known_values_stay_as_they_are(case):
    shape, levels = (2, 3, 3), 4
    model = drawn_model(case, shape, levels)
    x, known = random_images(6, shape, levels), torch.rand(6, *shape) < 0.5
    done = model.complete(x, known, particles=3)
    assert torch.equal(done.images[known], x[known])
    assert done.effective_sample_size.ge(1 - 1e-9).all()
    assert done.effective_sample_size.le(3 + 1e-9).all()


def test_naive_is_what_is_compared_with():
    model = drawn_model(CASES[0], (1, 2, 2), 2)
    naive = sampling.NaiveCache(model.network, model.condition(3))
    inputs = torch.randn(3, 1, 2, 2, dtype=torch.float64)
    whole = model.network(inputs, model.condition(3))
    assert torch.equal(naive.parameters(inputs, 1, 0, 0), whole[:, 0, 1, 0])


def test_a_likelihood_of_other_levels_is_refused():
    with pytest.raises(ValueError, match="a likelihood of 4 levels is none of images of 3"):
        models.pixel_cnn((1, 2, 2), 3, likelihood=CategoricalPixels(4))


def test_labels_must_be_given_to_a_model_of_classes_and_to_no_other():
    x = all_images((1, 2, 2), 2)
    with pytest.raises(ValueError, match="needs labels 0 … 2"):
        models.pixel_cnn((1, 2, 2), 2, classes=3).log_prob(x)
    with pytest.raises(ValueError, match="needs no labels"):
        models.pixel_cnn((1, 2, 2), 2).log_prob(x, torch.zeros(16, dtype=torch.int64))


def test_a_model_is_told_of_altered_images_and_of_labels_apart():
    model = models.pixel_cnn((1, 2, 2), 2, classes=3)
    condition = model.condition(2, torch.tensor([2, 0]), torch.tensor([True, False]))
    assert condition.tolist() == [[0, 0, 1, 1], [1, 0, 0, 0]]
