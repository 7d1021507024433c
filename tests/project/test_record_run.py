"""The record of a long run holds all that is needed to judge and repeat it."""

import importlib.util
import json
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "record_run.py"


@pytest.fixture
def tool(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("record_run", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    return module


@pytest.fixture
def run(tmp_path) -> Path:
    folder = tmp_path / "vae-digits"
    folder.mkdir()
    (folder / "environment.json").write_text('{"commit": "abc"}')
    (folder / "result.json").write_text('{"test": 88.6}')
    (folder / "config.toml").write_text("steps = 3\n")
    return folder


def test_settings_result_and_environment_are_kept(tool, run, tmp_path):
    assert tool.main([str(run)]) == 0
    assert json.loads((tmp_path / "results" / "vae-digits.json").read_text()) == {
        "environment": {"commit": "abc"},
        "result": {"test": 88.6},
        "settings": {"steps": 3},
    }


def test_what_bench_has_measured_becomes_a_record_of_a_benchmark(tool, tmp_path):
    rows = [
        {"name": "vae", "seconds_a_step": 0.02, "share_of_bound": 0.25, "threads": 1},
        {"name": "gan", "seconds_a_step": 0.1, "share_of_bound": 0.5, "threads": 2},
    ]
    bench = {
        "format": 1,
        "command": "genlearn bench",
        "commit": "0123456789ab",
        "date": "2026-11-22",
        "seconds": 9.5,
        "device": "cpu",
        "machine": {"cpu": "A", "cores": 2, "system": "Linux"},
        "versions": {"genlearn": "0.1.0", "python": "3.11.7", "torch": "2.13.0"},
        "data": "digits",
        "profile": "quick",
        "ceilings": {"fp32": {"flops": 1e11, "bytes": 1e10}},
        "rows": rows,
    }
    folder = tmp_path / "bench-cpu"
    folder.mkdir()
    (folder / "bench.json").write_text(json.dumps(bench))
    assert tool.main([str(folder)]) == 0
    record = json.loads((tmp_path / "bench-cpu.json").read_text())
    assert record.items() >= bench.items()
    assert (record["threads"], record["seeds"]) == (2, [])
    assert record["summary"].endswith("they reach: vae 50.0 (25%); gan 10.0 (50%)")


def test_an_unfinished_run_is_refused_in_one_line(tool, run, tmp_path, capsys):
    (run / "result.json").unlink()
    assert tool.main([str(run)]) == 2
    assert "holds no finished run" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()
