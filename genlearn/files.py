"""Files that are either whole or not there."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from genlearn.errors import RunError

PREFIX = ".writing-"  # of temporary names; what a killed process left behind is recognised by it


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; move it into place once the block has succeeded.

    The block may make a file or a folder. A reader (or a process that is killed half-way) sees the
    old content, the new content, or nothing; never a part. Only a file is replaced: a folder must
    not be there yet, or be empty.

    Raises:
        OSError: from the block or the move, with ``path`` as its file name; the temporary path is
            then removed and ``path`` is as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    try:
        yield temporary
        _flush_to_disk(temporary)
        os.replace(temporary, path)
        _flush_folder(path.parent)
    except BaseException as error:
        remove(temporary)
        if isinstance(error, OSError) and error.errno is not None:
            # A full disk names no file, and the temporary name means nothing to a user.
            error.filename, error.filename2 = str(path), None
        raise


def remove(path: Path) -> None:
    """Remove a file or a folder with all it holds; nothing happens if it is not there.

    A folder disappears in one step, so that nobody meets half of it. Of a link to a folder only the
    link is removed.
    """
    if path.is_dir() and not path.is_symlink():
        if not path.name.startswith(PREFIX):
            with suppress(OSError):
                path = path.rename(_temporary(path))
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed process began to write in ``folder``."""
    for path in folder.glob(f"{PREFIX}*"):
        remove(path)


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Keep a folder, made if it is not there, from all others who claim it too.

    The system gives it back when the process ends, however it ends; no file is left. Where it has
    no locks for folders (Windows, some network file systems), nobody is kept out.

    Raises:
        RunError: if another one has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(
                f"{folder}: another run writes here; let it end, or choose another folder"
            ) from None
        except OSError:
            pass
        yield
    finally:
        os.close(descriptor)


def _temporary(path: Path) -> Path:
    return path.parent / f"{PREFIX}{os.getpid()}-{path.name}"


def _flush_to_disk(path: Path) -> None:
    # Without this a power cut after the rename may leave a whole name with an empty file.
    for part in [path, *path.rglob("*")] if path.is_dir() else [path]:
        if part.is_dir():
            _flush_folder(part)
            continue
        with part.open("rb") as file:
            os.fsync(file.fileno())


def _flush_folder(path: Path) -> None:
    # Without this a power cut may undo the rename. Windows opens no folder, and some file systems
    # flush none; the file is in place all the same.
    with suppress(OSError):
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
