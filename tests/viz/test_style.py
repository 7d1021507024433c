"""Colours that every reader can tell apart."""

import itertools

import numpy as np
from matplotlib.colors import to_rgb

from genlearn.viz import style, subplots


def lightness(colour: str) -> float:
    """CIE L*, 0 (black) to 100 (white)."""
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)
    )
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return 116 * y ** (1 / 3) - 16 if y > 0.008856 else 903.3 * y


def test_lines_take_the_colours_of_the_cycle():
    _, axes = subplots()
    drawn = [axes.plot([0, 1])[0].get_color() for _ in style.CYCLE]
    assert drawn == list(style.CYCLE)


def test_colours_are_those_of_okabe_and_ito():
    """As printed in Wong (2011), Nature Methods 8, 441: red, green and blue in 0 … 255."""
    printed = [
        (0, 0, 0), (230, 159, 0), (86, 180, 233), (0, 158, 115),
        (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167),
    ]  # fmt: skip
    ours = [tuple(round(255 * c) for c in to_rgb(colour)) for colour in style.COLOURS]
    assert ours == printed


def test_every_line_stands_out_from_the_page():
    """White has a lightness of 100; the colour that is left out, yellow, is too near to it."""
    assert all(lightness(colour) < 75 for colour in style.CYCLE)
    assert lightness(style.YELLOW) > 85
    assert len(set(style.CYCLE)) == len(style.CYCLE)


def test_a_dichromats_eye_can_tell_the_first_four_lines_apart():
    """Seen without long- or medium-wave cones (Viénot, Brettel and Mollon 1999)."""
    see = {
        "protan": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
        "deutan": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
    }
    for matrix in see.values():
        seen = [np.array(matrix) @ np.array(to_rgb(c)) ** 2.2 for c in style.CYCLE[:4]]
        for one, other in itertools.combinations(seen, 2):
            assert np.abs(one - other).max() > 0.05
