"""pyproject.toml, constraints.txt and environment.yml say the same thing about versions."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))

# A reader may choose another PyTorch (TORCH_PIP_ARGS), and with it the sympy that it demands.
READERS_CHOICE = {"torch", "sympy"}


def read_pins() -> dict[str, str]:
    """Normalised name → version, from the lines of constraints.txt that are not comments."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pins}


PINS = read_pins()
DECLARED = [
    Requirement(line)
    for lines in [PROJECT["dependencies"], *EXTRAS.values()]
    for line in lines
    if Requirement(line).name != PROJECT["name"]  # genlearn[book,…] only refers to other extras
]


def installed_version(name: str) -> Version | None:
    try:
        return Version(Version(importlib.metadata.version(name)).public)  # without +cpu
    except importlib.metadata.PackageNotFoundError:
        return None


@pytest.mark.parametrize("requirement", DECLARED, ids=str)
def test_declared_requirement_has_a_pin_that_satisfies_it(requirement):
    assert PINS[canonicalize_name(requirement.name)] in requirement.specifier


def test_everything_that_the_requirements_bring_has_a_pin():
    seen, waiting = set(), [("genlearn", "all")]
    while waiting:
        name, extra = waiting.pop()
        try:
            lines = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # not for this system
        for requirement in map(Requirement, lines):
            # Pins are for Linux; on other systems a few more packages come along, unpinned.
            linux = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
            if requirement.marker and not requirement.marker.evaluate({**linux, "extra": extra}):
                continue
            # PyTorch itself fixes the CUDA libraries that its build needs; a CPU build needs none.
            if name == "torch" and requirement.name.startswith(("nvidia", "cuda", "triton")):
                continue
            for wanted in [(requirement.name, more) for more in ("", *requirement.extras)]:
                if wanted not in seen:
                    seen.add(wanted)
                    if name != "torch":
                        waiting.append(wanted)
    needed = {canonicalize_name(name) for name, _ in seen} - {"genlearn"}
    assert needed - set(PINS) == set()


@pytest.mark.parametrize("name", sorted(set(PINS) - READERS_CHOICE))
def test_installed_version_is_the_pinned_one(name):
    installed = installed_version(name)
    assert installed is None or installed == Version(PINS[name])


def test_constraints_hold_exact_public_versions_only():
    for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines():
        assert re.fullmatch(r"#.*|[\w.-]+==[\w.]+", line), line


def test_conda_gives_only_the_interpreter_and_pip():
    assert ENVIRONMENT["channels"] == ["conda-forge"]
    python, pip = (line for line in ENVIRONMENT["dependencies"] if isinstance(line, str))
    assert pip == "pip"
    name, version = python.split("=")
    assert name == "python"
    assert version in SpecifierSet(PROJECT["requires-python"])


def test_pip_installs_the_project_within_the_constraints():
    (pip,) = (part["pip"] for part in ENVIRONMENT["dependencies"] if isinstance(part, dict))
    assert pip == ["-c constraints.txt", "-e .[all]"]
    together = ",".join(sorted(set(EXTRAS) - {"all"}))
    (everything,) = map(Requirement, EXTRAS["all"])
    assert ",".join(sorted(everything.extras)) == together
