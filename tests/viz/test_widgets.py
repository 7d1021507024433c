"""A slider carries all its pictures, and needs no kernel."""

import base64
import io
import re

import ipywidgets
import numpy as np
import pytest
from PIL import Image

from genlearn.viz import slider, subplots

FRAMES = [np.full((2, 3), value, np.uint8) for value in (10, 20, 30)]


def picture(html: str) -> Image.Image:
    encoded = re.search(r'src="data:image/png;base64,([^"]*)"', html).group(1)
    return Image.open(io.BytesIO(base64.b64decode(encoded)))


def test_each_frame_is_in_the_page_with_its_caption():
    _, stack = slider(FRAMES, ["ten", "twenty", "thirty"], "value").children
    for frame, caption, child in zip(
        FRAMES, ["ten", "twenty", "thirty"], stack.children, strict=True
    ):
        np.testing.assert_array_equal(np.asarray(picture(child.value)), frame)
        assert f'alt="{caption}"' in child.value
        assert f"<div>{caption}</div>" in child.value


def test_the_slider_reaches_every_frame_and_begins_where_the_picture_does():
    control, stack = slider(FRAMES, ["a", "b", "c"], "value").children
    assert (control.min, control.max, control.description) == (0, 2, "value")
    assert control.value == stack.selected_index


def test_slider_and_pictures_are_linked_in_the_browser(monkeypatch):
    """By jslink, whose link is a part of the page; a Python callback would need a kernel."""
    links = []
    monkeypatch.setattr(ipywidgets, "jslink", lambda *ends: links.append(ends))
    control, stack = slider(FRAMES, ["a", "b", "c"], "value").children
    assert links == [((control, "value"), (stack, "selected_index"))]


def test_a_caption_is_text_not_html():
    _, stack = slider(FRAMES[:1], ['p < "0.5" & q'], "value").children
    assert 'alt="p &lt; &quot;0.5&quot; &amp; q"' in stack.children[0].value


def test_a_figure_can_be_a_frame():
    figure, axes = subplots(height=1)
    axes.plot([0, 1])
    _, stack = slider([figure], ["a line"], "value").children
    assert picture(stack.children[0].value).size == (936, 130)  # 7.2 x 1 inches at 130


def test_captions_must_match_the_frames():
    with pytest.raises(ValueError, match="3 frames need as many captions, got 1"):
        slider(FRAMES, ["one"], "value")
