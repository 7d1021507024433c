"""What the page on problem sets says of them, read from the sets and from the grader."""

import json
import re
import runpy
from pathlib import Path

TITLE = re.compile(r"^# ## Task (\d+): (.*) \((\d+) points\)$", re.MULTILINE)


def tasks_of_p2(root: Path) -> str:
    """Make a table of the tasks of problem set 2 and their points."""
    return _tasks(root, "p2_vae")


def tasks_of_p3(root: Path) -> str:
    """Make a table of the tasks of problem set 3 and their points."""
    return _tasks(root, "p3_gan")


def tasks_of_p4(root: Path) -> str:
    """Make a table of the tasks of problem set 4 and their points."""
    return _tasks(root, "p4_pixels")


def tasks_of_p5(root: Path) -> str:
    """Make a table of the tasks of problem set 5 and their points."""
    return _tasks(root, "p5_evaluation")


def _tasks(root: Path, name: str) -> str:
    text = (root / "assignments" / name / f"{name}.py").read_text("utf-8")
    rows = TITLE.findall(text)
    total = sum(int(points) for _, _, points in rows)
    lines = ["| task | what | points |", "| --- | --- | --- |"]
    lines += [
        f"| {number} | {title} | {points} |" for number, title, points in rows
    ]
    return "\n".join([*lines, f"| all | | **{total}** |"])


def limits(root: Path) -> str:
    """Make a table of the limits of a submission, and the options that set them."""
    module = runpy.run_path(str(root / "tools" / "grading" / "limits.py"))
    means = {
        "cell_seconds": "seconds a cell may run",
        "submission_seconds": "seconds all cells of a submission may run",
        "memory_mb": "megabytes of memory in use, with all that it started",
        "output_kb": "kilobytes that a cell may print",
        "file_mb": "megabytes of the notebook that was handed in",
    }
    lines = ["| limit | of what | option |", "| --- | --- | --- |"]
    for name, value in module["Limits"]()._asdict().items():
        option = name.replace("_", "-")
        lines.append(f"| {value} | {means[name]} | `--{option}` |")
    return "\n".join(lines)


def statuses(root: Path) -> str:
    """List what the column "status" of the marks may hold."""
    module = runpy.run_path(str(root / "tools" / "grading" / "outcome.py"))
    return "\n".join(
        f"- **{status}**: {meaning}."
        for status, meaning in module["MEANING"].items()
    )


def measured(root: Path) -> str:
    """Say how long a batch took, from the record of the benchmark."""
    file = root / "benchmarks" / "results" / "grading.json"
    return json.loads(file.read_text("utf-8"))["summary"]
