"""Pages made from records while the book is built.

In a Markdown page of the book, ``{{ equations.index }}`` is replaced by what the function ``index``
of the module ``equations`` returns for this project. So these pages cannot fall out of step.
"""

import importlib
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLACE = re.compile(r"\{\{ (\w+)\.(\w+) \}\}")


def fill(text: str, root: Path = ROOT) -> str:
    """Replace each place by what its function returns."""
    return PLACE.sub(
        lambda m: str(getattr(importlib.import_module(m[1]), m[2])(root)), text
    )


def setup(app):
    """Fill the pages as Sphinx reads them; read them anew in every build."""

    def read(app, name, source):
        if app.env.doc2path(name).endswith(".md"):
            source[0] = fill(source[0])

    def outdated(app, env, added, changed, removed):
        pages = {name: Path(env.doc2path(name)) for name in env.found_docs}
        return [
            name
            for name, path in pages.items()
            if path.suffix == ".md" and PLACE.search(path.read_text("utf-8"))
        ]

    app.connect("source-read", read)
    app.connect("env-get-outdated", outdated)
    return {"parallel_read_safe": True}
