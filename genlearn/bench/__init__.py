"""What a training step computes and moves, how long it takes, and what the device could do."""

from genlearn.bench.ceilings import Ceilings, measure_ceilings
from genlearn.bench.cost import Cost, CountSteps, cost_of
from genlearn.bench.stopwatch import Stopwatch, Timing

__all__ = [
    "Ceilings",
    "Cost",
    "CountSteps",
    "Stopwatch",
    "Timing",
    "cost_of",
    "measure_ceilings",
]
