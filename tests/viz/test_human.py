"""The widget shows the test's images, hands over its answers and ends with its result."""

import base64
import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from genlearn.metrics import HumanTest
from genlearn.viz import human_test, tile

REAL = torch.randint(17, (6, 1, 4, 4), generator=torch.manual_seed(0), dtype=torch.uint8)
MADE = torch.randint(17, (6, 1, 4, 4), generator=torch.manual_seed(1), dtype=torch.uint8)


@pytest.fixture(params=["pairs", "single"])
def people(request, tmp_path) -> HumanTest:
    return HumanTest(REAL, MADE, 17, kind=request.param, path=tmp_path / "answers.jsonl")


def parts(widget):
    heading, screens, buttons, remark = widget.children
    return heading, screens.children, buttons.children, remark


def seen(screen) -> np.ndarray:
    encoded = re.search(r'src="data:image/png;base64,([^"]*)"', screen.value)[1]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))))


def test_each_question_shows_its_images(people):
    _, screens, buttons, _ = parts(human_test(people))
    while people.question is not None:
        for screen, image in zip(screens, people.shown, strict=True):
            np.testing.assert_array_equal(seen(screen), tile(image[None], 17))
        buttons[0].click()


def test_nothing_but_the_pixels_tells_real_from_made(people):
    _, screens, buttons, remark = parts(human_test(people, feedback=False))
    shells = set()
    while people.question is not None:
        for place, screen in enumerate(screens):
            shells.add((place, re.sub(r"base64,[^\"]*", "", screen.value)))
        buttons[1].click()
        assert "right" not in remark.value or people.question is None
    assert len(shells) == len(screens)


def test_buttons_answer_and_remarks_say_whether_it_was_right(people):
    _, _, buttons, remark = parts(human_test(people))
    truths = [question.truth for question in people.questions]
    for place, truth in enumerate(truths[:-1]):
        chosen = place % 2
        buttons[chosen].click()
        assert people.answers[-1] == people.choices[chosen]
        right = truth == people.choices[chosen]
        assert remark.value == ("That was right." if right else "That was wrong.")


def test_after_the_last_answer_the_result_stands_there(people):
    heading, _, buttons, remark = parts(human_test(people))
    while people.question is not None:
        buttons[people.choices.index(people.question.truth)].click()
    assert "Thank you" in heading.value
    assert all(button.disabled for button in buttons)
    n = people.trials
    assert f"{n} answers, 100 % right" in remark.value
    assert "d′ = ∞" in remark.value


def test_a_new_widget_goes_on_where_the_old_one_was_left(people):
    _, _, buttons, _ = parts(human_test(people))
    buttons[0].click()
    heading, *_ = parts(human_test(people))
    assert f"Question 2 of {people.trials}" in heading.value


def test_an_answer_that_is_not_kept_stays_open_and_the_reason_is_shown(people):
    heading, _, buttons, remark = parts(human_test(people))
    buttons[0].click()
    with people.path.open("a", encoding="utf-8") as file:
        file.write("<b>other</b>\n")
    buttons[0].click()
    assert "changed by another test" in remark.value
    assert "Question 2" in heading.value
