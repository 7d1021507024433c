"""The explorer's weights are what their file says, and show what its page says."""

import itertools
import json
from pathlib import Path

import latent_explorer
import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

import explorer
from genlearn import data
from genlearn.training import evaluating

ROOT = Path(__file__).resolve().parents[2]
FOLDER = explorer.WEIGHTS.parent


@pytest.fixture(scope="module")
def made():
    return explorer.read()


@pytest.fixture(scope="module")
def vae(made):
    return made[0]


@pytest.fixture(scope="module")
def file(made):
    return made[1]


@pytest.fixture(scope="module")
def shown(file) -> Tensor:
    """The images of the strip."""
    levels = [image["levels"] for image in file["images"]]
    return torch.tensor(levels, dtype=torch.uint8).view(-1, *file["shape"])


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


# --- The file.


def test_the_file_holds_what_it_says():
    assert explorer.complaints() == []


def test_the_bound_is_below_the_figure_on_the_page(file):
    assert -file["test_bound"]["nats"] <= float(latent_explorer.bound(ROOT))
    assert file["test_bound"]["images"] == latent_explorer.test_images(ROOT)
    assert file["latent_dim"] == latent_explorer.dimensions(ROOT) == len(file["mean_rates"])


def test_the_file_names_what_made_it(file):
    assert file["made_by"]["command"] == explorer.COMMAND
    assert file["made_by"]["training"] == explorer.TRAINING
    assert file["made_by"]["model"] | {"hidden": None} == explorer.MODEL | {"hidden": None}
    assert set(file["made_by"]["versions"]) == {"python", "torch"}
    assert file["begin"] == list(explorer.FIRST_PAIR)


def test_the_explorer_is_small():
    sizes = {path.name: path.stat().st_size for path in FOLDER.iterdir()}
    own = {"explorer.css", "explorer.js", "shared.js", "vae.js", "weights.js"}
    steering = {"gan.js", "generator.js", "steering.js"}
    pixels = {"pixelcnn.js", "pixels.js", "pixels_desk.js"}
    judging = {"detection.js", "judging.js", "judging_desk.js"}
    assert set(sizes) == own | steering | pixels | judging
    assert sum(sizes.values()) < 600_000
    scripts = [path for path in FOLDER.glob("*.js") if sizes[path.name] < 20_000]
    assert sum(len(path.read_text("utf-8").splitlines()) for path in scripts) < 1100


@pytest.fixture
def measured_once(file, monkeypatch):
    """What is true of the sound weights; it takes seconds to compute."""
    names = ("test_bound", "mean_rates", "images")
    monkeypatch.setattr(explorer, "measured", lambda *_: {name: file[name] for name in names})


def edited(tmp_path: Path, **changes) -> Path:
    """A copy of the file with some of its values exchanged."""
    text = explorer.WEIGHTS.read_text("utf-8").removeprefix(explorer.BEGIN)
    content = json.loads(text.removesuffix(explorer.END)) | changes
    path = tmp_path / "weights.js"
    path.write_text(explorer.BEGIN + json.dumps(content) + explorer.END, "utf-8")
    return path


def test_a_weight_that_moved_by_one_bit_is_found(file, tmp_path, measured_once):
    letters = list(file["weights"])
    letters[100] = "B" if letters[100] == "A" else "A"
    path = edited(tmp_path, weights="".join(letters))
    assert "weights: not those whose SHA-256 is recorded" in explorer.complaints(path)


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        ("test_bound", lambda bound: bound | {"nats": bound["nats"] + 0.1}, "test_bound: nats"),
        ("mean_rates", lambda rates: [rates[0] + 0.1, *rates[1:]], "mean_rates: they are"),
        ("images", lambda all_: [all_[0] | {"bound": 0.0}, *all_[1:]], "images: number 0"),
        ("images", lambda all_: [all_[0] | {"label": 1}, *all_[1:]], "images: number 0"),
        ("weights", lambda weights: weights[:-8], "another number of weights"),
        ("weights", lambda weights: "?" + weights[1:], "base64"),
    ],
)
def test_a_false_record_is_found(name, change, complaint, file, tmp_path, measured_once):
    found = explorer.complaints(edited(tmp_path, **{name: change(file[name])}))
    assert any(complaint in line for line in found)


def test_a_file_that_was_cut_short_is_found(tmp_path):
    path = tmp_path / "weights.js"
    path.write_text(explorer.WEIGHTS.read_text("utf-8")[:-100], "utf-8")
    assert explorer.complaints(path) == [f"{path} is no such file, or not whole"]


def test_two_runs_of_the_tool_give_the_same_file_which_holds_what_it_says(tmp_path, monkeypatch):
    monkeypatch.setattr(explorer, "CODES_AN_IMAGE", 10)
    first, second = tmp_path / "first.js", tmp_path / "second.js"
    explorer.make(first, steps=20)
    torch.rand(7)  # whatever was drawn before does not matter
    explorer.make(second, steps=20)
    assert first.read_bytes() == second.read_bytes()
    assert explorer.complaints(first) == []


