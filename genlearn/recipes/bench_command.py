"""The command ``genlearn bench``, and what a person sees of its figures."""

import json
import math
from pathlib import Path
from typing import Any, Literal

import tyro

from genlearn.errors import RunError
from genlearn.files import written_whole
from genlearn.recipes.bench import FILE, jobs, measured

HEAD = (
    "", "steps/s", "±", "images/s", "MFLOP", "GFLOP/s", "product", "FLOP/B", "bound", "reached",
    "MB",
)  # fmt: skip
NOTES = """\
steps/s: median over blocks, ± half the distance of their quartiles. images/s: drawn from the data,
for every update of every player. MFLOP: of a step, in products of matrices, convolutions, attention
and recurrent layers, forward and backward; nothing else is counted. product: GFLOP/s as a share of
that ceiling. FLOP/B: for each byte that operations read and write, as if no cache kept any. bound:
the ceiling that is the lower one for this; reached: as a share of it. Where little is reached, time
goes into many small operations, or into numbers that nobody counts; above 100 %, caches helped."""


def bench(
    recipes: tyro.conf.Positional[tuple[str, ...]] = (),
    data: str = "digits",
    profile: str | None = None,
    seconds: float = 3.0,
    steps: int = 0,
    batch_size: int | None = None,
    device: str = "auto",
    precision: Literal["auto", "fp32", "bf16"] | None = None,
    channels_last: Literal["auto", "on", "off"] | None = None,
    compile: bool = False,
    threads: int | None = None,
    out: Path = Path("runs/bench"),
) -> None:
    """Measure training steps: speed, share of what the device can do, memory.

    Nothing is kept of the training. Settings that are not given are those of data set and profile.

    Args:
        recipes: of recipes, or of models of the recipe pixel; by default all recipes that have
            settings for the data.
        data: data set; `genlearn data list` says which there are.
        profile: quick or full; by default what the variable GENLEARN_PROFILE says, or quick.
        seconds: to be spent on the steps of a model that are timed, about.
        steps: to be timed instead; 0: as many as fit.
        batch_size: images a batch.
        device: auto takes CUDA, then MPS, then the CPU.
        precision: as for `genlearn train`.
        channels_last: as for `genlearn train`.
        compile: as for `genlearn train`.
        threads: as for `genlearn train`.
        out: folder for bench.json.
    """
    if not 0 < seconds < math.inf:
        raise RunError(f"--seconds must be above 0 and finite, got {seconds}")
    if steps < 0:
        raise RunError(f"--steps must be at least 0, got {steps}")
    changes = {
        "batch_size": batch_size,
        "device": device,
        "precision": precision,
        "channels_last": channels_last,
        "compile": compile or None,
        "threads": threads,
    }
    work = jobs(recipes, data=data, profile=profile, **changes)
    out.mkdir(parents=True, exist_ok=True)  # an error here comes before the long work
    content: dict[str, Any] = {}
    try:
        for content in measured(work, seconds=seconds, steps=steps, progress=True):
            write(content, out)
    finally:  # also when it was interrupted
        if content:
            print("\n".join(table(content)))
            print(f"figures: {out / FILE}")
    if failed := content["not_measured"]:
        raise RunError(f"not measured: {', '.join(failed)}")


def table(content: dict[str, Any]) -> list[str]:
    """Return the lines of a table, a row for each model, with what is needed to read it."""
    lines = [list(HEAD)]
    for row in content["rows"]:
        spread = (row["third_quartile"] - row["first_quartile"]) / row["seconds_a_step"] / 2
        lines.append(
            [
                row["name"] + " *" * _is_disturbed(row, content["device"]),
                _number(1 / row["seconds_a_step"]),
                f"{spread:.0%}",
                _number(row["images_a_second"]),
                _number(row["flops_a_step"] / 1e6),
                _number(row["flops_a_second"] / 1e9),
                f"{row['share_of_product']:.0%}",
                f"{row['intensity']:.1f}",
                row["bound"],
                f"{row['share_of_bound']:.0%}",
                _number(row["peak_memory_mb"]),
            ]
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [
        "  ".join([first.ljust(widths[0]), *map(str.rjust, cells, widths[1:])]).rstrip()
        for first, *cells in lines
    ]
    text += [f"{name}: not measured: {why}" for name, why in content["not_measured"].items()]
    if disturbed := [row for row in content["rows"] if _is_disturbed(row, content["device"])]:
        taken = 1 - min(row["processor_share"] for row in disturbed)
        text.append(
            f"* other work had the processor for up to {taken:.0%} of the time: measure again"
        )
    text += [
        f"{row['name']}: not counted: {', '.join(row['not_counted'])}"
        for row in content["rows"]
        if row["not_counted"]
    ]
    return [*_head(content), "", *text, "", *NOTES.splitlines(), *_memory(content)]


def _head(content: dict[str, Any]) -> list[str]:
    """On what was measured, and its ceilings."""
    rows = content["rows"]
    if not rows:
        return [f"{content['data']}, {content['profile']}"]
    threads = sorted({row["threads"] for row in rows})
    count = " … ".join(map(str, dict.fromkeys((threads[0], threads[-1]))))
    lines = [
        f"{content['data']}, {content['profile']}; {content['device']}, threads: {count}; "
        f"PyTorch {content['versions']['torch']}"
    ]
    for precision, found in content["ceilings"].items():
        products, copy = found["flops"] / 1e9, found["bytes"] / 1e9
        lines.append(
            f"ceilings: products in {precision} {_number(products)} GFLOP/s, a copy "
            f"{_number(copy)} GB/s; they meet at {products / copy:.1f} FLOP/B"
        )
    return lines


def _is_disturbed(row: dict[str, Any], device: str) -> bool:
    """Whether other work had the processor meanwhile; only one thread never waits by itself."""
    return device == "cpu" and row["threads"] == 1 and row["processor_share"] < 0.95


def _memory(content: dict[str, Any]) -> list[str]:
    if content["device"] not in ("cpu", "mps"):
        return ["MB: the most that tensors on the device took."]
    before = max((row["memory_before_mb"] or 0 for row in content["rows"]), default=0)
    return [
        "MB: the most memory of a process of its own; before the model was built, with Python,",
        f"PyTorch and the data, it had {_number(before)}.",
    ]


def _number(value: float | None) -> str:
    """Three digits, or all before the point; - where nothing is known."""
    if value is None:
        return "-"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def write(content: dict[str, Any], out: Path) -> Path:
    """Write bench.json into a folder, and return the file."""
    with written_whole(out / FILE) as temporary:
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        temporary.write_text(text, encoding="utf-8")
    return out / FILE
