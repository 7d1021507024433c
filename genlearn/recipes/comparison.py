"""Set evaluated runs side by side, where their figures may be compared."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genlearn.errors import RunError
from genlearn.files import written_whole
from genlearn.recipes.evaluation import FILE, FORMAT, columns, weights_checksum
from genlearn.recipes.evaluation_report import Columns, picture

_MUST_AGREE = {
    "data": ("data",),
    "the training images": ("sha256", "train"),
    "the test images": ("sha256", "test"),
    "features": ("features", "name"),
    "the weights of the features": ("features", "sha256"),
    "the number of samples": ("samples",),
    "the level of the intervals": ("level",),
}
"""Without these two figures are not of the same thing; where they stand in evaluation.json."""

_HOLDS = {
    "format": int, "recipe": str, "data": str, "levels": int, "features": dict, "samples": int,
    "seed": int, "test_images": int, "training_images_as_samples": int, "level": float,
    "figures": dict, "sha256": dict,
}  # fmt: skip


def compare(runs: Sequence[Path]) -> dict[str, Any]:
    """Gather the evaluations of runs, after a look at whether they compare.

    Args:
        runs: folders, two or more, each evaluated by the same features, on the same data, with as
            many samples.

    Returns:
        What comparison.json holds.

    Raises:
        RunError: if a run was not evaluated, or has changed since; if figures do not compare; or
            if there are not two runs, or one is named twice.
    """
    if len(runs) < 2:
        raise RunError("there must be two runs or more to compare")
    again = [run for run, n in Counter(Path(run).resolve() for run in runs).items() if n > 1]
    if again:
        raise RunError(f"{again[0]}: named twice; name each run once")
    evaluations = dict(zip(_names(runs), map(read_evaluation, runs), strict=True))
    first, *others = evaluations
    for other in others:
        for what, path in _MUST_AGREE.items():
            one, two = (_at(evaluations[name], path) for name in (first, other))
            if one != two:
                shown = "" if "sha256" in path else f" ({one} and {two})"
                raise RunError(
                    f"{first} and {other} do not compare: {what} differ{shown}; evaluate both alike"
                )
    shared = evaluations[first]
    kept = ("data", "levels", "features", "samples", "test_images", "training_images_as_samples")
    return {
        "format": FORMAT,
        **{name: shared[name] for name in (*kept, "level")},
        "runs": {
            name: {
                "recipe": content["recipe"],
                "seed": content["seed"],
                "likelihood": content["likelihood"],
                "figures": content["figures"]["samples"],
                "sha256": content["sha256"]["weights"],
            }
            for name, content in evaluations.items()
        },
        "training images": _beside(evaluations),
    }


def comparison_columns(content: dict[str, Any]) -> Columns:
    """Return the figures of a comparison by column of its table."""
    beside = content["training images"]
    found = {}
    for name, run in content["runs"].items():
        figures = {"samples": run["figures"], "training images": beside}
        found[name] = columns({"likelihood": run["likelihood"], "figures": figures})["samples"]
    return {**found, "training images": beside}


def write_comparison(content: dict[str, Any], out: Path) -> Path:
    """Write comparison.json and comparison.png into a folder; return the picture."""
    from genlearn import viz  # matplotlib is slow to import

    path = out / "comparison.png"
    viz.save_figure(picture(comparison_columns(content), content), path)
    with written_whole(out / "comparison.json") as temporary:
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        temporary.write_text(text, encoding="utf-8")
    return path


def read_evaluation(run: Path) -> dict[str, Any]:
    """Return the content of a run's evaluation.json.

    Raises:
        RunError: if there is none, it is damaged, or the run has changed since.
    """
    file = run / FILE
    if not run.is_dir():
        raise RunError(f"{run}: there is no such folder")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{run}: not evaluated yet; run: genlearn evaluate {run}") from None
    except OSError as error:
        raise RunError(f"{file}: {error.strerror}; check the path") from None
    except ValueError:  # no JSON, or no text
        content = None
    if not _is_whole(content):
        raise RunError(f"{file}: damaged, or of another version; run: genlearn evaluate {run}")
    if (now := weights_checksum(run)) is not None and now != content["sha256"]["weights"]:
        raise RunError(f"{run}: trained on since its evaluation; run: genlearn evaluate {run}")
    return content


def _is_whole(content: Any) -> bool:
    """Whether something read from a file is what an evaluation writes."""
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        return False
    if not all(isinstance(content.get(name), kind) for name, kind in _HOLDS.items()):
        return False
    likelihood, groups = content.get("likelihood", ""), content["figures"]
    tables = [groups.get("samples"), groups.get("training images")]
    if likelihood is not None:
        if not isinstance(likelihood, dict) or not isinstance(likelihood.get("kind"), str):
            return False
        tables.append({name: likelihood.get(name) for name in ("nats", "bits_per_dim")})
    sums = all(isinstance(content["sha256"].get(n), str) for n in ("weights", "train", "test"))
    named = isinstance(content["features"].get("name"), str)
    counted = isinstance(content["features"].get("count"), int)
    return sums and named and counted and all(map(_is_table, tables))


def _is_table(figures: Any) -> bool:
    """Whether these are figures by name, each with a value and the ends of an interval."""
    if not isinstance(figures, dict):
        return False
    ends = ("value", "low", "high")
    return all(
        isinstance(figure, dict)
        and all(isinstance(figure.get(name, ""), int | float | None) for name in ends)
        for figure in figures.values()
    )


def _names(runs: Sequence[Path]) -> list[str]:
    """Short names: of the folders, or their whole paths if two folders have the same name."""
    names = [Path(run).resolve().name for run in runs]
    return names if len(set(names)) == len(names) else [str(run) for run in runs]


def _beside(evaluations: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Figures of the training images; one that only some runs have, such as of labels, too."""
    beside: dict[str, Any] = {}
    for content in evaluations.values():
        beside = {**content["figures"]["training images"], **beside}
    return beside


def _at(content: dict[str, Any], path: tuple[str, ...]) -> Any:
    for name in path:
        content = content.get(name)
    return content
