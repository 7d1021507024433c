"""The largest memory of this process, in MiB, since it was last asked; on Linux."""

from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def begin() -> float | None:
    """Forget the largest memory so far, and return the memory now; None where there is no /proc."""
    if not STATUS.exists():
        return None
    CLEAR.write_text("5")
    return _mebibytes("VmRSS")


def most() -> float | None:
    """Return the largest memory since :func:`begin`."""
    return _mebibytes("VmHWM") if STATUS.exists() else None


def _mebibytes(name: str) -> float:
    line = next(row for row in STATUS.read_text().splitlines() if row.startswith(name))
    return int(line.split()[1]) / 1024
