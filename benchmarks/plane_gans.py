"""Which stabilisers let a GAN learn narrow modes of the plane: every row of the table, five seeds.

Data: 8 Gaussians on a ring, 25 on a grid of spacing 1, and of spacing 2, all of σ = 0.05. The
recipe ``plane_gan`` names the stabilisers. All of them learn the grid of spacing 1; the plain GAN
and the winners also the others. The winners join several stabilisers and take 16,000 or 20,000
steps. The others take 8,000, whatever a step costs, so that among them only the stabiliser differs.

A row is kept as soon as it is there, with its own commit. Called again, the script goes on; rows of
other settings are made anew. ``--minutes`` cuts a long series into pieces, and ``--only`` names
the stabilisers whose rows are to be made.

Time is that of the one thread on the processor. Sampling and counting are not in it.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from time import process_time
from typing import Any

import torch
from common.record import ROOT, commit_of_code, record

from genlearn.recipes import plane_gan

NAME = "plane_gans"
SEEDS = 5
EVERYWHERE = ("plain", *plane_gan.WINNERS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so many")
    names = list(plane_gan.STABILISERS)
    parser.add_argument("--only", nargs="+", default=names, choices=names, metavar="NAME")
    options = parser.parse_args()

    torch.set_num_threads(1)
    commit, rows = commit_of_code(), recorded()
    for data, stabiliser, seed in series():
        if stabiliser not in options.only or (data, stabiliser, seed) in rows:
            continue
        if process_time() > 60 * options.minutes:
            print("to be continued")
            break
        rows[data, stabiliser, seed] = run(data, stabiliser, seed) | {"commit": commit}
        write([rows[key] for key in series() if key in rows])


def series() -> Iterator[tuple[str, str, int]]:
    """All rows: first what the winners do, then the others, one seed after the other."""
    for seed in range(SEEDS):
        for stabiliser in EVERYWHERE[1:]:
            for data in plane_gan.DATA:
                yield data, stabiliser, seed
    for seed in range(SEEDS):
        for stabiliser in plane_gan.STABILISERS:
            if stabiliser not in EVERYWHERE[1:]:
                yield "grid", stabiliser, seed
    for data in ("ring", "wide-grid"):
        for seed in range(SEEDS):
            yield data, "plain", seed


def run(data: str, stabiliser: str, seed: int) -> dict[str, Any]:
    config = plane_gan.config(data, stabiliser, seed=seed)
    began = process_time()
    trained = plane_gan.train(config)
    seconds = process_time() - began
    figures = plane_gan.evaluate(config, trained.gan)
    return {
        "data": data,
        "stabiliser": stabiliser,
        "seed": seed,
        "modes": figures.modes,
        "of": figures.of,
        "high_quality": round(figures.high_quality, 4),
        "frechet_distance": round(figures.frechet_distance, 5),
        "steps": config.steps,
        "steps_per_second": round(config.steps / seconds, 1),
        "seconds": round(seconds, 1),
        "failed": figures.modes < figures.of or figures.high_quality < 0.9,
    }


def settings() -> dict[str, Any]:
    """All that a row depends on, but for the code."""
    plain = asdict(plane_gan.config("grid", "plain"))
    stabilisers = {}
    for name in plane_gan.STABILISERS:
        mine = asdict(plane_gan.config("grid", name))
        stabilisers[name] = {k: v for k, v in mine.items() if v != plain[k]}
    del plain["data"], plain["seed"]
    return json.loads(json.dumps({"samples": 10_000, "plain": plain, "stabilisers": stabilisers}))


def recorded() -> dict[tuple[str, str, int], dict[str, Any]]:
    """The rows on disk that were made with the settings of now."""
    file = ROOT / "benchmarks" / "results" / f"{NAME}.json"
    if not file.exists():
        return {}
    content, now = json.loads(file.read_text(encoding="utf-8")), settings()
    then = content["settings"]
    if (then["samples"], then["plain"]) != (now["samples"], now["plain"]):
        return {}
    return {
        (row["data"], row["stabiliser"], row["seed"]): row
        for row in content["rows"]
        if then["stabilisers"].get(row["stabiliser"]) == now["stabilisers"].get(row["stabiliser"])
    }


def write(rows: list[dict[str, Any]]) -> None:
    missing = sum(1 for _ in series()) - len(rows)
    parts = [f"{missing} rows are still to come"] if missing else []
    for name in plane_gan.WINNERS:
        for data in plane_gan.DATA:
            mine = [r for r in rows if (r["stabiliser"], r["data"]) == (name, data)]
            if len(mine) == SEEDS:
                modes, of = min(r["modes"] for r in mine), mine[0]["of"]
                least, most = min(r["high_quality"] for r in mine), max(r["seconds"] for r in mine)
                parts.append(f"{name}, {data}: {modes}/{of}, {least:.1%}, {most:.0f} s")
    line = f"the worst of {SEEDS} seeds: " + "; ".join(parts)
    numbers = {
        "command": f"python benchmarks/{NAME}.py",
        "settings": settings(),
        "rows": rows,
    }
    record(
        NAME,
        line,
        numbers,
        seeds=range(SEEDS),
        seconds=sum(row["seconds"] for row in rows),
        seconds_note="processor time of training, the sum of all rows",
    )


if __name__ == "__main__":
    main()
