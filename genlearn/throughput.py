"""How fast a training goes, and how much memory it takes."""

import json
import math
from pathlib import Path

from genlearn.history import History
from genlearn.speed import peak_memory
from genlearn.training import Callback, Training


class Throughput(Callback):
    """Write speed.jsonl: steps and images a second, and the most memory so far, in MB.

    One row a log point, of the steps since the one before. What callbacks do at log points, such as
    evaluations and pictures, is left out; what they do between two of them counts, and so do the
    first calls of compiled networks. These rows have no place in the history, which is equal for
    equal runs. A run that goes on adds to the rows of its first part.

    Args:
        folder: where the file goes.
        batch_size: images a batch; those of all processes and objectives count.
        every: steps between writings; it is also written after the last step.
    """

    def __init__(self, folder: Path, batch_size: int, every: int) -> None:
        self.file, self.batch_size, self.every = Path(folder) / "speed.jsonl", batch_size, every
        self.rows: History | None = None
        self.written = 0

    def after_step(self, training: Training) -> None:
        """Add a row at a log point; write the file when it is time."""
        if training.pending or training.lap is None or training.group.rank:
            return  # no log point
        if self.rows is None:
            self.rows = History(self._rows_before(training.step))
        lap = training.lap
        images = lap.draws * self.batch_size * training.group.size
        device = training.objectives[0].parameters[0].device
        row = {
            "steps_per_second": lap.steps / lap.seconds,
            "images_per_second": images / lap.seconds,
            "memory_mb": peak_memory(device),
        }
        row = {name: round(value, 2) for name, value in row.items() if math.isfinite(value)}
        self.rows.add(training.step, row)
        if training.over or training.step - self.written >= self.every:
            self.rows.write(self.file)
            self.written = training.step

    def _rows_before(self, step: int) -> list[dict[str, float]]:
        """Return the rows of an earlier part of the run; none where they cannot be read."""
        try:
            rows = [json.loads(line) for line in self.file.read_text().splitlines()]
            return [row for row in rows if row["step"] < step]
        except (OSError, ValueError, LookupError, TypeError):
            return []
