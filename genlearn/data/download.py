"""Downloads that are either whole and verified, or not there."""

import time
from pathlib import Path

from genlearn.data.places import CACHE_VARIABLE, FOLDER_VARIABLE
from genlearn.data.sources import File, Source
from genlearn.errors import DataError
from genlearn.files import PREFIX, remove, written_whole

TIMEOUT = 20.0  # seconds without a byte, after which a connection counts as stalled
ATTEMPTS = 3
PAUSE = 1.0  # seconds before the second attempt; twice that before the third
DAY = 24 * 3600


def download(source: Source, folder: Path) -> list[Path]:
    """Download the files of a data set that are not yet in a folder, or are damaged there.

    A file takes its name only when its checksum is right. So several processes may do this at once.

    Args:
        source: which files, and from where.
        folder: where they go, named like the data set; made if it is not there.

    Returns:
        The paths of all files, in the order of ``source``.

    Raises:
        DataError: if a file cannot be had; the folder then holds no part of it.
    """
    _remove_old_parts(folder)
    paths = []
    for file in source.files:
        path = folder / file.name
        if file.fault(path):
            _download(file, source.url + file.name, path)
        paths.append(path)
    return paths


def _download(file: File, url: str, path: Path) -> None:
    for attempt in range(ATTEMPTS):
        time.sleep(PAUSE * attempt)
        reason, again = _try(file, url, path)
        if not reason:
            return
        if not again:
            break
    raise DataError(
        f"{path}: not downloaded from {url}: {reason}; run genlearn data fetch "
        f"{path.parent.name} again later, or put a copy into {path.parent.name}/ in a folder that "
        f"{FOLDER_VARIABLE} names"
    )


def _try(file: File, url: str, path: Path) -> tuple[str, bool]:
    """Try once; return what went wrong ("": nothing), and whether it may go better next time."""
    import pooch  # with requests, 0.3 s
    import requests
    from tqdm import tqdm

    answers = []  # pooch does not close them when something goes wrong
    try:
        # disable=None: no bar in a log file, only where someone can watch it move
        bar = {"unit": "B", "unit_scale": True, "dynamic_ncols": True, "disable": None}
        with (
            written_whole(path) as temporary,
            tqdm(desc=file.name, total=file.size, **bar) as progress,
        ):
            get = pooch.HTTPDownloader(
                progressbar=progress,
                chunk_size=2**16,
                timeout=TIMEOUT,
                # Without this header a server may pack the file once more on its way.
                headers={"Accept-Encoding": "identity"},
                hooks={"response": lambda answer, **_: answers.append(answer)},
            )
            get(url, temporary, None)
            if fault := file.fault(temporary):
                raise _WrongContentError(fault)
    except _WrongContentError as error:
        return f"what came {error}", True
    except requests.HTTPError as error:
        status = error.response.status_code
        return f"the server answered {status} {error.response.reason}", status >= 500
    except (requests.Timeout, requests.ConnectionError) as error:
        # A stall in the middle of a file is a ConnectionError; only its words tell what it was.
        if isinstance(error, requests.Timeout) or "timed out" in str(error):
            return f"nothing came for {TIMEOUT:g} s", True
        return "there is no connection to the server", True
    except requests.exceptions.ChunkedEncodingError:
        return "the connection broke off", True
    except requests.RequestException as error:
        return f"the request failed ({type(error).__name__})", False
    except OSError as error:  # after RequestException, which is one
        raise DataError(
            f"{path}: {error.strerror or error}; make room, or name another folder with "
            f"{CACHE_VARIABLE}"
        ) from None
    finally:
        for answer in answers:
            answer.close()
    return "", False


class _WrongContentError(Exception):
    """All bytes came, but they are not those of the file."""


def _remove_old_parts(folder: Path) -> None:
    # What a killed process left behind; a younger part may belong to one that is at work.
    for part in folder.glob(f"{PREFIX}*"):
        try:
            old = time.time() - part.stat().st_mtime > DAY
        except FileNotFoundError:  # that process has just finished
            continue
        if old:
            remove(part)
