"""Downloads, from a server on this machine: whole and verified, or one line and nothing left."""

import contextlib
import errno
import hashlib
import http.server
import io
import os
import random
import subprocess
import sys
import threading
import time

import pytest

from genlearn import data
from genlearn.data import download as module
from genlearn.data import sources
from genlearn.data.download import download
from genlearn.data.places import cache_folder
from genlearn.data.sources import File, Source
from genlearn.errors import DataError
from genlearn.files import PREFIX

CONTENT = random.Random(0).randbytes(200_000)
GOOD = File("set.bin", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


class Server(http.server.ThreadingHTTPServer):
    """Serves one file, in the ways of ``plan``: one way a request, the last for all that follow."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan, self.requests, self.gone = ["good"], 0, threading.Event()
        self.together: threading.Barrier | None = None

    @property
    def source(self) -> Source:
        return Source(f"http://127.0.0.1:{self.server_port}/folder/", (GOOD,))


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *arguments) -> None:
        pass

    def do_GET(self) -> None:
        server = self.server
        way = server.plan[min(server.requests, len(server.plan) - 1)]
        server.requests += 1
        if way in ("404", "503"):
            return self.send_error(int(way))
        if way == "hang up":
            return None
        body = {
            "truncated": CONTENT[:-1000],
            "corrupt": CONTENT[:5000] + bytes([CONTENT[5000] ^ 1]) + CONTENT[5001:],
            "login page": b"<html>Please log in.</html>",
        }.get(way, CONTENT)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.together:
            server.together.wait(10)
        if way in ("dropped", "stalled"):
            self.wfile.write(body[:70_000])
            self.wfile.flush()
            if way == "stalled":
                server.gone.wait(10)
            return None
        return self.wfile.write(body)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(module, "PAUSE", 0.0)
    monkeypatch.setattr(module, "TIMEOUT", 0.3)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.gone.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache" / "toys"


def refusal(source: Source, folder) -> str:
    """Download in vain; return the one line, and see to it that nothing stays behind."""
    with pytest.raises(DataError) as caught:
        download(source, folder)
    message = str(caught.value)
    assert "\n" not in message
    assert str(folder / "set.bin") in message
    assert list(folder.iterdir()) == []
    return message


def test_a_good_file_is_downloaded_once(server, folder):
    (path,) = download(server.source, folder)
    assert path == folder / "set.bin"
    assert path.read_bytes() == CONTENT
    assert os.listdir(folder) == ["set.bin"]
    assert server.requests == 1
    download(server.source, folder)
    assert server.requests == 1


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_progress_bar_is_shown_where_someone_can_watch_it(server, folder, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    download(server.source, folder)
    assert sys.stderr.getvalue() == ""
    (folder / "set.bin").unlink()
    monkeypatch.setattr(sys, "stderr", Terminal())
    download(server.source, folder)
    assert "set.bin" in sys.stderr.getvalue()
    assert "100%" in sys.stderr.getvalue()
    assert "200k/200k" in sys.stderr.getvalue()


def test_a_damaged_file_in_the_cache_is_downloaded_again(server, folder):
    folder.mkdir(parents=True)
    for damaged in (CONTENT[:-1], CONTENT[:-1] + b"\0"):
        (folder / "set.bin").write_bytes(damaged)
        download(server.source, folder)
        assert (folder / "set.bin").read_bytes() == CONTENT
    assert server.requests == 2


@pytest.mark.parametrize(
    ("way", "words", "requests"),
    [
        ("404", "the server answered 404 Not Found", 1),
        ("503", "the server answered 503", 3),
        ("truncated", "what came holds 199,000 bytes where 200,000 were expected", 3),
        ("login page", "what came holds 27 bytes", 3),
        ("corrupt", f"where {GOOD.sha256[:12]}… was expected", 3),
        ("dropped", "the connection broke off", 3),
        ("hang up", "there is no connection", 3),
        ("stalled", "nothing came for 0.3 s", 3),
    ],
)
def test_a_failing_server_ends_in_one_line_that_says_why(server, folder, way, words, requests):
    server.plan = [way]
    message = refusal(server.source, folder)
    assert words in message
    assert server.source.url + "set.bin" in message
    assert "genlearn data fetch toys" in message
    assert "GENLEARN_DATA" in message
    assert server.requests == requests


@pytest.mark.parametrize("way", ["503", "truncated", "corrupt", "dropped", "hang up", "stalled"])
def test_a_passing_fault_is_overcome(server, folder, way):
    server.plan = [way, way, "good"]
    download(server.source, folder)
    assert (folder / "set.bin").read_bytes() == CONTENT
    assert server.requests == 3


def test_a_failed_download_leaves_the_old_file_as_it_was(server, folder):
    folder.mkdir(parents=True)
    (folder / "set.bin").write_bytes(b"old")
    server.plan = ["dropped"]
    with pytest.raises(DataError):
        download(server.source, folder)
    assert (folder / "set.bin").read_bytes() == b"old"
    assert os.listdir(folder) == ["set.bin"]


def test_without_a_network_there_is_one_line(server, folder):
    server.server_close()  # nobody listens on its port any more
    assert "there is no connection to the server" in refusal(server.source, folder)


def test_a_name_that_no_server_has_is_one_line(monkeypatch, folder):
    """The domain .invalid is reserved for this; the answer needs no network."""
    monkeypatch.setattr(module, "PAUSE", 0.0)
    source = Source("http://nowhere.invalid/", (GOOD,))
    assert "there is no connection to the server" in refusal(source, folder)


def test_a_file_has_no_name_until_it_is_whole(server, folder):
    """Seen from outside, while the server holds back the second half."""
    server.plan = ["stalled"]

    def in_vain() -> None:
        with contextlib.suppress(DataError):
            download(server.source, folder)

    thread = threading.Thread(target=in_vain)
    thread.start()
    seen = set()
    while thread.is_alive():
        seen |= set(os.listdir(folder)) if folder.exists() else set()
        time.sleep(0.005)
    assert seen
    assert all(name.startswith(PREFIX) for name in seen)


FETCH = """
import sys
from pathlib import Path
from genlearn.data.download import download
from genlearn.data.sources import File, Source

url, folder, size, sha256 = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
download(Source(url, (File("set.bin", int(size), sha256),)), Path(folder))
"""


def test_two_processes_at_once_both_succeed(server, folder):
    """The server answers the one only when the other has asked too."""
    server.together = threading.Barrier(2)
    command = [sys.executable, "-c", FETCH, server.source.url, folder, str(GOOD.size), GOOD.sha256]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with (
        subprocess.Popen(command, text=True, **pipes) as one,
        subprocess.Popen(command, text=True, **pipes) as other,
    ):
        for process in (one, other):
            assert process.stdout.readline() == "ready\n"
        for process in (one, other):
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in (one, other):
            assert process.communicate(timeout=60) == ("", "")
            assert process.returncode == 0
    assert server.requests == 2
    assert os.listdir(folder) == ["set.bin"]
    assert (folder / "set.bin").read_bytes() == CONTENT


def test_a_file_that_may_not_grow_is_one_line(server, folder):
    """The operating system refuses to write on, as on a full disk."""
    resource = pytest.importorskip("resource", reason="only Unix limits the size of files")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        message = refusal(server.source, folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert f"{os.strerror(errno.EFBIG)}; make room, or name another folder" in message
    assert "GENLEARN_CACHE" in message
    assert server.requests == 1


def test_a_full_disk_is_one_line(server, folder, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert "No space left on device; make room" in refusal(server.source, folder)


def test_what_a_killed_process_left_is_removed_after_a_day(server, folder):
    folder.mkdir(parents=True)
    for name in ("old", "young"):
        (folder / f"{PREFIX}1-{name}").write_bytes(b"part")
    os.utime(folder / f"{PREFIX}1-old", (0, 0))
    download(server.source, folder)
    assert sorted(os.listdir(folder)) == [f"{PREFIX}1-young", "set.bin"]


@pytest.fixture
def served_mnist(server, monkeypatch, tmp_path):
    """The entry of mnist, with the server's file in place of the published ones."""
    monkeypatch.setenv(data.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.delenv(data.FOLDER_VARIABLE, raising=False)
    entry = data.ENTRIES["mnist"]
    replaced = type(entry)(**vars(entry) | {"source": server.source})
    monkeypatch.setitem(data.ENTRIES, "mnist", replaced)
    return tmp_path / "cache" / "mnist"


def test_fetching_by_name_fills_the_cache(served_mnist):
    assert not data.is_at_hand("mnist")
    assert data.fetch("mnist") == served_mnist
    assert (served_mnist / "set.bin").read_bytes() == CONTENT
    assert data.is_at_hand("mnist")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("digits", "it needs no download"),
        ("glyphs", "it needs no download"),
        ("emoji", "has no published checksum; put it into noto-emoji/"),
        ("cifar11", "is unknown; choose one of"),
        ("rings", "Rings().sample(n)"),
    ],
)
def test_what_cannot_be_fetched_is_one_line(name, words):
    with pytest.raises(DataError, match=words.replace("(", r"\(").replace(")", r"\)")):
        data.fetch(name)


def test_a_damaged_download_is_refused_on_loading(monkeypatch, tmp_path):
    """Here of right size but wrong content, so only the checksum can tell."""
    monkeypatch.setenv(data.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.delenv(data.FOLDER_VARIABLE, raising=False)
    (tmp_path / "kmnist").mkdir()
    for file in sources.KMNIST.files:
        with (tmp_path / "kmnist" / file.name).open("wb") as sparse:
            sparse.truncate(file.size)
    with pytest.raises(DataError, match=r"has SHA-256 .* run: genlearn data fetch kmnist"):
        data.load("kmnist")


def test_the_cache_is_the_systems_unless_another_is_named(monkeypatch, tmp_path):
    import pooch

    monkeypatch.delenv(data.CACHE_VARIABLE, raising=False)
    assert cache_folder("mnist") == pooch.os_cache("genlearn") / "mnist"
    monkeypatch.setenv(data.CACHE_VARIABLE, str(tmp_path))
    assert cache_folder("mnist") == tmp_path / "mnist"
