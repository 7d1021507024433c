"""The library is small, and its imports run one way."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

LIBRARY = Path(__file__).resolve().parents[1] / "genlearn"
FILES = sorted(LIBRARY.rglob("*.py"))

# What each part may know. errors stands below everything and may be known by all.
SUPPORT = {"data", "devices", "files", "history"}
MAY_KNOW = {
    "errors": set(),
    "files": set(),
    "distributions": set(),
    "nets": set(),
    "losses": set(),
    "gradients": set(),
    "augment": set(),
    "devices": set(),
    "history": {"files"},
    "signals": set(),
    "data": {"files"},
    "sampling": {"distributions", "nets"},
    "models": {"distributions", "nets", "losses", "files", "training", "sampling"},
    "processes": set(),
    "speed": set(),
    "training": {*SUPPORT, "processes", "speed"},
    "viz": {"files", "history"},
    "bench": {*SUPPORT, "training"},
    "throughput": {*SUPPORT, "speed", "training"},
    "checkpoints": {*SUPPORT, "training"},
    "callbacks": {*SUPPORT, "training", "viz", "checkpoints", "signals"},
    "metrics": {*SUPPORT, "training", "viz", "checkpoints", "callbacks"},
}
BELOW = set(MAY_KNOW)
MAY_KNOW["recipes"] = {*BELOW, "genlearn"}  # its own version goes into the record of a run
MAY_KNOW["cli"] = {"recipes", "data", "viz", "signals", "processes", "genlearn"}
MAY_KNOW["genlearn"] = BELOW

HEAVY = {
    "ipywidgets", "lightning_fabric", "matplotlib", "PIL", "safetensors", "skimage",
    "sklearn", "torch_fidelity", "torchmetrics", "tqdm", "tyro",
}  # fmt: skip


def part(file: Path) -> str:
    """The file or folder of the library that a source file belongs to."""
    first = file.relative_to(LIBRARY).parts[0].removesuffix(".py")
    return "genlearn" if first == "__init__" else first


def imported(file: Path) -> set[str]:
    """Names of all modules that a file imports anywhere, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports hide what stands above what"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def own_parts(names: set[str]) -> set[str]:
    """The parts of genlearn among imported names; ``genlearn`` itself for what is in none."""
    inside = {tuple(name.split(".")) for name in names if name.split(".")[0] == "genlearn"}
    found = {path[1] if len(path) > 1 else "genlearn" for path in inside}
    return {name if name in MAY_KNOW else "genlearn" for name in found}


def test_every_part_has_its_place():
    assert {part(file) for file in FILES} == set(MAY_KNOW)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(LIBRARY)))
def test_imports_run_one_way(file):
    allowed = MAY_KNOW[part(file)] | {"errors", part(file)}
    assert own_parts(imported(file)) <= allowed


def test_no_part_stands_above_itself():
    """The table above has no circle, however long."""
    left = dict(MAY_KNOW, genlearn=set())  # __init__ only gathers names
    while left:
        free = [name for name, known in left.items() if not (known - {"genlearn"}) & set(left)]
        assert free, f"these know each other in a circle: {sorted(left)}"
        for name in free:
            del left[name]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(LIBRARY)))
def test_nothing_knows_the_book_or_the_tests(file):
    assert not {name.split(".")[0] for name in imported(file)} & {"book", "tests", "benchmarks"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(LIBRARY)))
def test_a_file_can_be_read_in_one_sitting(file):
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 300


def test_importing_the_library_loads_no_heavy_package():
    """What `import torch` loads by itself is not the library's doing."""
    program = "import json, sys, torch; before = set(sys.modules); import genlearn; "
    program += "print(json.dumps(sorted(set(sys.modules) - before)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = {name.split(".")[0] for name in json.loads(done.stdout)}
    assert "genlearn" in loaded
    assert not loaded & HEAVY
