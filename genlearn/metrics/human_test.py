"""A test of people: which images they are shown, and their answers, kept in a file as they come."""

import hashlib
import json
import math
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genlearn.errors import DataError
from genlearn.files import written_whole
from genlearn.metrics.human import (
    criterion_from_rates,
    interval_from_pairs,
    interval_from_rates,
    wilson,
)
from genlearn.metrics.interval import Interval

CHOICES = {"pairs": ("left", "right"), "single": ("real", "made")}
MARK = "answers of a human test"  # by which a file is known
UNKNOWN = Interval(math.nan, -math.inf, math.inf)


class Question(NamedTuple):
    """One question; of single images, one of ``real`` and ``made`` is None."""

    real: int | None
    """Place of the real image among the real ones."""
    made: int | None
    """Place of the made image among the made ones."""
    truth: str
    """The right answer: where the real image of a pair stands, or what the single one is."""


class HumanResult(NamedTuple):
    """What the answers so far say, each figure with its 95 % interval."""

    answers: int
    right: Interval
    """Share of right answers."""
    d_prime: Interval
    """By :func:`interval_from_pairs` or :func:`interval_from_rates`; nan while it is unknown."""
    criterion: float
    """Of single images, by :func:`criterion_from_rates`; nan for pairs, which have none."""


