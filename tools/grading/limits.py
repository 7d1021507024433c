"""What a submission may use."""

from typing import NamedTuple


class Limits(NamedTuple):
    """Limits of a cell and of a whole submission."""

    cell_seconds: float = 30
    """Time of one cell."""
    submission_seconds: float = 120
    """Time of all cells together, repetitions included."""
    memory_mb: int = 2048
    """Memory in use (RSS) of the kernel and all that it started."""
    output_kb: int = 512
    """What one cell may print or show."""
    file_mb: int = 10
    """Size of the notebook that was handed in; a file that it writes may be ten times as large."""
