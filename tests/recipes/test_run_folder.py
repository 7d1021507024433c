"""The folder of a run says what was asked, and is refused where it does not fit."""

import datetime
import json
import os
import sys
from dataclasses import dataclass, replace

import pytest
import torch

from genlearn.errors import RunError
from genlearn.files import claimed
from genlearn.recipes.run_folder import (
    MAY_DIFFER,
    Head,
    open_run,
    read_config,
    read_head,
    write_config,
    write_result,
)
from genlearn.recipes.settings import Settings

HEAD = Head("toy", (1, 8, 8), 17)


@dataclass(frozen=True)
class Config:
    """One setting of each type that a recipe has."""

    data: str = 'quotes " and \\ backslash, ünïcode'
    hidden: tuple[int, ...] = (400, 20)
    nothing: tuple[int, ...] = ()
    rate: float = 1e-5
    steps: int = 10
    keep: int = 1
    seed: int = 2**63 - 1
    flag: bool = True


def refusal(function, *arguments) -> str:
    with pytest.raises(RunError) as caught:
        function(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_settings_are_read_back_as_they_were(tmp_path):
    open_run(tmp_path / "run", HEAD, Config(), resume=False)
    assert read_config(tmp_path / "run", Config) == Config()
    assert read_head(tmp_path / "run") == HEAD


def test_a_run_is_not_overwritten_and_goes_on_with_the_same_settings_only(tmp_path):
    open_run(tmp_path, HEAD, Config(), resume=True)  # nothing to go on with: a new run
    before = (tmp_path / "config.toml").read_bytes()
    assert "add --resume" in refusal(open_run, tmp_path, HEAD, Config(), False)
    open_run(tmp_path, HEAD, Config(), resume=True)
    changed = replace(Config(), rate=2e-5)
    message = refusal(open_run, tmp_path, HEAD, changed, True)
    assert "begun with rate = 1e-05, not 2e-05" in message
    assert "recipe='toy'" in refusal(
        open_run, tmp_path, HEAD._replace(recipe="gan"), Config(), True
    )
    assert "levels=17" in refusal(open_run, tmp_path, HEAD._replace(levels=2), Config(), True)
    assert (tmp_path / "config.toml").read_bytes() == before


def test_how_a_run_goes_on_may_differ_and_the_first_settings_stay(tmp_path):
    open_run(tmp_path, HEAD, Config(), resume=False)
    before = (tmp_path / "config.toml").read_bytes()
    open_run(tmp_path, HEAD, replace(Config(), keep=3), resume=True)
    assert (tmp_path / "config.toml").read_bytes() == before
    assert set(Settings.__dataclass_fields__) >= MAY_DIFFER


def test_of_two_runs_that_begin_at_once_one_is_told(tmp_path):
    """Whichever comes second, before or after the first has written its settings."""
    pytest.importorskip("fcntl", reason="this system has no locks for folders")
    with claimed(tmp_path):
        assert "another run writes here" in refusal(open_run, tmp_path, HEAD, Config(), False)
    assert list(tmp_path.iterdir()) == []


def test_settings_are_written_anew_only_where_they_are_gone(tmp_path):
    assert write_config(tmp_path / "run", HEAD, Config())
    assert not write_config(tmp_path / "run", HEAD, replace(Config(), steps=11))
    assert read_config(tmp_path / "run", Config) == Config()


def test_a_checkpoint_without_settings_is_not_taken_over(tmp_path):
    (tmp_path / "checkpoint-000010").mkdir()
    for resume in (False, True):
        assert "no config.toml" in refusal(open_run, tmp_path, HEAD, Config(), resume)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-000010"]


def test_a_folder_without_a_run_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path, tmp_path / "nowhere", tmp_path / "file"):
        assert refusal(read_head, folder) == f"{folder}: holds no run (there is no config.toml)"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("steps = 10", "steps = ten", "damaged"),
        ("steps = 10", 'steps = "ten"', "steps = 'ten' is damaged"),
        ("steps = 10", "steps = 10.5", "steps = 10.5 is damaged"),
        ("flag = true", "flag = 1", "flag = 1 is damaged"),
        ("hidden = [400, 20]", "hidden = 400", "hidden = 400 is damaged"),
        ("steps = 10\n", "", "missing or unknown settings (steps)"),
        ("steps = 10", "steps = 10\nbeta = 4", "missing or unknown settings (beta)"),
        ("steps = 10", "steps = 10\nsteps = 10", "damaged"),
        ('recipe = "toy"\n', "", "recipe, shape or levels is missing or damaged"),
        ("levels = 17", 'levels = "17"', "recipe, shape or levels is missing or damaged"),
        ("shape = [1, 8, 8]", "shape = [8, 8]", "recipe, shape or levels is missing or damaged"),
    ],
)
def test_damaged_settings_are_refused_in_one_line(tmp_path, old, new, words):
    open_run(tmp_path, HEAD, Config(), resume=False)
    file = tmp_path / "config.toml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")

    def read():
        return read_head(tmp_path), read_config(tmp_path, Config)

    message = refusal(read)
    assert message.startswith(f"{file}: ")
    assert words in message


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"\0\0", b"<html>"])
def test_a_file_that_is_no_toml_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "config.toml").write_bytes(content)
    assert "damaged" in refusal(read_head, tmp_path)


def test_settings_that_cannot_be_read_are_named(tmp_path):
    """Not answered with advice on writing. A folder stands for a file without permission."""
    (tmp_path / "config.toml").mkdir()
    message = refusal(read_head, tmp_path)
    assert message.startswith(f"{tmp_path / 'config.toml'}: ")
    assert message.endswith("; check the path")


def test_a_whole_number_will_do_where_a_fraction_may_stand(tmp_path):
    open_run(tmp_path, HEAD, replace(Config(), rate=1), resume=False)
    assert read_config(tmp_path, Config).rate == 1


@pytest.mark.parametrize("program", ["/somewhere/bin/genlearn", "/somewhere/genlearn/cli.py"])
def test_what_changes_between_equal_runs_stands_in_its_own_file(program, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # but the run was on the CPU
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "H200")
    monkeypatch.setattr(sys, "argv", [program, "train", "vae"])
    write_result(
        tmp_path,
        {"nats": 1.5},
        facts={"seconds": 12.3, "commit": "abc"},
        device=torch.device("cpu"),
    )
    assert json.loads((tmp_path / "result.json").read_text()) == {"nats": 1.5}
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert environment["command"] == "genlearn train vae"
    assert environment["seconds"] == 12.3
    assert environment["device"] == "cpu"
    assert datetime.date.fromisoformat(environment["date"])
    assert environment["cores"] == os.cpu_count()
    of_the_machine = {"machine", "cpu", "device"}
    assert {"genlearn", "commit", "python", "torch", *of_the_machine} <= set(environment)


def test_a_run_goes_on_in_more_processes_if_an_update_has_as_many_batches(tmp_path):
    open_run(tmp_path, HEAD, Settings(devices=1, accumulate=4), resume=False)
    for devices, accumulate in [(2, 2), (4, 1), (2, 4)]:  # in the last, each brings as many
        config = Settings(devices=devices, accumulate=accumulate)
        open_run(tmp_path, HEAD, config, resume=True)
    with pytest.raises(RunError, match=r"was begun with accumulate = 4, not 2"):
        open_run(tmp_path, HEAD, Settings(devices=4, accumulate=2), resume=True)
