"""Training: objectives, the one loop that descends them, and its state."""

from genlearn.training.loop import evaluating, fit
from genlearn.training.objective import Objective, Step
from genlearn.training.state import Callback, Lap, Training

__all__ = ["Callback", "Lap", "Objective", "Step", "Training", "evaluating", "fit"]
