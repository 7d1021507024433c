"""The steering desk's generator is what its file says, and does what its page says."""

import json
from pathlib import Path

import latent_explorer
import pytest
import torch
from torch import Tensor

import steering
from genlearn import data

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def made():
    return steering.read()


@pytest.fixture(scope="module")
def gan(made):
    return made[0]


@pytest.fixture(scope="module")
def ways(made) -> dict[str, Tensor]:
    return {way["name"]: torch.tensor(way["noise"]) for way in made[1]["directions"]}


@pytest.fixture(scope="module")
def drawn(gan) -> tuple[Tensor, Tensor]:
    """Noise and labels of 2,000 images."""
    noise, labels, _ = steering.draw(gan)
    return noise[:2000], labels[:2000]


def images(gan, noise: Tensor, labels: Tensor) -> Tensor:
    with torch.no_grad():
        return gan.generate(noise, labels)


# --- The file.


def test_the_file_holds_what_it_says():
    assert steering.complaints() == []


def test_the_file_is_small_and_names_what_made_it(made):
    file = made[1]
    assert steering.GENERATOR.stat().st_size < 120_000
    assert file["made_by"]["command"] == steering.COMMAND
    assert file["made_by"]["training"] == steering.TRAINING
    assert set(file["made_by"]["versions"]) == {"python", "torch"}


def test_the_share_on_the_page_is_not_above_the_measured_one(made):
    share = float(latent_explorer.obeyed(ROOT).removesuffix(" %")) / 100
    assert share <= made[1]["obeyed"] < share + 0.01


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda file: {"obeyed": file["obeyed"] - 0.01}, "obeyed: the share is"),
        (lambda file: {"directions": file["directions"][::-1]}, "directions: they are"),
        (lambda file: {"weights_sha256": "0" * 64}, "weights: not those"),
        (lambda file: {"weights": file["weights"][:-8]}, "another number of weights"),
    ],
)
def test_a_false_record_is_found(change, complaint, made, tmp_path):
    path = tmp_path / "generator.js"
    content = made[1] | change(made[1])
    path.write_text(steering.BEGIN + json.dumps(content) + ";\n", "utf-8")
    assert any(complaint in line for line in steering.complaints(path))


def test_two_runs_of_the_tool_give_the_same_file_which_holds_what_it_says(tmp_path, monkeypatch):
    monkeypatch.setattr(steering, "DRAWS", 2000)
    first, second = tmp_path / "first.js", tmp_path / "second.js"
    steering.make(first, steps=10)
    torch.rand(7)  # whatever was drawn before does not matter
    steering.make(second, steps=10)
    assert first.read_bytes() == second.read_bytes()
    assert steering.complaints(first) == []


# --- What the page says.


def test_ink_makes_all_ten_digits_bolder(gan, ways, drawn):
    noise, labels = drawn
    down, up = (steering.ink(images(gan, noise + s * ways["ink"], labels)) for s in (-3, 3))
    assert min((up - down)[labels == k].mean() for k in range(10)) > 0.03


def test_slant_leaves_the_ink_on_average(gan, ways, drawn):
    noise, labels = drawn
    ends = [images(gan, noise + s * ways["slant"], labels) for s in (-3, 3)]
    inks = [steering.ink(x) for x in ends]
    assert abs((inks[1] - inks[0]).mean()) < 0.3 * steering.within_class(inks[0], labels).std()
    slants = [steering.slant(x) for x in ends]
    assert (slants[1] - slants[0]).mean() > 1.5 * steering.within_class(slants[0], labels).std()


def test_longer_noise_makes_stranger_digits_that_obey_less(gan, drawn):
    noise, labels = drawn
    train = data.load("digits").train
    known = gan.gan.scaled(train.images).flatten(1)
    apart, agree = [], []
    for share in (1.0, 1.5):
        distance = torch.cdist(images(gan, share * noise, labels).flatten(1), known)
        apart.append(distance.amin(1).mean())
        votes = train.labels[distance.topk(5, largest=False).indices].mode(1).values
        agree.append((votes == labels).float().mean())
    assert apart[1] > apart[0] + 0.2
    assert agree[1] < agree[0] - 0.02
    beyond = (1.5 * noise).norm(dim=1).median()
    assert (noise.norm(dim=1) < beyond).float().mean() > 0.99
