"""The record of a benchmark holds all that is needed to judge and repeat it."""

import datetime
import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch

RECORD = Path(__file__).resolve().parents[2] / "benchmarks" / "common" / "record.py"


@pytest.fixture
def recording(tmp_path, monkeypatch):
    """The module that scripts import, in a project of its own."""
    spec = importlib.util.spec_from_file_location("record", RECORD)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "benchmarks").mkdir()
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "benchmarks" / "toy.py"), "--steps", "3"])
    return module


def kept(folder: Path) -> dict:
    return json.loads((folder / "benchmarks" / "results" / "toy.json").read_text("utf-8"))


def test_a_record_says_how_it_was_made(recording, tmp_path, capsys):
    recording.record("toy", "three is odd", {"odd": True}, seeds=range(2))
    assert capsys.readouterr().out == "three is odd\n"
    record = kept(tmp_path)
    assert record["command"] == "python benchmarks/toy.py --steps 3"
    assert record["summary"] == "three is odd"
    assert record["odd"] is True
    assert record["seeds"] == [0, 1]
    assert (record["device"], record["threads"]) == ("cpu", torch.get_num_threads())
    today = datetime.datetime.now(datetime.UTC).date()
    assert (today - datetime.date.fromisoformat(record["date"])).days in (0, 1)


def test_the_time_is_that_of_the_whole_script(recording, tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "BEGAN", recording.time.perf_counter() - 100)
    recording.record("toy", "", {})
    record = kept(tmp_path)
    assert 100 <= record["seconds"] < 110
    assert "seconds_note" not in record


def test_a_series_made_in_pieces_has_its_own_time_and_command(recording, tmp_path):
    command = {"command": "python benchmarks/toy.py"}
    recording.record("toy", "", command, seconds=12.34, seconds_note="the sum of all rows")
    record = kept(tmp_path)
    assert (record["seconds"], record["seconds_note"]) == (12.3, "the sum of all rows")
    assert record["command"] == "python benchmarks/toy.py"
