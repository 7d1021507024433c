"""What several test modules share."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

os.environ["MPLBACKEND"] = "agg"  # before matplotlib is imported: tests open no window
os.environ["OMP_NUM_THREADS"] = "1"  # for programs that tests start

import pytest
import safetensors.torch
import torch

from genlearn import data
from genlearn.checkpoints import load_weights
from genlearn.data import FOLDER_VARIABLE, Batches, Split
from genlearn.models import VAE
from genlearn.recipes import RECIPES, evaluation_figures

ROOT = Path(__file__).resolve().parents[1]

torch.set_num_threads(1)  # sums in the same order on every machine, and faster for small models


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests, so that two workers end together."""
    longest = {"test_processes.py", "test_several_processes.py"}
    items.sort(key=lambda item: item.path.name not in longest)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch, tmp_path):
    """No test depends on what the user has set, or has downloaded."""
    monkeypatch.delenv("GENLEARN_PROFILE", raising=False)
    monkeypatch.setenv("GENLEARN_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def _ctrl_c_is_heard():
    """Where the tests run in the background, Ctrl-C is ignored from the start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


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
    """Read every file of a run but those that say where, when and how fast it was made."""

    def read(folder: Path) -> dict[str, bytes]:
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file() and path.name not in ("environment.json", "speed.jsonl")
        }

    return read


@pytest.fixture
def echo(monkeypatch, tmp_path) -> Callable[..., Path]:
    """Make finished runs of a model that says what it is told, on random images 2 x 2.

    Their data set, "toy", has 60 training and 40 test images with 3 kinds of labels.
    """
    generator = torch.Generator().manual_seed(0)

    def split(count: int) -> Split:
        images = torch.randint(256, (count, 1, 2, 2), generator=generator, dtype=torch.uint8)
        return Split(images, torch.arange(count) % 3, 256, "toy")

    dataset = data.Dataset("toy", split(60), split(10), split(40))
    said: dict[float, Callable[[int, int], torch.Tensor]] = {}
    monkeypatch.setattr(data, "load", lambda name: dataset)
    recipe = SimpleNamespace(
        load=lambda run: (
            load_weights(model := torch.nn.Linear(1, 1), run / "w.safetensors") or model
        ),
        sample=lambda model, n, seed, progress: said[model.bias.item()](n, seed),
    )
    monkeypatch.setitem(RECIPES, "echo", recipe)
    monkeypatch.setattr(evaluation_figures, "RESAMPLES", 20)  # enough to see that there are some

    def make(name: str, says: Callable[[int, int], torch.Tensor], test=None) -> Path:
        folder, number = tmp_path / name, float(len(said) + 1)
        (folder / "checkpoint-000001").mkdir(parents=True)
        said[number] = says
        weights = {"weight": torch.ones(1, 1), "bias": torch.tensor([number])}
        for file in (folder / "w.safetensors", folder / "checkpoint-000001" / "w.safetensors"):
            file.write_bytes(safetensors.torch.save(weights))
        (folder / "config.toml").write_text('recipe = "echo"\nshape = [1, 2, 2]\nlevels = 256\n')
        (folder / "result.json").write_text(json.dumps({"data": "toy", "test": test}))
        return folder

    return make
