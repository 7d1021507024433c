"""Errors that a user can put right.

Each message is one line: what happened, where, and what to do about it. The command line prints it
and exits with code 2; a program error (a bug) keeps its traceback.
"""

import signal


class GenlearnError(Exception):
    """Base of the errors below, so that callers can catch them all."""


class DataError(GenlearnError):
    """A data set is unknown, missing, damaged, or of the wrong shape or range."""


class TrainingError(GenlearnError):
    """Training cannot go on, for example because the loss is no longer finite."""


class RunError(GenlearnError):
    """A run folder or a checkpoint cannot be used as asked."""


class Interrupted(GenlearnError):
    """A signal ended the training; a checkpoint was written, from which it can go on.

    Args:
        number: of the signal.
        step: how many steps are done.
    """

    def __init__(self, number: int, step: int) -> None:
        super().__init__(number, step)  # as they are, so that another process can be told
        self.number, self.step = number, step

    def __str__(self) -> str:
        return f"stopped by {signal.Signals(self.number).name} after step {self.step}"


class FeatureError(GenlearnError):
    """A network whose features are asked for, or its weights, cannot be used as asked."""


class ProcessError(GenlearnError):
    """Several processes cannot be used as asked, or one ended and the others with it."""
