"""The pixel desk's model is what its file says, and does what its page says."""

import json
from pathlib import Path

import latent_explorer
import pytest
import torch

import pixel_desk
from genlearn import data

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def made():
    return pixel_desk.read()


@pytest.fixture(scope="module")
def model(made):
    return made[0]


@pytest.fixture(scope="module")
def shown(made) -> torch.Tensor:
    """The ten digits on the desk."""
    return torch.tensor(made[1]["images"], dtype=torch.uint8).view(-1, *made[1]["shape"])


# --- The file.


def test_the_file_holds_what_it_says():
    assert pixel_desk.complaints() == []


def test_the_file_is_small_and_names_what_made_it(made):
    file = made[1]
    assert pixel_desk.PIXELS.stat().st_size < 120_000
    assert file["made_by"]["command"] == pixel_desk.COMMAND
    assert file["made_by"]["training"] == pixel_desk.TRAINING
    assert set(file["made_by"]["versions"]) == {"python", "torch"}


def test_figures_on_the_page_are_not_better_than_the_measured_ones(made):
    test = made[1]["test"]
    share = float(latent_explorer.recognised(ROOT).removesuffix(" %")) / 100
    assert share <= test["recognised"] < share + 0.01
    nats = int(latent_explorer.pixel_nats(ROOT))
    assert nats - 1 < test["nats"] <= nats


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda file: {"test": file["test"] | {"nats": file["test"]["nats"] - 0.1}}, "test: nats"),
        (lambda file: {"images": file["images"][::-1]}, "images: not the first"),
        (lambda file: {"weights_sha256": "0" * 64}, "weights: not those"),
        (lambda file: {"weights": file["weights"][:-8]}, "another number of weights"),
    ],
)
def test_a_false_record_is_found(change, complaint, made, tmp_path):
    path = tmp_path / "pixels.js"
    content = made[1] | change(made[1])
    path.write_text(pixel_desk.BEGIN + json.dumps(content) + ";\n", "utf-8")
    assert any(complaint in line for line in pixel_desk.complaints(path))


def test_two_runs_of_the_tool_give_the_same_file_which_holds_what_it_says(tmp_path):
    first, second = tmp_path / "first.js", tmp_path / "second.js"
    pixel_desk.make(first, steps=5)
    torch.rand(7)  # whatever was drawn before does not matter
    pixel_desk.make(second, steps=5)
    assert first.read_bytes() == second.read_bytes()
    assert pixel_desk.complaints(first) == []


# --- What the page says.


def test_all_labels_are_about_equally_likely_at_first_and_one_is_left_at_the_end(model, shown):
    """Nothing is known before the first pixel, and much after the last."""
    assert pixel_desk.log_joint(model, shown).softmax(1).amax(1).median() > 0.9
    first = torch.stack(
        [
            model.conditionals(shown, torch.full((10,), label)).log_prob(shown.float())[:, 0, 0, 0]
            for label in range(pixel_desk.CLASSES)
        ],
        1,
    )
    assert first.softmax(1).max() < 0.2


def test_the_black_border_costs_almost_nothing(model):
    images = data.load("digits").test.images
    labels = data.load("digits").test.labels
    nats = -model.conditionals(images, labels).log_prob(images.float()).mean(0)[0]
    assert nats[:, 0].max() < 0.35
    assert nats[:, 2:6].mean() > 5 * nats[:, [0, 7]].mean()


def test_an_image_painted_over_is_unlikely(model, shown):
    noise = torch.randint(0, 2, shown.shape, dtype=torch.uint8) * 16
    digits, painted = (-pixel_desk.log_joint(model, x).logsumexp(1).mean() for x in (shown, noise))
    assert painted > digits + 50
