"""The commands ``genlearn data …``."""

import http.server
import threading

import numpy as np
import pytest
import torch
from PIL import Image

from genlearn import data, viz
from genlearn.cli import main
from genlearn.data.sources import File, Source


@pytest.fixture(autouse=True)
def plain(monkeypatch, tmp_path):
    """In an empty folder, with an empty cache and no local sets."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.delenv(data.FOLDER_VARIABLE, raising=False)
    monkeypatch.setenv(data.CACHE_VARIABLE, str(tmp_path / "cache"))


def refused(capsys, *arguments: str) -> str:
    """Run a command that must end in one line and exit code 2; return the line."""
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("genlearn: ")
    assert printed.err.count("\n") == 1
    return printed.err


def test_the_list_says_where_each_set_comes_from_and_how_large_it_is(capsys):
    assert main(["data", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = dict(zip(lines[::2], lines[1::2], strict=True))
    origin = {first.split()[0]: second.strip().split("  ")[0] for first, second in rows.items()}
    assert origin == {
        "digits": "in scikit-learn",
        "faces": "in scikit-image",
        "patches": "in scikit-image",
        "shapes": "made on the fly",
        "glyphs": "made on the fly",
        "mnist": "download 12 MB",
        "fashion-mnist": "download 31 MB",
        "kmnist": "download 21 MB",
        "binarized-mnist": "download 110 MB",
        "cifar10": "download 170 MB",
        "emoji": "local copy only",
    }
    at_hand = {line.split()[0] for line in rows if "at hand" in line}
    assert at_hand == {"digits", "faces", "patches", "shapes", "glyphs"}


@pytest.mark.parametrize("name", ["faces", "patches", "shapes", "glyphs"])
def test_the_counts_in_the_list_are_those_of_the_set(name):
    dataset, entry = data.load(name), data.ENTRIES[name]
    total = sum(len(part) for part in (dataset.train, dataset.valid, dataset.test))
    words = f"{total:,} " if name != "faces" else "100 faces and 100 "
    assert entry.description.startswith(words)
    assert f"{dataset.shape[1]}x{dataset.shape[2]}" in entry.description


def test_showing_a_set_saves_a_row_for_each_class(capsys, tmp_path):
    assert main(["data", "show", "digits"]) == 0
    assert capsys.readouterr().out == "digits/train, 1,000 images of 1 x 8 x 8: digits.png\n"
    picture = np.array(Image.open("digits.png"))
    split = data.load("digits").train
    factor = picture.shape[0] // 89  # ten rows of eight pixels with nine gaps
    assert picture.shape == (89 * factor, 143 * factor)
    small = picture[factor // 2 :: factor, factor // 2 :: factor]
    for digit in range(10):
        first = split.images[split.labels == digit][0, 0].numpy()
        np.testing.assert_array_equal(
            small[9 * digit : 9 * digit + 8, :8], np.rint(first * (255 / 16)).astype(np.uint8)
        )


def test_a_picture_in_colour_goes_where_it_is_told(capsys, tmp_path):
    out = tmp_path / "new" / "sheet.png"
    assert main(["data", "show", "patches", "--out", str(out)]) == 0
    assert np.array(Image.open(out)).ndim == 3


def test_a_contact_sheet_without_labels_takes_the_first_images():
    images = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1) * 50
    sheet = viz.contact_sheet(images, None, 256, columns=2, rows=2)
    assert sheet.tolist() == [[0, 128, 50], [128, 128, 128], [100, 128, 150]]
    labels = torch.tensor([4, 2, 2, 2, 4, 2])
    sheet = viz.contact_sheet(images, labels, 256, columns=3)
    assert sheet[::2, ::2].tolist() == [[50, 100, 150], [0, 200, 0]]  # a class may have fewer


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fetch", "digits"], "it needs no download"),
        (["fetch", "emoji"], "no published checksum; put it into noto-emoji/"),
        (["fetch", "cifar11"], "'cifar11' is unknown; choose one of: digits"),
        (["show", "cifar11"], "'cifar11' is unknown; choose one of: digits"),
        (["show", "rings"], "draw points with genlearn.data.Rings().sample(n)"),
        (["show", "mnist"], "or run: genlearn data fetch mnist"),
        (["show", "emoji"], "set GENLEARN_DATA to a folder that holds noto-emoji/"),
        (["show", "digits", "--out", "/dev/null/sheet.png"], "choose another --out"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_one_line(capsys, arguments, words):
    assert words in refused(capsys, "data", *arguments)


@pytest.fixture
def server(tmp_path):
    """A server of the files in the folder ``served``."""
    (tmp_path / "served").mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments, **more) -> None:
            super().__init__(*arguments, directory=tmp_path / "served", **more)

        def log_message(self, *arguments) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_fetching_says_where_the_files_are(capsys, monkeypatch, tmp_path, server):
    import hashlib

    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "served" / "a.bin").write_bytes(b"content")
    file = File("a.bin", 7, hashlib.sha256(b"content").hexdigest())
    entry = data.ENTRIES["kmnist"]
    changed = type(entry)(**vars(entry) | {"source": Source(server, (file,))})
    monkeypatch.setitem(data.ENTRIES, "kmnist", changed)
    assert main(["data", "fetch", "kmnist"]) == 0
    assert capsys.readouterr().out == f"kmnist: {tmp_path / 'cache' / 'kmnist'}\n"
    assert (tmp_path / "cache" / "kmnist" / "a.bin").read_bytes() == b"content"
    missing = Source(server, (File("b.bin", 7, file.sha256),))
    monkeypatch.setitem(data.ENTRIES, "kmnist", type(entry)(**vars(entry) | {"source": missing}))
    assert "answered 404" in refused(capsys, "data", "fetch", "kmnist")
