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


def test_an_unfinished_run_is_refused_in_one_line(tool, run, tmp_path, capsys):
    (run / "result.json").unlink()
    assert tool.main([str(run)]) == 2
    assert "holds no finished run" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()
