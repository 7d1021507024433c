"""The images of the judging desk are whose its file says."""

import json

import pytest
import torch

import judging_desk


@pytest.fixture(scope="module")
def file():
    return judging_desk.explorer.content(judging_desk.JUDGING, judging_desk.BEGIN)


@pytest.fixture
def drawn_once(monkeypatch):
    """Draw the samples once for all tests; it takes a second."""
    found = judging_desk.drawn()
    monkeypatch.setattr(judging_desk, "drawn", lambda: found)


def test_the_file_holds_what_it_says():
    assert judging_desk.complaints() == []


def test_the_file_is_small_and_names_what_made_it(file):
    assert judging_desk.JUDGING.stat().st_size < 50_000
    assert file["made_by"]["command"] == judging_desk.COMMAND
    assert {len(images) for images in file["images"].values()} == {judging_desk.IMAGES}


def test_no_image_tells_by_its_levels_alone_what_it_is(file):
    """Real and made use the same signs: nothing but the digit gives them away."""
    for images in file["images"].values():
        assert set("".join(images)) == set(judging_desk.DIGITS)
        assert {len(image) for image in images} == {64}


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda file: file["images"]["gan"].reverse(), "gan: the model draws other images"),
        (lambda file: file["images"]["real"].reverse(), "real: not these images"),
        (lambda file: file["models"][0].update(weights_sha256="0"), "vae: its weights are others"),
        (lambda file: file["models"].pop(), "models: they are vae, gan, pixelcnn"),
        (lambda file: file.update(images_sha256="0" * 64), "images: not those whose SHA-256"),
    ],
)
def test_a_false_record_is_found(spoil, complaint, file, drawn_once, tmp_path):
    path = tmp_path / "judging.js"
    content = json.loads(json.dumps(file))
    spoil(content)
    path.write_text(judging_desk.BEGIN + json.dumps(content) + ";\n", "utf-8")
    assert any(complaint in line for line in judging_desk.complaints(path))


def test_two_runs_of_the_tool_give_the_same_file_which_holds_what_it_says(tmp_path):
    first, second = tmp_path / "first.js", tmp_path / "second.js"
    judging_desk.make(first)
    torch.rand(7)  # whatever was drawn before does not matter
    judging_desk.make(second)
    assert first.read_bytes() == second.read_bytes()
    assert judging_desk.complaints(first) == []
