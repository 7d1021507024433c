"""The loop over an image, and completion: checked by adding up all images there are."""

import itertools

import pytest
import torch
from torch import nn

from genlearn import models, sampling
from genlearn.sampling import Drawn, choose_by_weight, effective_sample_size

DOUBLE = {"dtype": torch.float64}


def small_model(shape, levels: int, seed: int = 0, scale: float = 1.0, **options):
    """A PixelCNN with strong random weights, so that pixels depend on each other."""
    torch.manual_seed(seed)
    model = models.pixel_cnn(shape, levels, features=4 * shape[0], layers=2, head=6, **options)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * scale)
    return model.double().eval()


def all_images(shape, levels: int) -> torch.Tensor:
    every = itertools.product(range(levels), repeat=shape[0] * shape[1] * shape[2])
    return torch.tensor(list(every), dtype=torch.uint8).view(-1, *shape)


def numbered(images: torch.Tensor, levels: int) -> torch.Tensor:
    """The place of each image in all_images."""
    flat = images.flatten(1).long()
    return flat @ levels ** torch.arange(flat.shape[1]).flip(0)


def exact(model, x, known) -> torch.Tensor:
    """p(image | known values), for all images there are, by Bayes' rule."""
    images = all_images(model.shape, model.levels)
    joint = model.log_prob(images).exp()
    agrees = ((images == x) | ~known).flatten(1).all(1)
    return joint * agrees / (joint * agrees).sum()


def shares(model, x, known, draws: int, **options) -> torch.Tensor:
    """How often each image is drawn, given x where it is known."""
    done = model.complete(x.expand(draws, -1, -1, -1), known, **options).images
    counts = numbered(done, model.levels).bincount(minlength=model.levels ** x.numel())
    return counts / draws


def masks(shape):
    """What is known: above, on the left, below, scattered, one channel; by name."""
    channel, row, column = torch.meshgrid(*map(torch.arange, shape), indexing="ij")
    return {
        "above": row == 0,
        "left": column == 0,
        "below": row == shape[1] - 1,
        "scattered": (row + column + channel) % 2 == 1,
        "last channel": channel == shape[0] - 1,
    }


@pytest.mark.parametrize(
    ("shape", "levels"), [((1, 2, 2), 2), ((1, 2, 2), 3), ((1, 3, 3), 2), ((2, 1, 2), 3)]
)
def test_completion_is_exact_where_known_values_come_first(shape, levels):
    model = small_model(shape, levels)
    x = model.sample(1)
    order = torch.arange(x.numel()).view(shape[1], shape[2], shape[0]).permute(2, 0, 1)
    for count in (1, 2):
        known = order < count
        expected = exact(model, x, known)
        draws = shares(model, x, known, 10_000, batch_size=10_000)
        assert (draws - expected).abs().sum() / 2 < 0.05
        assert (draws[expected == 0] == 0).all()


@pytest.mark.parametrize(
    ("shape", "levels", "name", "seed", "scale"),
    [
        ((1, 2, 2), 3, "left", 7, 0.6),
        ((1, 3, 3), 2, "below", 1, 0.8),
        ((1, 3, 3), 2, "scattered", 2, 0.8),
        ((2, 2, 1), 3, "last channel", 4, 0.8),
    ],
)
def test_completion_comes_near_the_truth_with_many_particles(shape, levels, name, seed, scale):
    model = small_model(shape, levels, seed, scale)
    torch.manual_seed(seed)
    x, known = model.sample(1), masks(shape)[name]
    expected = exact(model, x, known)
    draws = shares(model, x, known, 4000, particles=30, batch_size=10**6)
    assert (draws - expected).abs().sum() / 2 < 0.07
    clamped = shares(model, x, known, 10_000, batch_size=10_000)
    assert (clamped - expected).abs().sum() / 2 > 0.09  # there was something to mend


def test_completion_with_one_particle_does_not_hear_what_is_known_behind():
    """Two pixels, the second known. The first is drawn as if it were not: 0.50 instead of 0.90."""
    model = models.PixelModel(lambda sizes: LikeItsNeighbour(), (1, 1, 2), 2).double()
    x, known = torch.ones(1, 1, 1, 2, dtype=torch.uint8), torch.tensor([[[False, True]]])
    assert exact(model, x, known)[3].item() == pytest.approx(0.9)
    torch.manual_seed(0)
    assert shares(model, x, known, 20_000)[3].item() == pytest.approx(0.5, abs=0.02)
    many = shares(model, x, known, 5000, particles=50, batch_size=10**6)
    assert many[3].item() == pytest.approx(0.9, abs=0.02)


class LikeItsNeighbour(nn.Module):
    """With probability 0.9 a pixel is as the one on its left; the first is a fair coin."""

    def __init__(self) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.tensor(9.0).log())

    def forward(self, inputs, condition):
        left = nn.functional.pad(inputs, (1, 0))[..., :-1]
        return (self.strength * left).unsqueeze(-1)

    def cache(self, condition, size):
        return sampling.NaiveCache(self, condition)


