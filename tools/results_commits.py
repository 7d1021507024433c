"""The commits that recorded results name: are they in this history?

    python tools/results_commits.py [BRANCH]

prints, for those that are neither in the history of a branch (by default, of what is checked out)
nor declared, what is to be added to benchmarks/commits.toml. They must be in the repository: fetch
them from where they were made.
"""

import json
import re
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import results_schema as schema

ROOT = Path(__file__).resolve().parents[1]
IMPORTED = re.compile(r"^(?:from|import) ([\w.]+)", re.MULTILINE)
RECORDING = "benchmarks/common/record.py"  # writes the figures, and makes none


def main(arguments: list[str]) -> int:
    branch = (arguments or ["HEAD"])[0]
    known = history(ROOT, branch)
    if not known:
        print(f"the history of {branch} is not at hand", file=sys.stderr)
        return 2
    missing = 0
    for commit, users in named_commits(ROOT).items():
        if commit in known or commit in declared(ROOT):
            continue
        if _git(ROOT, "cat-file", "-e", f"{commit}^{{commit}}") is None:
            print(f"{commit}: in {', '.join(users)}, and not in this repository", file=sys.stderr)
            missing += 1
            continue
        near, differs = nearest(ROOT, commit, scripts(ROOT, users), branch)
        print(
            f'[{commit}] # {", ".join(users)}\nnearest = "{near}"\n{_array("differs", differs)}\n'
        )
    return 1 if missing else 0


def history(root: Path, branch: str = "HEAD") -> set[str] | None:
    """Return the first 12 digits of all commits of a history; None where it is not at hand."""
    state = _git(root, "rev-parse", "--show-toplevel", "--is-shallow-repository")
    if state is None:
        return None
    top, shallow = state.splitlines()
    if Path(top).resolve() != root.resolve() or shallow == "true":
        return None
    return {line[:12] for line in (_git(root, "rev-list", branch) or "").splitlines()}


def declared(root: Path) -> dict[str, dict[str, Any]]:
    """Return what ``benchmarks/commits.toml`` says of commits that are not in this history."""
    return tomllib.loads((root / "benchmarks" / "commits.toml").read_text("utf-8"))


def named_commits(root: Path) -> dict[str, list[str]]:
    """Return all commits that records name, and which do."""
    found: dict[str, list[str]] = {}
    for file in schema.files(root):
        for where, value in schema.leaves(json.loads(file.read_text("utf-8"))):
            # Rows have commits of their own; some were measured at another one than made.
            if where.split(".")[-1] in ("commit", "measured_at"):
                users = found.setdefault(value.rstrip("+"), [])
                users += [file.stem] if file.stem not in users else []
    return found


def complaints(root: Path) -> list[str]:
    """Say which commits are neither in this history nor declared, and what is wrongly declared."""
    named, here, known = named_commits(root), declared(root), history(root)
    found = [
        f"{commit}: declared, and no record names it" for commit in here if commit not in named
    ]
    for commit, entry in here.items():
        near, differs = entry.get("nearest"), entry.get("differs")
        if set(entry) != {"nearest", "differs"} or not isinstance(differs, list):
            found.append(f"{commit}: its declaration has not just nearest and differs")
        elif known is not None and near not in known:
            found.append(f"{commit}: its nearest commit {near} is not in this history")
        elif known is not None and commit in known:
            found.append(f"{commit}: declared, though it is in this history")
    if known is not None:
        found += [
            f"{commit}: in {', '.join(users)}, and neither in this history nor declared"
            for commit, users in named.items()
            if commit not in known and commit not in here
        ]
    return found


def scripts(root: Path, names: list[str]) -> set[str]:
    """Return the scripts that wrote the benchmarks' records among these."""
    files = [root / schema.FOLDER / f"{name}.json" for name in names]
    commands = [json.loads(f.read_text("utf-8"))["command"] for f in files if f.is_file()]
    return {command.split()[1] for command in commands if command.startswith("python ")}


def nearest(
    root: Path, commit: str, scripts: set[str], branch: str = "HEAD"
) -> tuple[str, list[str]]:
    """Return the commit of a history whose code is nearest, and which files differ there.

    What counts are the scripts, with what they import from benchmarks/, and the library.
    """
    then = _files(root, commit)
    matter, waiting = {name for name in then if name.startswith("genlearn/")}, set(scripts)
    while waiting:
        script = waiting.pop()
        matter.add(script)
        for module in IMPORTED.findall(_git(root, "show", f"{commit}:{script}") or ""):
            file = f"benchmarks/{module.replace('.', '/')}.py"
            if file in then and file != RECORDING and file not in matter:
                waiting.add(file)

    def candidate(other: str) -> tuple[int, str, list[str]]:
        now = _files(root, other)
        library = {name for name in now if name.startswith("genlearn/")}
        differs = sorted(name for name in matter | library if then.get(name) != now.get(name))
        changed = [name for name in differs if name.startswith("benchmarks/")]
        # Without the script nothing can be repeated there; with another one perhaps.
        away = len(differs) + 2 * len(changed) + 100 * len([n for n in changed if n not in now])
        return away, other[:12], differs

    here = (_git(root, "rev-list", branch) or "").splitlines()
    return min(map(candidate, here), key=lambda found: found[0])[1:]


def _array(name: str, values: list[str]) -> str:
    """Write an array of TOML, on several lines if it is long."""
    line = f"{name} = {json.dumps(values)}"
    if len(line) <= 100:
        return line
    inner = textwrap.fill(", ".join(map(json.dumps, values)) + ",", 96, break_on_hyphens=False)
    return f"{name} = [\n{textwrap.indent(inner, '    ')}\n]"


def _files(root: Path, commit: str) -> dict[str, str]:
    lines = (_git(root, "ls-tree", "-r", commit, "genlearn", "benchmarks") or "").splitlines()
    pairs = [line.split("\t") for line in lines]
    return {name: kind.split()[2] for kind, name in pairs if name.endswith(".py")}


def _git(root: Path, *words: str) -> str | None:
    """Return what git says; None if it fails, or is not there."""
    try:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
