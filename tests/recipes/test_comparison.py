"""Which evaluated runs may stand side by side, and what is made of them."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from genlearn.errors import RunError
from genlearn.recipes.comparison import compare, comparison_columns, read_evaluation
from genlearn.recipes.evaluation import evaluate
from genlearn.recipes.evaluation_report import table

LIKELIHOOD = {
    "negative_log_likelihood_nats": 20.0, "standard_error": 0.5, "bits_per_dim": 7.0, "images": 40,
}  # fmt: skip

CONTENT: dict[str, dict] = {}  # of the two runs, which are the same in each test


def noise(n: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(100, (n, 1, 2, 2), generator=generator, dtype=torch.uint8)


def write(run: Path, content: dict) -> None:
    (run / "evaluation.json").write_text(json.dumps(content))


@pytest.fixture
def two(echo) -> list[Path]:
    """Two evaluated runs."""
    runs = [echo("dark", noise, LIKELIHOOD), echo("light", lambda n, seed: 255 - noise(n, seed))]
    for run in runs:
        if run.name not in CONTENT:
            CONTENT[run.name] = evaluate(run, features="pixels", samples=20).content
        write(run, CONTENT[run.name])
    return runs


def change(run: Path, *path: str, value: object) -> None:
    content = json.loads((run / "evaluation.json").read_text())
    inner = content
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    write(run, content)


def test_runs_stand_side_by_side_with_training_images_last(two):
    content = compare(two)
    evaluations = [json.loads((run / "evaluation.json").read_text()) for run in two]
    assert list(content["runs"]) == ["dark", "light"]
    for run, evaluation in zip(content["runs"].values(), evaluations, strict=True):
        assert run["figures"] == evaluation["figures"]["samples"]
        assert run["sha256"] == evaluation["sha256"]["weights"]
    assert content["training images"] == evaluations[0]["figures"]["training images"]
    first, *lines = table(comparison_columns(content), content)
    assert first.split() == ["dark", "light", "training", "images", "best"]
    (nats,) = [line for line in lines if line.startswith("nats per image")]
    assert nats.split()[3:] == ["20.00", "±", "0.50", "-", "-", "low"]
    assert compare(two) == content


def test_the_order_is_that_of_the_command(two):
    assert list(compare(two[::-1])["runs"]) == ["light", "dark"]


def test_folders_of_one_name_are_told_apart_by_their_paths(two, tmp_path):
    shutil.copytree(two[1], tmp_path / "other" / "dark")
    runs = [two[0], tmp_path / "other" / "dark"]
    assert list(compare(runs)["runs"]) == [str(run) for run in runs]


def test_the_seed_of_the_samples_may_differ(two):
    write(two[0], evaluate(two[0], features="pixels", samples=20, seed=5).content)
    assert [run["seed"] for run in compare(two)["runs"].values()] == [5, 0]


def test_a_figure_that_one_run_alone_has_is_kept(two):
    score = {"value": 0.8, "low": 0.7, "high": 0.9}
    for whose in ("samples", "training images"):
        change(two[1], "figures", whose, "classification_accuracy", value=score)
    content = compare(two)
    assert content["training images"]["classification_accuracy"] == score
    (line,) = [
        line
        for line in table(comparison_columns(content), content)
        if line.startswith("classification score")
    ]
    assert line.split()[2:7] == ["-", "0.800", "(0.700", "…", "0.900)"]


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("data",), "other", r"data differ \(toy and other\)"),
        (("sha256", "train"), "0", "the training images differ;"),
        (("sha256", "test"), "0", "the test images differ;"),
        (("features", "name"), "other", r"features differ \(pixels and other\)"),
        (("features", "sha256"), "0", "the weights of the features differ"),
        (("samples",), 21, r"the number of samples differ \(20 and 21\)"),
        (("level",), 0.9, "the level of the intervals differ"),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else "",
)
def test_what_does_not_compare_is_refused(two, path, value, words):
    change(two[1], *path, value=value)
    with pytest.raises(RunError, match=words) as caught:
        compare(two)
    assert str(caught.value).startswith("dark and light do not compare: ")


def test_two_different_runs_are_needed(two, monkeypatch, tmp_path):
    for runs in ([], two[:1]):
        with pytest.raises(RunError, match="two runs or more"):
            compare(runs)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="dark: named twice"):
        compare([*two, Path("light/../dark")])


def test_a_run_without_an_evaluation_is_named(two, echo, tmp_path):
    with pytest.raises(RunError, match=r"bare: not evaluated yet; run: genlearn evaluate .*bare"):
        compare([*two, echo("bare", noise)])
    with pytest.raises(RunError, match="nowhere: there is no such folder"):
        compare([*two, tmp_path / "nowhere"])


def test_a_run_that_was_trained_on_since_is_refused(two):
    file = two[0] / "checkpoint-000001" / "w.safetensors"
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(RunError, match="dark: trained on since its evaluation"):
        compare(two)


def test_an_evaluation_without_weights_beside_it_can_be_compared(two):
    """Such as one that somebody has sent."""
    expected = compare(two)
    shutil.rmtree(two[0] / "checkpoint-000001")
    assert compare(two) == expected


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format",), 99),
        (("samples",), "many"),
        (("sha256",), {}),
        (("features",), {"name": "pixels"}),
        (("likelihood",), {"kind": "exact", "nats": 3}),
        (("figures", "samples"), None),
        (("figures", "samples", "precision"), 0.5),
        (("figures", "samples", "precision"), {"value": 0.5}),
        (("figures", "training images", "recall"), {"value": "x", "low": 0, "high": 1}),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else "",
)
def test_a_damaged_evaluation_is_refused(two, path, value):
    assert read_evaluation(two[0])["data"] == "toy"
    change(two[0], *path, value=value)
    with pytest.raises(RunError, match="damaged, or of another version; run: genlearn evaluate"):
        compare(two)


@pytest.mark.parametrize("text", [b"", b"{", b"[1, 2]", b"\xff\xfe"])
def test_a_file_that_is_no_evaluation_is_refused(two, text):
    (two[0] / "evaluation.json").write_bytes(text)
    with pytest.raises(RunError, match="damaged"):
        compare(two)
