"""Keep the notebooks of the book in step with their text twins.

A chapter is written as ``book/<part>/NN_name.py``, in jupytext's percent format. The notebook of
the same name beside it holds the same cells and their outputs. This program makes it, always to
the same bytes, and the book publishes it as it is.
"""

import argparse
import hashlib
import json
import os
import re
import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

from genlearn.files import written_whole

BOOK = Path(__file__).resolve().parents[1] / "book"
TWIN = re.compile(r"\d\d_.*\.py")
CELL_METADATA = ("tags", "mystnb")  # jupytext adds others, on blank lines
CELL_TIMEOUT = 600  # seconds
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def find_twins(book: Path) -> list[Path]:
    """The text twins below a folder, in reading order."""
    return sorted(path for path in book.rglob("*.py") if TWIN.fullmatch(path.name))


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The cells that run."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def code_digest(notebook: NotebookNode) -> str:
    """Stored with the outputs, it tells later which code they come from."""
    return hashlib.sha256("\0".join(c.source for c in code_cells(notebook)).encode()).hexdigest()


def read_twin(twin: Path) -> NotebookNode:
    """A twin as a notebook without outputs."""
    notebook = jupytext.read(twin, fmt="py:percent")
    for position, cell in enumerate(notebook.cells):
        cell.id = f"{twin.stem[:2]}-{position:03d}"
        for key in set(cell.metadata) - set(CELL_METADATA):
            del cell.metadata[key]
    own = {"code_sha256": code_digest(notebook)}
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "genlearn": own})
    notebook.nbformat, notebook.nbformat_minor = 4, 5  # the first version that has cell ids
    return notebook


def assemble(twin: Path) -> tuple[NotebookNode, str]:
    """Read a twin, and take the stored outputs if they come from the same code.

    Returns:
        The notebook, and what differs from the stored one: "code", "prose", or "" for nothing.
    """
    notebook = read_twin(twin)
    try:
        stored = nbformat.read(twin.with_suffix(".ipynb"), as_version=4)
    except (FileNotFoundError, ValueError):  # none yet, or left unreadable by a merge
        return notebook, "code"
    made_by = stored.metadata.get("genlearn", {}).get("code_sha256")
    if not made_by == code_digest(stored) == code_digest(notebook):
        return notebook, "code"
    for cell, old in zip(code_cells(notebook), code_cells(stored), strict=True):
        cell.outputs, cell.execution_count = old.outputs, old.execution_count
    if "widgets" in stored.metadata:
        notebook.metadata.widgets = stored.metadata.widgets
    return notebook, "" if notebook == stored else "prose"


def execute(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """Run a notebook with ``folder`` as its working folder; two runs give the same bytes.

    Raises:
        RuntimeError: if a cell fails; the message names the cell and holds the traceback.
    """
    notebook.metadata.pop("widgets", None)
    started = []
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        kernel_name=KERNEL["name"],
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--log-level=ERROR"],  # no word on the kernel's transport
        record_timing=False,
        coalesce_streams=True,  # how a stream is cut into messages depends on the clock
        on_cell_execute=lambda cell, cell_index: started.append(cell.id),
    )
    # Where this variable is set, figures would be words instead of pictures.
    environment = {k: v for k, v in os.environ.items() if k != "MPLBACKEND"}
    try:
        client.execute(env=environment)
    except Exception as error:  # a cell raised, took too long, or killed the kernel
        place = f"cell {started[-1]}" if started else "the kernel"
        raise RuntimeError(f"{place} failed\n{error}") from error
    del notebook.metadata["language_info"]  # names the version of Python
    return number_widgets(notebook)


def number_widgets(notebook: NotebookNode) -> NotebookNode:
    """Replace the random ids of widget models by running numbers, in order of creation."""
    widgets = notebook.metadata.get("widgets", {})
    models = widgets.get("application/vnd.jupyter.widget-state+json", {}).get("state", {})
    text = json.dumps(notebook)
    for number, model in enumerate(models):
        text = text.replace(model, f"{number:032x}")
    return nbformat.from_dict(json.loads(text))


def update(twin: Path, run: bool) -> str:
    """Bring the notebook of a twin up to date, running it only if it must; say what was done."""
    notebook, change = assemble(twin)
    if run or change == "code":
        begin = time.perf_counter()
        notebook = execute(notebook, twin.parent)
        done = f"executed in {time.perf_counter() - begin:.1f} s"
    elif change == "prose":
        done = "prose refreshed"
    else:
        return "in step"
    with written_whole(twin.with_suffix(".ipynb")) as path:
        nbformat.write(notebook, path)
    return done


def main(arguments: list[str] | None = None, book: Path = BOOK) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(description="Bring notebooks in step with their text twins.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="chapters (all those of the book)")
    parser.add_argument("--all", action="store_true", help="run also those whose code is the same")
    parser.add_argument("--check", action="store_true", help="only name those out of step; exit 1")
    options = parser.parse_args(arguments)
    twins = {twin.stem: twin for twin in find_twins(book)}
    if unknown := set(options.names) - set(twins):
        parser.exit(2, f"no chapter {', '.join(sorted(unknown))}; there is {', '.join(twins)}\n")
    chosen = [twin for name, twin in twins.items() if not options.names or name in options.names]

    if options.check:
        late = [twin.stem for twin in chosen if assemble(twin)[1]]
        if late:
            print(f"out of step: {', '.join(late)}; run: make notebooks", file=sys.stderr)
        return 1 if late else 0

    os.environ.update(OMP_NUM_THREADS="1", GENLEARN_PROFILE="quick")  # for the kernels
    for twin in chosen:
        try:
            print(f"{twin.stem}: {update(twin, options.all)}", flush=True)
        except RuntimeError as error:
            print(f"{twin.stem}: {error}\nIts notebook is as it was.", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
