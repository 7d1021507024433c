"""What is drawn on the fly is what its factors say, and the same everywhere."""

import hashlib
import math

import numpy as np
import pytest
import torch

from genlearn import data
from genlearn.data import chance, glyphs, shapes
from genlearn.data.split import Split
from genlearn.errors import DataError

# Corners of the straight shapes in the unit circle, and area and centroid of the half-disc.
TRIANGLE = [(1, 0), (-0.8, 0.6), (-0.8, -0.6)]
ANGLE_IRON = [(-0.7, -0.7), (0.7, -0.7), (0.7, -0.1), (-0.1, -0.1), (-0.1, 0.7), (-0.7, 0.7)]
HALF_DISC = (math.pi / 2, (4 / (3 * math.pi), 0.0))


def measure(corners: list[tuple[float, float]]) -> tuple[float, tuple[float, float]]:
    """Area and centroid of a polygon, by the shoelace formula."""
    (x0, y0), (x1, y1) = np.array(corners).T, np.roll(corners, -1, axis=0).T
    cross = x0 * y1 - x1 * y0
    area = cross.sum() / 2
    centre = ((x0 + x1) @ cross / (6 * area), (y0 + y1) @ cross / (6 * area))
    return abs(area), centre


MEASURES = [measure(TRIANGLE), HALF_DISC, measure(ANGLE_IRON)]


@pytest.fixture(scope="module")
def drawn_shapes():
    return data.load("shapes")


@pytest.fixture(scope="module")
def drawn_glyphs():
    return data.load("glyphs")


def digest(dataset: data.Dataset) -> str:
    parts = (dataset.train, dataset.valid, dataset.test)
    return hashlib.sha256(b"".join(p.images.numpy().tobytes() for p in parts)).hexdigest()[:16]


def test_random_bits_are_those_of_the_published_generator():
    """PCG64 by its recurrence, in integers of 128 bits, from the state that seed 0 gives."""
    state = np.random.PCG64(0).state["state"]
    value, step, mask = state["state"], state["inc"], 2**128 - 1
    expected = []
    for _ in range(6):
        value = (value * 0x2360ED051FC65DA44385DF649FCCF645 + step) & mask
        mixed, turn = (value >> 64) ^ (value & (2**64 - 1)), value >> 122
        bits = (mixed >> turn | mixed << (64 - turn)) & (2**64 - 1)
        expected.append((bits >> 11) / 2**53)
    np.testing.assert_array_equal(chance.uniform(0, 2, 3), np.reshape(expected, (2, 3)))
    assert sorted(chance.permutation(3, 1000)) == list(range(1000))
    assert chance.uniform(0, 100_000).mean() == pytest.approx(0.5, abs=0.005)


def test_an_exact_half_is_rounded_alike_on_both_sides():
    half = 127.5 / 255
    around = np.array([np.nextafter(half, 0), half, np.nextafter(half, 1)])
    assert chance.to_levels(around).tolist() == [128, 128, 128]
    assert chance.to_levels(np.array([0.0, 0.1, 1.0])).tolist() == [0, 26, 255]


def test_a_shape_covers_its_area(drawn_shapes):
    """White in all = area x scale²; at sharp corners the shares of pixels are less exact."""
    split = drawn_shapes.train
    kind, scale = split.factors[:, 0].long(), split.factors[:, 1]
    area = torch.tensor([area for area, _ in MEASURES])[kind] * scale**2
    white = split.images.double().flatten(1).sum(1) / 255
    assert (white / area - 1).abs().max() < 0.1
    for k in range(3):
        assert (white / area)[kind == k].mean() == pytest.approx(1, abs=0.02)


def test_a_shape_lies_where_its_factors_say(drawn_shapes):
    """The centroid of the white, from the known centroid of each shape turned by its angle."""
    split = drawn_shapes.test
    kind, scale, angle, x, y = split.factors.double().T
    centre = torch.tensor([centre for _, centre in MEASURES], dtype=torch.float64)[kind.long()]
    u, v = centre.T
    expected_x = x + scale * (u * angle.cos() - v * angle.sin())
    expected_y = y - scale * (u * angle.sin() + v * angle.cos())  # counter-clockwise, y downwards
    image = split.images.double().squeeze(1)
    pixel = torch.arange(32, dtype=torch.float64) + 0.5
    for axis, expected in ((1, expected_x), (2, expected_y)):
        error = (image.sum(axis) @ pixel) / image.sum((1, 2)) - expected
        assert error.abs().max() < 0.2
        assert error.abs().mean() < 0.03
        assert abs(error.mean()) < 0.003