class HumanTest:
    """Real and made images, put to a person in an order that a seed draws.

    Of pairs one asks which is real, with the real one left or right by the toss of a coin; of
    single images, whether it is real or made, half of each. No image comes twice.

    Args:
        real, made: uint8 levels, shapes (N, C, H, W) and (M, C, H, W).
        levels: number of levels of both.
        kind: "pairs" or "single".
        trials: number of questions; None asks as many as there are images for.
        seed: of the order.
        path: where the answers are kept, one JSON line each, on the disk before the next question
            is asked; the test goes on where the file ends. None keeps them in memory.

    Attributes:
        answers: given so far, such as ["left", "right"].

    Raises:
        ValueError: if the images or the number of questions do not fit.
        DataError: if the file cannot be read, is damaged, or belongs to another test.
    """

    def __init__(
        self,
        real: Tensor,
        made: Tensor,
        levels: int,
        *,
        kind: str = "pairs",
        trials: int | None = None,
        seed: int = 0,
        path: Path | str | None = None,
    ) -> None:
        shapes = tuple(real.shape), tuple(made.shape)
        if any(len(s) != 4 or 0 in s for s in shapes) or shapes[0][1:] != shapes[1][1:]:
            raise ValueError(f"real and made images must be (N, C, H, W), alike; got {shapes}")
        highest = max(images.max().item() for images in (real, made))
        if {real.dtype, made.dtype} != {torch.uint8} or highest >= levels:
            raise ValueError(f"images must be uint8 levels, 0 … {levels - 1}")
        if kind not in CHOICES:
            raise ValueError(f'kind must be "pairs" or "single", got {kind!r}')
        each = 1 if kind == "pairs" else 2
        most = each * min(len(real), len(made))
        trials = most if trials is None else trials
        if not 1 <= trials <= most or trials % each:
            even = "" if kind == "pairs" else ", and even"
            raise ValueError(f"trials must be 1 … {most}{even}, got {trials}")
        self.real, self.made, self.levels = real.cpu(), made.cpu(), levels
        self.kind, self.choices = kind, CHOICES[kind]
        self.trials, self.seed = trials, seed
        self.questions = self._drawn()
        self.path = None if path is None else Path(path)
        self.answers, self._whole, self._size = self._kept()

    @property
    def question(self) -> Question | None:
        """The next question, or None when all are answered."""
        place = len(self.answers)
        return self.questions[place] if place < self.trials else None

    @property
    def shown(self) -> Tensor:
        """The images of the next question, (2, C, H, W) from left to right, or (1, C, H, W).

        Raises:
            ValueError: if all questions are answered.
        """
        if self.question is None:
            raise ValueError("all questions are answered")
        real, made, truth = self.question
        if self.kind == "single":
            return self.made[made, None] if real is None else self.real[real, None]
        pair = [self.real[real], self.made[made]]
        return torch.stack(pair if truth == "left" else pair[::-1])

    def answer(self, choice: str) -> bool:
        """Keep the answer to the next question; say whether it is right.

        Args:
            choice: one of ``choices``.

        Raises:
            ValueError: if that is no choice, or all questions are answered.
            DataError: if the answer cannot be kept; the question is then still open.
        """
        question = self.question
        if question is None:
            raise ValueError("all questions are answered")
        if choice not in self.choices:
            raise ValueError(f"the answer must be one of {self.choices}, got {choice!r}")
        if self.path is not None:
            self._keep(self._line(len(self.answers), choice))
        self.answers.append(choice)
        return choice == question.truth

    def result(self) -> HumanResult:
        """Reckon with the answers so far.

        Raises:
            ValueError: if there is none.
        """
        if not self.answers:
            raise ValueError("there is no answer yet")
        truths = [question.truth for question in self.questions]
        given = list(zip(truths, self.answers, strict=False))  # truths of open questions are left
        right = wilson(sum(truth == answer for truth, answer in given), len(given))
        if self.kind == "pairs":
            d_prime = interval_from_pairs(round(right.value * len(given)), len(given))
            return HumanResult(len(given), right, d_prime, math.nan)
        hits, false = (given.count((truth, "real")) for truth in self.choices)
        real = truths[: len(given)].count("real")
        made = len(given) - real
        if not (real and made):
            return HumanResult(len(given), right, UNKNOWN, math.nan)
        d_prime = interval_from_rates(hits, real, false, made)
        return HumanResult(
            len(given), right, d_prime, criterion_from_rates(hits / real, false / made)
        )

    def _drawn(self) -> list[Question]:
        generator = torch.Generator().manual_seed(self.seed)
        real, made = (
            torch.randperm(len(images), generator=generator).tolist()
            for images in (self.real, self.made)
        )
        if self.kind == "pairs":
            coins = torch.randint(2, (self.trials,), generator=generator).tolist()
            pairs = zip(real, made, coins, strict=False)
            return [Question(one, other, self.choices[coin]) for one, other, coin in pairs]
        half = self.trials // 2
        singles = [Question(place, None, "real") for place in real[:half]]
        singles += [Question(None, place, "made") for place in made[:half]]
        order = torch.randperm(self.trials, generator=generator).tolist()
        return [singles[place] for place in order]

    # --- The file.

    def _header(self) -> dict[str, Any]:
        digest = hashlib.sha256()
        for images in (self.real, self.made):
            digest.update(str(tuple(images.shape)).encode() + images.numpy().tobytes())
        about = {"kind": self.kind, "trials": self.trials, "seed": self.seed}
        return {"file": MARK, **about, "images_sha256": digest.hexdigest()}

    def _line(self, place: int, choice: str) -> dict[str, Any]:
        return {"trial": place, **self.questions[place]._asdict(), "answer": choice}

    def _kept(self) -> tuple[list[str], int, int]:
        """The answers in the file, the bytes that its whole lines take, and all its bytes."""
        if self.path is None or not self.path.exists():
            return [], 0, 0
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error.strerror}") from error
        # What follows the last line break was being written when its process was killed.
        *lines, rest = content.split(b"\n")
        header = _json(lines[0]) if lines else None
        if not isinstance(header, dict) or header.get("file") != MARK:
            raise DataError(f"{self.path} holds no answers of a human test; name another file")
        for key, value in self._header().items():
            if header.get(key) != value:
                raise DataError(
                    f"{self.path} holds answers to another test: its {key} is "
                    f"{header.get(key)}, not {value}; name another file"
                )
        answers: list[str] = []
        for place, line in enumerate(lines[1:]):
            found = _json(line)
            choice = found.get("answer") if isinstance(found, dict) else None
            if (
                place >= self.trials
                or choice not in self.choices
                or found != self._line(place, choice)
            ):
                raise DataError(
                    f"{self.path}, line {place + 2}, is no answer to question {place + 1}; "
                    "repair it, or name another file"
                )
            answers.append(choice)
        return answers, len(content) - len(rest), len(content)

    def _keep(self, line: dict[str, Any]) -> None:
        """Append a line; it is on the disk when this returns, and else the file is as it was."""
        try:
            if self._size == 0 and not self.path.exists():
                with written_whole(self.path) as temporary:
                    temporary.write_bytes(_bytes(self._header()))
                self._whole = self._size = self.path.stat().st_size
            with self.path.open("r+b", buffering=0) as file:
                if os.fstat(file.fileno()).st_size != self._size:
                    raise DataError(
                        f"{self.path} was changed by another test; this answer is not kept"
                    )
                whole = _bytes(line)
                try:
                    file.truncate(self._whole)
                    file.seek(self._whole)
                    if file.write(whole) != len(whole):
                        raise OSError(0, "the disk is full")
                    os.fsync(file.fileno())
                except BaseException:
                    with suppress(OSError):
                        file.truncate(self._whole)
                        self._size = self._whole
                    raise
        except OSError as error:
            raise DataError(f"{self.path}: the answer is not kept: {error.strerror}") from error
        self._whole = self._size = self._whole + len(whole)


def _bytes(line: dict[str, Any]) -> bytes:
    return json.dumps(line).encode() + b"\n"


def _json(line: bytes) -> Any:
    """What a line says, or None if it is damaged."""
    try:
        return json.loads(line)
    except ValueError:  # of JSON and UTF-8
        return None
