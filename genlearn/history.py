"""What was logged while training."""

import json
from collections.abc import Sequence
from pathlib import Path

from genlearn.files import written_whole


class History:
    """What was logged while training: one row a log point, plain numbers.

    ``rows`` is a list of dicts, each with the key "step"; losses are means since the log point
    before.
    """

    def __init__(self, rows: Sequence[dict[str, float]] = ()) -> None:
        self.rows = list(rows)

    def add(self, step: int, values: dict[str, float]) -> None:
        """Add values to the row of ``step``, which is made if it is not there."""
        if not self.rows or self.rows[-1]["step"] != step:
            self.rows.append({"step": step})
        self.rows[-1].update(values)

    def series(self, name: str) -> tuple[list[int], list[float]]:
        """Return steps and values of one quantity.

        Raises:
            KeyError: if nothing of that name was logged.
        """
        if name not in self.names():
            raise KeyError(f"{name!r} was not logged; there are: {', '.join(self.names())}")
        rows = [row for row in self.rows if name in row]
        return [int(row["step"]) for row in rows], [row[name] for row in rows]

    def lowest(self, name: str) -> tuple[int, float]:
        """Return step and value where one quantity was lowest; of equal values the first.

        Raises:
            KeyError: if nothing of that name was logged.
        """
        steps, values = self.series(name)
        return min(zip(steps, values, strict=True), key=lambda pair: pair[1])

    def write(self, path: Path) -> None:
        """Write a file with one row a line, each a JSON object."""
        with written_whole(path) as temporary:
            text = "".join(json.dumps(row) + "\n" for row in self.rows)
            temporary.write_text(text, encoding="utf-8")

    def __repr__(self) -> str:
        return f"History({len(self.rows)} rows: {', '.join(self.names())})"

    def names(self) -> list[str]:
        """Names of all quantities that were logged."""
        return list(dict.fromkeys(key for row in self.rows for key in row if key != "step"))
