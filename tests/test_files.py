"""A file or folder is whole, or it is not there."""

import errno
import os
import shutil

import pytest

from genlearn.errors import RunError
from genlearn.files import PREFIX, claimed, remove, remove_leftovers, written_whole


def test_a_reader_sees_the_old_content_until_the_new_is_whole(tmp_path):
    path = tmp_path / "figure.txt"
    path.write_text("old")
    with written_whole(path) as temporary:
        temporary.write_text("half")
        assert path.read_text() == "old"
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_moved_with_all_it_holds(tmp_path):
    with written_whole(tmp_path / "deep" / "down" / "folder") as temporary:
        (temporary / "inner").mkdir(parents=True)
        (temporary / "inner" / "file").write_text("content")
    assert (tmp_path / "deep/down/folder/inner/file").read_text() == "content"


@pytest.mark.parametrize("error", [ValueError("bug"), KeyboardInterrupt(), OSError("full")])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_an_error_leaves_everything_as_it_was(tmp_path, kind, error):
    path = tmp_path / "result"
    path.write_text("old")

    def write_half(temporary):
        if kind == "folder":
            temporary.mkdir()
            temporary = temporary / "part"
        temporary.write_text("half")
        raise error

    with pytest.raises(type(error)), written_whole(path) as temporary:
        write_half(temporary)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "old"


def test_a_full_disk_names_the_file_that_was_to_be_written(tmp_path):
    path = tmp_path / "weights"
    with pytest.raises(OSError, match="No space") as caught, written_whole(path):
        raise OSError(errno.ENOSPC, "No space left on device")  # names no file, as write() does
    assert caught.value.filename == str(path)


def test_a_move_that_fails_keeps_the_old_content(tmp_path, monkeypatch):
    """The new file replaces the old one in one step; there is no moment without either."""
    path = tmp_path / "result"
    path.write_text("old")

    def fail(*_):
        assert path.read_text() == "old"
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="Input/output"), written_whole(path) as temporary:
        temporary.write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["result"]
    assert path.read_text() == "old"


def test_a_failed_move_names_the_place_it_was_to_go_to(tmp_path):
    (tmp_path / "taken" / "something").mkdir(parents=True)
    with pytest.raises(OSError, match="taken") as caught, written_whole(tmp_path / "taken") as new:
        new.write_text("a file cannot replace a folder")
    assert PREFIX not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


@pytest.mark.skipif(os.name == "nt", reason="Windows opens no folder")
def test_the_folder_is_flushed_after_the_move(tmp_path, monkeypatch):
    path, flushed = tmp_path / "result", []
    monkeypatch.setattr(
        os, "fsync", lambda file: flushed.append((os.fstat(file).st_ino, path.exists()))
    )
    with written_whole(path) as temporary:
        temporary.write_text("new")
    assert flushed == [(path.stat().st_ino, False), (tmp_path.stat().st_ino, True)]


def test_leftovers_of_a_killed_process_are_removed_and_nothing_else(tmp_path):
    (tmp_path / f"{PREFIX}17-checkpoint-000010").mkdir()
    (tmp_path / f"{PREFIX}17-checkpoint-000010" / "vae.safetensors").write_text("half")
    (tmp_path / f"{PREFIX}18-result.json").write_text("half")
    (tmp_path / "result.json").write_text("whole")
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_removing_what_is_not_there_does_nothing(tmp_path):
    remove(tmp_path / "nothing")
    remove_leftovers(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_disappears_in_one_step(tmp_path, monkeypatch):
    """Where removing it is cut short, what is left has the name of a leftover."""
    folder = tmp_path / "checkpoint-000010"
    folder.mkdir()
    (folder / "file").touch()
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    remove(folder)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(PREFIX)
    monkeypatch.undo()
    remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_who_claims_a_folder_keeps_others_out_until_the_end(tmp_path):
    pytest.importorskip("fcntl", reason="this system has no locks for folders")
    folder = tmp_path / "run"
    with claimed(folder):
        with pytest.raises(RunError, match=f"^{folder}: another run writes here"), claimed(folder):
            pass
        with claimed(tmp_path):
            pass
    with claimed(folder):
        pass
    assert list(folder.iterdir()) == []


def test_where_folders_have_no_locks_nobody_is_kept_out(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def fail(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)
    with claimed(tmp_path), claimed(tmp_path):
        pass
