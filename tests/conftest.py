"""What several test modules share."""

import os
from collections.abc import Callable
from pathlib import Path

os.environ["MPLBACKEND"] = "agg"  # before matplotlib is imported: tests open no window

import pytest
import torch

from genlearn.data import FOLDER_VARIABLE, Batches, Split
from genlearn.models import VAE

ROOT = Path(__file__).resolve().parents[1]

torch.set_num_threads(1)  # sums in the same order on every machine, and faster for small models


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests, so that two workers end together."""
    items.sort(key=lambda item: item.path.name != "test_processes.py")


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch, tmp_path):
    """No test depends on what the user has set, or has downloaded."""
    monkeypatch.delenv("GENLEARN_PROFILE", raising=False)
    monkeypatch.setenv("GENLEARN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def no_local_data(monkeypatch):
    """As on a machine without local data sets."""
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)


@pytest.fixture
def real_data(monkeypatch) -> Path:
    """Folder of the real data sets; the test is skipped where there is none."""
    named = os.environ.get(FOLDER_VARIABLE)
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not (folder / "mnist").is_dir():
        pytest.skip(f"the real data sets are not here: {FOLDER_VARIABLE} names no folder of them")
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    return folder


@pytest.fixture
def numbered() -> Callable[..., Batches]:
    """Batches of 1 x 1 images whose one pixel is the image's number, with labels 100 + number."""

    def make(count: int, size: int, seed: int = 0) -> Batches:
        images = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1)
        return Batches(Split(images, torch.arange(count) + 100, 256), size, seed)

    return make


@pytest.fixture
def random_vae() -> Callable[..., VAE]:
    """Make a VAE whose every weight is random; VAE.mlp begins with codes that say nothing."""

    def make(*arguments, seed: int = 0, **options) -> VAE:
        torch.manual_seed(seed)
        vae = VAE.mlp(*arguments, **options)
        with torch.no_grad():
            for parameter in vae.parameters():
                parameter.normal_(std=0.5)
        return vae

    return make


@pytest.fixture
def contents() -> Callable[[Path], dict[str, bytes]]:
    """Read every file of a run but the one that says where and when it was made."""

    def read(folder: Path) -> dict[str, bytes]:
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file() and path.name != "environment.json"
        }

    return read
