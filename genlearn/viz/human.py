"""A test of people, where a kernel runs.

In a static page, which has no kernel, the book's directive ``{judging}`` does the same with images
that travel along.
"""

import html
import math
from functools import partial
from typing import Any

import ipywidgets

from genlearn.errors import GenlearnError
from genlearn.viz.images import tile
from genlearn.viz.widgets import picture

ASKED = {"pairs": "Which image is real?", "single": "Is this image real, or made by a model?"}
BUTTONS = {"left": "The left one", "right": "The right one", "real": "Real", "made": "Made"}
HINT = "Press a button. Where no kernel runs, nothing will happen."


def human_test(test: Any, *, feedback: bool = True) -> ipywidgets.VBox:
    """Put a test to whoever sits in front of the screen; the result appears after the last answer.

    Args:
        test: a :class:`genlearn.metrics.HumanTest`. It keeps the answers, so that one may stop at
            any time; another call with the same test, or one made anew from its file, goes on.
        feedback: whether to say after each answer if it was right. People learn from it, so it
            does not belong into a measurement.
    """
    heading, remark = ipywidgets.HTML(), ipywidgets.HTML(HINT)
    screens = [ipywidgets.HTML(layout=ipywidgets.Layout(width="12em")) for _ in range(_width(test))]
    buttons = {name: ipywidgets.Button(description=BUTTONS[name]) for name in test.choices}

    def show() -> None:
        if test.question is None:
            heading.value = "All questions are answered. Thank you."
            remark.value = described(test.result())
            for screen in screens:
                screen.value = ""
            for button in buttons.values():
                button.disabled = True
            return
        heading.value = (
            f"<b>{ASKED[test.kind]}</b> Question {len(test.answers) + 1} of {test.trials}."
        )
        # One by one and in the same way, so that nothing but the pixels tells them apart.
        for screen, image, name in zip(screens, test.shown, _captions(test), strict=True):
            screen.value = picture(tile(image[None], test.levels), name)

    def press(name: str, _: Any) -> None:
        try:
            right = test.answer(name)
        except (GenlearnError, ValueError) as error:
            remark.value = html.escape(str(error))
            return
        said = "That was right." if right else "That was wrong."
        remark.value = said if feedback else "Kept."
        show()

    for name, button in buttons.items():
        button.on_click(partial(press, name))
    show()
    return ipywidgets.VBox(
        [heading, ipywidgets.HBox(screens), ipywidgets.HBox(list(buttons.values())), remark]
    )


def described(result: Any) -> str:
    """Say a result in a sentence or two; ``result`` is a :class:`genlearn.metrics.HumanResult`."""
    right, d_prime = result.right, result.d_prime
    percent = f"{100 * right.low:.0f} … {100 * right.high:.0f} %"
    text = (
        f"{result.answers} answers, {100 * right.value:.0f} % right ({percent}). "
        f"d′ = {_number(d_prime.value)}, 95 % interval {_number(d_prime.low)} … "
        f"{_number(d_prime.high)}."
    )
    if not math.isnan(result.criterion):
        text += f" Criterion {_number(result.criterion)}."
    return text


def _number(x: float) -> str:
    if math.isnan(x):
        return "unknown"
    if math.isinf(x):
        return "∞" if x > 0 else "−∞"
    return f"{x:.2f}".replace("-", "−")


def _width(test: Any) -> int:
    return 2 if test.kind == "pairs" else 1


def _captions(test: Any) -> tuple[str, ...]:
    return ("left", "right") if test.kind == "pairs" else ("one image",)