@pytest.mark.parametrize("name", ["above", "left", "below", "scattered", "last channel"])
@pytest.mark.parametrize(("shape", "levels"), [((1, 2, 2), 3), ((1, 3, 3), 2), ((2, 2, 2), 2)])
def test_a_weight_is_the_probability_of_the_known_values_in_their_places(shape, levels, name):
    """Weight times the probability of drawing the unknown values is p(image), for every draw."""
    model = small_model(shape, levels, seed=2)
    known = masks(shape)[name].expand(50, *shape)
    x = torch.randint(0, levels, (50, *shape), dtype=torch.uint8)
    drawn = sampling.draw(
        model.network,
        model.likelihood,
        model.encode,
        model.condition(50),
        torch.rand(50, *shape, **DOUBLE),
        sampling.Given(x, known),
    )
    images = drawn.levels.to(torch.uint8)
    each = model.conditionals(images).log_prob(images.double())
    of_unknown = (each * ~known).flatten(1).sum(1)
    torch.testing.assert_close(drawn.log_weight + of_unknown, model.log_prob(images))


def test_the_mean_weight_is_the_probability_of_the_known_values():
    model = small_model((1, 2, 2), 3, seed=3, scale=0.6)
    x, known = model.sample(1), masks((1, 2, 2))["below"]
    images = all_images((1, 2, 2), 3)
    agrees = ((images == x) | ~known).flatten(1).all(1)
    evidence = model.log_prob(images).exp()[agrees].sum()
    n = 20_000
    drawn = sampling.draw(
        model.network,
        model.likelihood,
        model.encode,
        model.condition(n),
        torch.rand(n, 1, 2, 2, **DOUBLE),
        sampling.Given(x.expand(n, -1, -1, -1), known.expand(n, -1, -1, -1)),
        batch_size=n,
    )
    weights = drawn.log_weight.exp()
    assert abs(weights.mean() - evidence) < 5 * weights.std() / n**0.5


def test_effective_sample_size_of_known_weights():
    weights = torch.tensor([[1, 1, 3, 0.5], [1, 0, 1, 0.5], [1, 0, 0, 0.5]], **DOUBLE)
    expected = weights.sum(0) ** 2 / weights.square().sum(0)
    sizes = effective_sample_size(weights.log() - 1000)  # far below what exp can hold
    torch.testing.assert_close(sizes, expected)
    torch.testing.assert_close(sizes, torch.tensor([3, 1, 1.6, 3], **DOUBLE))


def test_the_choice_follows_the_weights():
    """Four draws of one image, of weights 1, 2, 3 and 4, chosen by evenly spread numbers."""
    levels = torch.arange(4.0).view(4, 1, 1, 1).repeat_interleave(1000, 0)
    weight = torch.tensor([1.0, 2, 3, 4]).log().repeat_interleave(1000)
    uniform = (torch.arange(1000, **DOUBLE) + 0.5) / 1000
    done = choose_by_weight(Drawn(levels, weight), 4, uniform)
    assert done.images.flatten().bincount().tolist() == [100, 200, 300, 400]


def test_known_values_that_come_first_give_equal_weights():
    model = small_model((1, 3, 3), 2)
    known = masks((1, 3, 3))["above"]
    size = model.complete(model.sample(5), known, particles=7).effective_sample_size
    torch.testing.assert_close(size, torch.full((5,), 7.0, **DOUBLE))


def test_each_value_has_a_uniform_number_of_its_own():
    """With fair coins, the image says which numbers lie below one half."""
    model = models.pixel_cnn((3, 2, 2), 2, features=6, head=3)
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    uniforms = torch.rand(10, 3, 2, 2)
    assert torch.equal(model.sample(10, uniforms=uniforms), (uniforms < 0.5).to(torch.uint8))


def test_memory_does_not_grow_with_the_number_of_images(monkeypatch):
    """A cache is made for at most batch_size images, new for each batch, and of equal sizes."""
    model, sizes = small_model((1, 2, 2), 2), []
    make = model.network.cache
    monkeypatch.setattr(
        model.network, "cache", lambda c, size: sizes.append(len(c)) or make(c, size)
    )
    assert model.sample(100, batch_size=30).shape == (100, 1, 2, 2)
    assert sizes == [25, 25, 25, 25]
    sizes.clear()
    known = torch.tensor([True, False])
    model.complete(model.sample(9), known, particles=5, batch_size=20)
    assert sizes == [9, 15, 15, 15]


@pytest.mark.parametrize("seed", range(4))  # of weights: some models look back little
def test_a_batch_does_not_remember_the_one_before(seed):
    model = small_model((1, 6, 5), 3, seed, scale=0.7)
    uniforms = torch.rand(20, 1, 6, 5, **DOUBLE)
    images = model.sample(40, uniforms=torch.cat([uniforms, uniforms]), batch_size=20)
    assert torch.equal(images[:20], images[20:])


@pytest.mark.parametrize(("n", "batch_size"), [(0, 5), (3, 0)])
def test_no_images_and_no_room_are_refused(n, batch_size):
    with pytest.raises(ValueError, match=f"cannot draw {n} images in batches of {batch_size}"):
        small_model((1, 2, 2), 2).sample(n, batch_size=batch_size)


def test_a_bar_is_silent_in_a_log_file(capsys):
    small_model((1, 2, 2), 2).sample(3, progress=True)
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_replayed_batches_are_those_of_the_plain_loop():
    """Ten images in batches of at most four: captured for four, the last batch holds two."""
    model = small_model((1, 5, 4), 3).cuda()
    uniforms = torch.rand(10, 1, 5, 4, **DOUBLE, device="cuda")
    plain = torch.cat([model.sample(1, uniforms=u) for u in uniforms.split(1)])
    assert torch.equal(model.sample(10, uniforms=uniforms, batch_size=4), plain)
    known = torch.rand(1, 5, 4, device="cuda") < 0.5
    x = model.sample(10)
    done = model.complete(x, known, particles=3, batch_size=4)
    assert torch.equal(done.images[..., known[0]], x[..., known[0]])