def test_sorting_renames_the_dimensions_and_changes_nothing_else(random_vae, digits):
    vae = random_vae((1, 8, 8), 17, latent_dim=5, hidden=(9,), pixel_features=2).eval()
    x, noise = digits.test.images[:10], torch.randn(10, 5)
    before = explorer.mean_rates(vae, x)
    order = before.argsort(descending=True)
    assert order.tolist() != list(range(5))
    with evaluating(vae):
        elbo = vae.elbo(x, noise)
        explorer.sort_dimensions(vae, x)
        torch.testing.assert_close(vae.elbo(x, noise[:, order]), elbo)
    torch.testing.assert_close(explorer.mean_rates(vae, x), before[order])


# --- What the page says.


def largest_change(vae, images: Tensor, j: int) -> Tensor:
    """By how much a slider changes the pixel that it changes most; black to white is 1, (N,)."""
    with torch.no_grad():
        code = vae.posterior(images).mean
        pictures = []
        for value in torch.linspace(-4, 4, 17):
            code[:, j] = value
            pictures.append(vae.mean_image(code).flatten(1) / (vae.levels - 1))
    stack = torch.stack(pictures)
    return (stack.amax(0) - stack.amin(0)).amax(1)


def test_the_last_slider_says_nothing_and_changes_no_pixel_by_more_than_two_levels(
    vae, file, shown
):
    last = file["latent_dim"] - 1
    assert file["mean_rates"][last] < 0.01
    assert file["levels"] == 17
    assert largest_change(vae, shown, last).max() < 2 / 16


def test_the_first_slider_turns_some_pixel_from_nearly_black_to_nearly_white(vae, shown):
    assert largest_change(vae, shown, 0).min() > 0.8


def test_the_dimensions_stand_in_the_order_of_their_mean_rates(file):
    assert file["mean_rates"] == sorted(file["mean_rates"], reverse=True)


def test_blind_guesses_explain_no_shown_image_as_its_own_code_does(vae, shown):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        assert len(shown) == 20
        own = vae.likelihood(vae.posterior(shown).mean).log_prob(shown.float())
        guesses = torch.randn(latent_explorer.GUESSES, vae.latent_dim, generator=generator)
        log_probs = vae.decoder(guesses).log_softmax(-1)  # (guesses, 1, 8, 8, levels)
        for image, best in zip(shown, own, strict=True):
            index = image.long()[None, ..., None].expand(len(guesses), -1, -1, -1, 1)
            of_image = log_probs.gather(-1, index).flatten(1).sum(1)
            assert of_image.max() < best - 5


def test_the_code_zero_explains_test_images_better_than_guesses(vae, digits):
    x = digits.test.images
    noise = torch.randn(len(x), vae.latent_dim, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        zero, guess = (
            vae.likelihood(z).log_prob(x.float()).mean() for z in (torch.zeros_like(noise), noise)
        )
    assert zero > guess + 30


def contrast(pictures: Tensor) -> Tensor:
    """Mean distance of the pixels from middle grey: 0 for grey, 1 for black and white alone."""
    return (2 * pictures - 1).abs().flatten(1).mean(1)


def test_halfway_between_two_digits_nothing_has_faded(vae, shown, file):
    label = [image["label"] for image in file["images"]]
    pairs = [
        (a, b) for a, b in itertools.combinations(range(len(shown)), 2) if label[a] != label[b]
    ]
    first, last = torch.tensor(pairs).T
    with torch.no_grad():
        code = vae.posterior(shown).mean
        halfway = vae.mean_image((code[first] + code[last]) / 2) / (vae.levels - 1)
        ends = vae.mean_image(code) / (vae.levels - 1)
    assert (contrast(halfway) > contrast((ends[first] + ends[last]) / 2)).all()


def test_beyond_the_prior_firm_strokes_make_stranger_shapes(vae, digits):
    train = digits.train.images
    with torch.no_grad():
        assert vae.posterior(train).mean.abs().max() < 4
        prior = torch.randn(1000, vae.latent_dim, generator=torch.Generator().manual_seed(0))
        inside, ends = (
            vae.mean_image(z).flatten(1) / (vae.levels - 1) for z in (prior, 4 * prior.sign())
        )
    known = train.flatten(1) / (vae.levels - 1)
    apart = [torch.cdist(pictures, known).amin(1).median() for pictures in (inside, ends)]
    assert apart[1] > 1.2 * apart[0]
    std = torch.linspace(0.01, 3, 300)
    assert kl_divergence(Normal(4.0, std), Normal(0.0, 1.0)).min() >= 4**2 / 2
    assert contrast(ends).mean() > contrast(inside).mean()