@pytest.mark.parametrize(("kind", "corners"), [(0, TRIANGLE), (2, ANGLE_IRON)])
def test_a_polygon_agrees_with_matplotlibs(kind, corners):
    """Which share of a pixel is inside, counted at 8 x 8 points of it."""
    from matplotlib.path import Path

    scale, angle, x, y = 7.0, 0.4, 15.2, 16.7
    image = data.render_shapes(torch.tensor([[kind, scale, angle, x, y]], dtype=torch.float64))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    polygon = Path(np.array(corners) @ turn * [scale, -scale] + [x, y])
    points = (np.arange(32 * 8) + 0.5) / 8
    grid = np.stack(np.meshgrid(points, points), axis=-1).reshape(-1, 2)
    inside = polygon.contains_points(grid).reshape(32, 8, 32, 8).mean(axis=(1, 3))
    error = np.abs(image[0, 0].numpy() / 255 - inside)
    assert error.max() < 0.3  # at corners; an edge covers ½ + d but for the shape of the pixel
    assert error.mean() < 0.003


def test_no_shape_touches_the_border_and_none_comes_twice(drawn_shapes):
    parts = (drawn_shapes.train, drawn_shapes.valid, drawn_shapes.test)
    assert [len(part) for part in parts] == [10_000, 1_000, 2_000]
    factors = torch.cat([part.factors for part in parts])
    assert len(factors.unique(dim=0)) == 13_000
    images = torch.cat([part.images for part in parts]).squeeze(1)
    for border in (images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]):
        assert border.max() <= 128  # the largest ones end in the middle of a pixel
    assert len({image.tobytes() for image in images.numpy()}) > 12_990
    assert all(torch.equal(part.labels, part.factors[:, 0].long()) for part in parts)


def test_factors_of_shapes_are_independent_and_even(drawn_shapes):
    """For scores of disentanglement: no factor tells another, and each value is as frequent."""
    factors = drawn_shapes.train.factors
    assert drawn_shapes.train.factor_names == ("shape", "scale", "angle", "x", "y")
    correlation = torch.corrcoef(factors.T) - torch.eye(5)
    assert correlation.abs().max() < 0.04
    for column, values in zip(factors.T, shapes.FACTORS.values(), strict=True):
        found, counts = column.unique(return_counts=True)
        np.testing.assert_allclose(found, values, rtol=1e-6)
        mean = 10_000 / len(values)
        assert (counts - mean).abs().max() < 5 * mean**0.5


@pytest.mark.parametrize(
    "factors", [torch.zeros(5), torch.zeros(2, 4), torch.tensor([[3.0, 5, 0, 16, 16]])]
)
def test_shapes_from_wrong_factors_are_refused(factors):
    with pytest.raises(ValueError, match="must be"):
        data.render_shapes(factors)


