"""Recorded results say how they were made, and hold nothing that they should not."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import results_commits as commits
import results_schema as schema

ROOT = Path(__file__).resolve().parents[2]
FILES = schema.files(ROOT)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_record(file):
    assert schema.complaints(ROOT, file) == []


def test_commits_of_records_are_in_this_history_or_declared():
    assert commits.complaints(ROOT) == []


def test_runs_that_differ_in_name_by_their_seed_differ_in_nothing_else():
    """Else what lies between their figures is no spread over seeds."""
    settings: dict[str, list[dict]] = {}
    for file in FILES:
        if schema.is_run(file):
            mine = json.loads(file.read_text("utf-8"))["settings"]
            assert file.stem.endswith(f"-seed{mine.pop('seed')}") or "-seed" not in file.stem
            settings.setdefault(file.stem.partition("-seed")[0], []).append(mine)
    for group in settings.values():
        assert all(mine == group[0] for mine in group)


# --- The schema itself, on a toy.

BENCHMARK = {
    "command": "python benchmarks/toy.py --steps 3",
    "commit": "0123456789ab",
    "date": "2026-11-22",
    "seconds": 1.5,
    "seeds": [0, 1],
    "device": "cpu",
    "threads": 1,
    "machine": {"cpu": "A", "cores": 2, "system": "Linux"},
    "versions": {"genlearn": "0.1.0", "python": "3.11.7", "torch": "2.13.0"},
    "summary": "it is odd",
    "rows": [{"seed": 0, "odd": 0.5}, {"seed": 1, "odd": 0.25}],
}
RUN = {
    "environment": {
        "command": "genlearn train vae --out runs/toy",
        "date": "2026-11-22",
        "seconds": 2.5,
        "training_seconds": 2.0,
        "commit": "0123456789ab+",
        "genlearn": "0.1.0",
        "python": "3.11.7",
        "torch": "2.13.0",
        "machine": "Linux x86_64",
        "device": "cpu",
        "threads": 1,
    },
    "result": {"data": "digits", "test": {"nats": 86.4}},
    "settings": {"recipe": "vae", "data": "digits", "seed": 0},
}
Change = Callable[[dict[str, Any]], Any]


@pytest.fixture
def toy(tmp_path) -> Path:
    for name in ("benchmarks/results/runs", "genlearn/recipes"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "benchmarks" / "toy.py").write_text('record("toy", "", {"rows": []})\n')
    (tmp_path / "benchmarks" / "commits.toml").touch()
    (tmp_path / "genlearn" / "recipes" / "vae.py").touch()
    keep(tmp_path, "toy", BENCHMARK)
    keep(tmp_path, "runs/toy-seed0", RUN)
    return tmp_path


def keep(root: Path, name: str, record: dict[str, Any]) -> Path:
    file = root / "benchmarks" / "results" / f"{name}.json"
    file.write_text(json.dumps(record))
    return file


def test_sound_records_pass(toy):
    files = schema.files(toy)
    assert [file.stem for file in files] == ["toy", "toy-seed0"]
    assert [schema.complaints(toy, file) for file in files] == [[], []]


BROKEN: list[tuple[str, Change, str]] = [
    ("a field is missing", lambda r: r.pop("seconds"), "seconds: missing"),
    ("an inner field is missing", lambda r: r["machine"].pop("cpu"), "machine.cpu: missing"),
    ("a part is missing", lambda r: r.pop("versions"), "versions: missing"),
    ("a part is no part", lambda r: r.update(machine="PC"), "machine.cpu: missing"),
    ("an unknown field", lambda r: r.update(odds=1), "odds: the command does not write it"),
    ("an unknown inner field", lambda r: r["machine"].update(user="x"), "machine.user: unknown"),
    ("no figures", lambda r: r.pop("rows"), "holds no figures"),
    ("no number", lambda r: r.update(seconds="1.5"), "seconds: '1.5' is not what it must be"),
    ("no time", lambda r: r.update(seconds=0), "seconds: 0 is not what it must be"),
    ("no reason", lambda r: r.update(seconds=None), "seconds: none, and seconds_note does not"),
    ("not finite", lambda r: r["rows"][0].update(odd=float("nan")), "no JSON: NaN is no finite"),
    ("no date", lambda r: r.update(date="2026-02-30"), "date: '2026-02-30' is not"),
    ("no commit", lambda r: r.update(commit="main"), "commit: 'main' is not"),
    ("no script", lambda r: r.update(command="python benchmarks/x.py"), "names no script"),
    ("no command", lambda r: r.update(command="make bench"), "names no script"),
    ("a path", lambda r: r.update(summary="see /home/me/x"), "summary: names a path of a machine"),
    ("a path in a row", lambda r: r["rows"][0].update(file="/tmp/x"), "rows.file: names a path"),
    ("a path in a command", lambda r: r.update(command="x --out=~/x"), "command: names a path"),
    ("half a thread", lambda r: r.update(threads=0.5), "threads: 0.5 is not"),
    ("seeds as one", lambda r: r.update(seeds=2), "seeds: 2 is not what it must be"),
    ("other seeds", lambda r: r.update(seeds=[0]), "seeds: [0], but those of the rows are [0, 1]"),
]


def broken_copy(toy: Path, name: str, record: dict[str, Any], change: Change) -> list[str]:
    copy = json.loads(json.dumps(record))
    change(copy)
    return schema.complaints(toy, keep(toy, name, copy))


@pytest.mark.parametrize(("change", "says"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_a_broken_record_of_a_benchmark_is_found(change, says, toy):
    assert any(says in complaint for complaint in broken_copy(toy, "toy", BENCHMARK, change))


BROKEN_RUNS: list[tuple[str, Change, str]] = [
    ("no result", lambda r: r.pop("result"), "result: missing"),
    ("no settings", lambda r: r.update(settings=[]), "settings: [] is not what it must be"),
    ("no commit", lambda r: r["environment"].update(commit=""), "environment.commit: '' is not"),
    ("no date", lambda r: r["environment"].pop("date"), "environment.date: missing"),
    ("an unknown fact", lambda r: r["environment"].update(x=1), "environment.x: unknown"),
    ("another recipe", lambda r: r["settings"].update(recipe="gan"), "does not train what"),
    (
        "no recipe",
        lambda r: (r["settings"].update(recipe="x"), r["environment"].update(command=TRAIN_X)),
        "there is no recipe 'x'",
    ),
    ("other data", lambda r: r["result"].update(data="mnist"), "result.data: is not"),
    ("no seed", lambda r: r["settings"].pop("seed"), "settings.seed: missing"),
]
TRAIN_X = "genlearn train x --out runs/toy"


@pytest.mark.parametrize(
    ("change", "says"), [b[1:] for b in BROKEN_RUNS], ids=[b[0] for b in BROKEN_RUNS]
)
def test_a_broken_record_of_a_run_is_found(change, says, toy):
    assert any(says in complaint for complaint in broken_copy(toy, "runs/toy", RUN, change))


@pytest.mark.parametrize("text", ["", "[1]", '{"command": '])
def test_what_is_no_record_is_found(text, toy):
    file = toy / "benchmarks" / "results" / "toy.json"
    file.write_text(text)
    assert len(schema.complaints(toy, file)) == 1


@pytest.mark.parametrize("text", ["25/25, 95.1%", "a / b", "and/or", "see https://example.org/x"])
def test_a_slash_alone_is_no_path(text, toy):
    assert broken_copy(toy, "toy", BENCHMARK, lambda r: r.update(summary=text)) == []


def test_a_record_of_the_command_bench_passes(toy):
    (toy / "genlearn" / "recipes" / "bench.py").write_text('{"ceilings": {}}')
    command = {"command": "genlearn bench --data digits", "seeds": []}
    record = {name: value for name, value in BENCHMARK.items() if name != "rows"} | command
    assert schema.complaints(toy, keep(toy, "bench", record | {"ceilings": {"fp32": 1e11}})) == []
    assert schema.complaints(toy, keep(toy, "bench", record | {"odds": 1})) == [
        "odds: the command does not write it"
    ]


# --- Commits, on a toy with a history.


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)
    return done.stdout.decode().strip()


@pytest.fixture
def kept_toy(toy) -> Path:
    """The toy with a history of one commit; its records name this one."""
    git(toy, "init", "-q")
    git(toy, "add", "-A")
    git(toy, "commit", "-q", "-m", "A toy")
    here = git(toy, "rev-parse", "HEAD")[:12]
    keep(toy, "toy", BENCHMARK | {"commit": here})
    keep(toy, "runs/toy-seed0", RUN | {"environment": RUN["environment"] | {"commit": here + "+"}})
    return toy


def side_commit(toy: Path) -> str:
    """Change the script on a branch of its own, and return the commit."""
    git(toy, "checkout", "-q", "-b", "side")
    (toy / "benchmarks" / "toy.py").write_text('record("toy", "", {"rows": [1]})\n')
    git(toy, "commit", "-q", "-m", "A side", "benchmarks/toy.py")
    commit = git(toy, "rev-parse", "HEAD")[:12]
    git(toy, "checkout", "-q", "-")
    return commit


def test_a_commit_of_this_history_passes(kept_toy):
    assert commits.complaints(kept_toy) == []


def test_without_a_history_commits_are_not_looked_up(toy):
    assert commits.history(toy) is None
    assert commits.complaints(toy) == []


def test_a_commit_of_another_history_is_found_and_can_be_declared(kept_toy, monkeypatch, capsys):
    here = git(kept_toy, "rev-parse", "HEAD")[:12]
    there = side_commit(kept_toy)
    keep(kept_toy, "toy", BENCHMARK | {"commit": there})
    assert commits.complaints(kept_toy) == [
        f"{there}: in toy, and neither in this history nor declared"
    ]
    monkeypatch.setattr(commits, "ROOT", kept_toy)
    assert commits.main([]) == 0
    declaration = capsys.readouterr().out
    assert f'nearest = "{here}"\ndiffers = ["benchmarks/toy.py"]' in declaration
    (kept_toy / "benchmarks" / "commits.toml").write_text(declaration)
    assert commits.complaints(kept_toy) == []


@pytest.mark.parametrize(
    ("declaration", "says"),
    [
        ('[000000000000]\nnearest = "HERE"\ndiffers = []', "declared, and no record names it"),
        ('[HERE]\nnearest = "HERE"\ndiffers = []', "declared, though it is in this history"),
        ('[HERE]\nnearest = "000000000000"\ndiffers = []', "is not in this history"),
        ('[HERE]\nnearest = "HERE"', "has not just nearest and differs"),
    ],
)
def test_a_false_declaration_is_found(declaration, says, kept_toy):
    here = git(kept_toy, "rev-parse", "HEAD")[:12]
    file = kept_toy / "benchmarks" / "commits.toml"
    file.write_text(declaration.replace("HERE", here))
    assert any(says in complaint for complaint in commits.complaints(kept_toy))


def test_a_commit_that_is_nowhere_is_said_to_be_missing(kept_toy, monkeypatch, capsys):
    keep(kept_toy, "toy", BENCHMARK)
    monkeypatch.setattr(commits, "ROOT", kept_toy)
    assert commits.main([]) == 1
    assert "0123456789ab: in toy, and not in this repository" in capsys.readouterr().err
