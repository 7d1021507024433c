"""The page of recorded results, and the command that shows the same, have every record."""

import json
import re
from pathlib import Path

import pytest
import recorded
import yaml

import gpu_runs
import results
import results_schema as schema

ROOT = Path(__file__).resolve().parents[2]


def test_every_record_is_on_the_page_with_its_command_and_commit():
    page = recorded.benchmarks(ROOT) + recorded.runs(ROOT)
    page = page.replace(" \\\n    ", " ")  # a shell reads such lines as one
    for file in schema.files(ROOT):
        record = json.loads(file.read_text("utf-8"))
        made = record["environment"] if schema.is_run(file) else record
        assert f"### {results.SEED.sub('', file.stem)}\n" in page
        assert f"```text\n{made['command']}\n```" in page
        assert made["commit"].rstrip("+") in page


def test_the_page_is_in_the_book_and_has_all_parts():
    page = (ROOT / "book" / "recorded_results.md").read_text("utf-8")
    assert re.findall(r"\{\{ recorded\.(\w+) \}\}", page) == ["benchmarks", "runs", "to_come"]
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text("utf-8"))
    reference = next(part for part in toc["parts"] if part["caption"] == "Reference")
    assert {"file": "recorded_results"} in reference["chapters"]


def test_seeds_of_one_run_stand_together_with_their_mean_and_range():
    (result,) = [r for r in results.runs(ROOT) if r.name == "vae-digits-full"]
    assert result.seeds == [0, 1, 2]
    assert len(result.makings) == 3
    bounds = [
        json.loads(file.read_text("utf-8"))["result"]["test"]["negative_elbo_nats"]
        for file in sorted((ROOT / schema.FOLDER / "runs").glob("vae-digits-full-seed*.json"))
    ]
    figure = next(f for f in result.figures if f.what.startswith("negative ELBO"))
    assert figure.values == bounds
    mean, least, most = sum(bounds) / 3, min(bounds), max(bounds)
    assert results.spread(figure) == f"{mean:.2f} ({least:.2f} … {most:.2f})"


def test_a_series_has_a_row_for_each_of_its_groups():
    (result,) = [r for r in results.benchmarks(ROOT) if r.name == "pixel_digits"]
    said = json.loads((ROOT / schema.FOLDER / "pixel_digits.json").read_text("utf-8"))["test_nats"]
    assert {f.what: (min(f.values), max(f.values)) for f in result.figures} == {
        model: (of["least"], of["most"]) for model, of in said.items()
    }


def test_series_are_those_of_records_with_seeds():
    with_seeds = {r.name for r in results.benchmarks(ROOT) if len(r.seeds) > 1}
    assert with_seeds >= set(results.SERIES)
    assert all(r.figures for r in results.benchmarks(ROOT) if r.name in results.SERIES)


def test_an_outcome_is_shown_as_it_is(monkeypatch):
    made = results.Making("python x.py", "0123456789ab", "2026-11-22", "here", 1.0, "")
    odd = results.Result("x", "What.", "a_b costs $5 | <b>*c*</b>.", [], [made], [], "", [])
    monkeypatch.setattr(results, "benchmarks", lambda root: [odd])
    says = r"**Outcome.** a\_b costs \$5 \| \<b\>\*c\*\</b\>." + "\n"
    assert says in recorded.benchmarks(ROOT)


@pytest.mark.parametrize(
    ("seconds", "says"), [(3.14, "3.1 s"), (39, "39 s"), (414, "6 min 54 s"), (4350, "1 h 12 min")]
)
def test_a_time_is_said_in_two_units(seconds, says):
    assert results.duration(seconds) == says


def test_where_a_commit_of_another_clone_is_found_is_said():
    declared = {
        "0123456789ab": {"nearest": "cdefcdefcdef", "differs": []},
        "0123456789ac": {"nearest": "cdefcdefcdef", "differs": ["genlearn/losses.py"]},
    }
    assert results.commit_of("0123456789aa", declared) == "0123456789aa"
    assert "not committed yet" in results.commit_of("0123456789aa+", declared)
    assert "cdefcdefcdef has the same code" in results.commit_of("0123456789ab", declared)
    assert "cdefcdefcdef differs in 1 file" in results.commit_of("0123456789ac+", declared)


def test_the_command_shows_every_record_and_what_is_not_yet_run(capsys):
    assert results.main([]) == 0
    shown = capsys.readouterr().out
    for result in [*results.benchmarks(ROOT), *results.runs(ROOT)]:
        assert f"\n{result.name}: " in "\n" + shown
    for row in gpu_runs.read(ROOT):
        state = "recorded" if gpu_runs.recorded(ROOT, row) else "not yet run"
        assert f"\n{row.name}: {state}\n" in shown


def test_the_command_shows_one_record_with_its_figures(capsys):
    assert results.main(["pixel_digits"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("pixel_digits: ")
    assert "frechet:" not in shown
    assert "  gated-pixel-cnn: 78.89 (78.88 … 78.90)" in shown


def test_an_unknown_name_is_refused_in_one_line(capsys):
    assert results.main(["pixle_digits"]) == 2
    assert capsys.readouterr().err.startswith("results: no record pixle_digits; there are: ")