def freetype(font: str, character: str, side: int = 20) -> np.ndarray:
    """The glyph by another rasteriser, its longer side 20 pixels, in the middle of 28 x 28."""
    import matplotlib
    from PIL import Image, ImageFont

    file = f"{matplotlib.get_data_path()}/fonts/ttf/{font}.ttf"
    mask = ImageFont.truetype(file, 400).getmask(character)
    large = Image.frombytes("L", mask.size, bytes(mask))
    large = large.crop(large.getbbox())
    # Put together sixteen times too large, so that its place is right to a sixteenth of a pixel.
    size = [round(length * 16 * side / max(large.size)) for length in large.size]
    canvas = Image.new("L", (28 * 16, 28 * 16))
    canvas.paste(large.resize(size), [(28 * 16 - length) // 2 for length in size])
    return np.array(canvas.reduce(16), float).ravel()


def plain(font: int) -> torch.Tensor:
    """Every character, upright, 20 pixels, as thick as the font has it."""
    labels = torch.arange(len(glyphs.CHARACTERS))
    factors = torch.tensor([[font, 20, 0, 0]]).expand(len(labels), 4).double()
    return data.render_glyphs(labels, factors)


@pytest.mark.parametrize("font", range(len(glyphs.FONTS)), ids=glyphs.FONTS)
def test_a_glyph_is_the_one_that_freetype_draws(font):
    """Of the 36 templates of the same font, the nearest has the label's character."""
    templates = np.stack([freetype(glyphs.FONTS[font], c) for c in glyphs.CHARACTERS])
    images = plain(font).flatten(1).double().numpy()
    distance = ((images[:, None] - templates[None]) ** 2).sum(-1)
    assert distance.argmin(axis=1).tolist() == list(range(36))
    for image, template in zip(images, templates, strict=True):
        assert np.corrcoef(image, template)[0, 1] > 0.97
        assert image.sum() == pytest.approx(template.sum(), rel=0.1)


def test_most_slanted_glyphs_are_still_nearest_to_their_own_character(drawn_glyphs):
    """Templates of the same font at the same scale, slant and thickness 0; chance is 1 in 36."""
    split = drawn_glyphs.test
    right = 0
    for font in split.factors[:, 0].unique().tolist():
        chosen = split.factors[:, 0] == font
        templates = torch.from_numpy(
            np.stack([freetype(glyphs.FONTS[int(font)], c, 17) for c in glyphs.CHARACTERS])
        )
        images = split.images[chosen].flatten(1).double()
        unit = [x / x.norm(dim=1, keepdim=True) for x in (images, templates)]
        right += ((unit[0] @ unit[1].T).argmax(1) == split.labels[chosen]).sum().item()
    assert right / len(split) > 0.75


def test_glyphs_are_even_and_no_typeface_is_in_two_parts(drawn_glyphs):
    parts = (drawn_glyphs.train, drawn_glyphs.valid, drawn_glyphs.test)
    assert [len(part) for part in parts] == [11_520, 1_440, 1_440]
    families = []
    for part in parts:
        fonts = part.factors[:, 0].long()
        kinds = part.labels * len(glyphs.FONTS) + fonts
        assert len(kinds.unique(return_counts=True)[1].unique()) == 1
        families.append({glyphs.FONTS[k].split("-")[0] for k in fonts.tolist()})
        assert part.factor_names == glyphs.FACTOR_NAMES
    assert families[0] == {"DejaVuSans", "DejaVuSerif", "cmr10", "cmb10", "cmti10"}
    assert families[1] == {"DejaVuSansMono", "cmtt10"}
    assert families[2] == {"STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "cmss10"}


def test_a_thicker_glyph_is_whiter_and_a_larger_one_longer():
    label = torch.tensor([glyphs.CHARACTERS.index("H")])

    def draw(**changed) -> np.ndarray:
        factors = {"font": 0, "scale": 18, "slant": 0, "thickness": 0} | changed
        factors = torch.tensor([list(factors.values())], dtype=torch.float64)
        return data.render_glyphs(label, factors)[0, 0].numpy() / 255

    # H is as wide as the columns in which there is white; each edge adds its shift.
    assert draw(thickness=0.4).sum() > draw().sum() + 0.4 * 60
    for scale in (14, 20):
        assert draw(scale=scale).max(axis=1).sum() == pytest.approx(scale, abs=0.6)
    # The top leans to the right by slant x height against the bottom.
    upright, slanted = draw(), draw(slant=0.3)
    columns = np.arange(28)

    def middle(row: np.ndarray) -> float:
        return row @ columns / row.sum()

    lean = middle(slanted[6]) - middle(slanted[21])
    assert lean == pytest.approx(0.3 * 15, abs=0.3)
    assert middle(upright[6]) == pytest.approx(middle(upright[21]), abs=0.05)


def test_every_glyph_stays_inside_the_image(drawn_glyphs):
    for part in (drawn_glyphs.train, drawn_glyphs.valid, drawn_glyphs.test):
        for border in (part.images[..., 0, :], part.images[..., -1, :]):
            assert border.max() == 0
        for border in (part.images[..., 0], part.images[..., -1]):
            assert border.float().mean() < 0.01


@pytest.mark.parametrize(
    ("label", "factors"),
    [(0, [[0.0, 20, 0]]), (36, [[0.0, 20, 0, 0]]), (0, [[14.0, 20, 0, 0]])],
)
def test_glyphs_from_wrong_factors_are_refused(label, factors):
    with pytest.raises(ValueError, match=r"must be|out of range"):
        data.render_glyphs(torch.tensor([label]), torch.tensor(factors))


def test_factors_alone_decide_what_is_drawn(drawn_shapes, drawn_glyphs):
    """Drawn anew from the stored factors, which are rounded to float32."""
    ours, theirs = drawn_shapes.valid, drawn_glyphs.valid
    for again, split in (
        (data.render_shapes(ours.factors), ours),
        (data.render_glyphs(theirs.labels, theirs.factors), theirs),
    ):
        assert (again.int() - split.images.int()).abs().max() <= 1


def test_the_drawings_are_the_same_on_every_machine(drawn_shapes, drawn_glyphs):
    """A new version of matplotlib may change its fonts, and nothing else may change these."""
    assert digest(drawn_shapes) == "6c661a69057ca90f"
    assert digest(drawn_glyphs) == "d00f555563e209cc"


def test_factors_move_with_their_images(drawn_shapes):
    moved = drawn_shapes.valid.to("cpu")
    assert torch.equal(moved.factors, drawn_shapes.valid.factors)
    assert moved.factor_names == drawn_shapes.valid.factor_names


@pytest.mark.parametrize("factors", [torch.zeros(2, 2), torch.zeros(3, 1), torch.zeros(2, 1).int()])
def test_wrong_factors_of_a_split_are_refused(factors):
    images = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    with pytest.raises(DataError, match=r"factors must be floating-point of shape \(2, 1\)"):
        Split(images, None, 2, "toys", factors, ("scale",))
