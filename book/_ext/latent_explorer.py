"""The explorers: a VAE, a generator and a PixelCNN, trained, that run in the reader's browser.

``{explorer}``, ``{steering}`` and ``{pixels}`` each put one into a page, which then loads its scripts;
no other page does. ``{judging}`` does so with a test of people on samples of all three. The files lie
in ``book/_extra/explorer``; ``tools/explorer.py``, ``tools/steering.py`` and ``tools/pixel_desk.py``
make the weights, ``tools/judging_desk.py`` draws the samples.
"""

import json
import math
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

GUESSES = 1000
"""Codes of the prior tried for each image, by a test of what the page says."""

COMPARED = 60
"""Codes, and images, on which a test compares the browser with PyTorch."""

PLACE = """\
<link rel="stylesheet" href="{up}explorer/explorer.css">
<div class="explorer">
<p>Here stands a drawing board for codes: sliders for the dimensions of a VAE's code, the image that
the decoder makes of them, and the rate of each dimension. It runs in your browser and needs
JavaScript, which is switched off here.</p>
</div>
<script defer src="{up}explorer/weights.js"></script>
<script defer src="{up}explorer/shared.js"></script>
<script defer src="{up}explorer/vae.js"></script>
<script defer src="{up}explorer/explorer.js"></script>
"""

DESK = """\
<link rel="stylesheet" href="{up}explorer/explorer.css">
<div class="explorer steering">
<p>Here stands a steering desk for a generator: ten digits from one noise vector, and sliders that move
it. It runs in your browser and needs JavaScript, which is switched off here.</p>
</div>
<script defer src="{up}explorer/generator.js"></script>
<script defer src="{up}explorer/shared.js"></script>
<script defer src="{up}explorer/gan.js"></script>
<script defer src="{up}explorer/steering.js"></script>
"""

PIXELS = """\
<link rel="stylesheet" href="{up}explorer/explorer.css">
<div class="explorer pixels">
<p>Here stands a desk for a model of pixels: an image whose pixels you can change, the distribution of
the next one, and completions. It runs in your browser and needs JavaScript, which is switched off
here.</p>
</div>
<script defer src="{up}explorer/pixels.js"></script>
<script defer src="{up}explorer/shared.js"></script>
<script defer src="{up}explorer/pixelcnn.js"></script>
<script defer src="{up}explorer/pixels_desk.js"></script>
"""

JUDGING = """\
<link rel="stylesheet" href="{up}explorer/explorer.css">
<div class="explorer judging">
<p>Here stands a test: you are shown digits, and say which of them are real and which a model made. It
runs in your browser and needs JavaScript, which is switched off here.</p>
</div>
<script defer src="{up}explorer/judging.js"></script>
<script defer src="{up}explorer/shared.js"></script>
<script defer src="{up}explorer/detection.js"></script>
<script defer src="{up}explorer/judging_desk.js"></script>
"""


def weights(root: Path, name: str = "weights.js") -> dict:
    """Return the content of a file of weights."""
    path = root / "book" / "_extra" / "explorer" / name
    _, _, text = path.read_text("utf-8").partition(" = ")
    return json.loads(text.rstrip(";\n"))


def bound(root: Path) -> str:
    """Negative test bound, in whole nats, rounded up: "below 89"."""
    return str(math.ceil(-weights(root)["test_bound"]["nats"]))


def dimensions(root: Path) -> int:
    """Count the dimensions of the code."""
    return weights(root)["latent_dim"]


def test_images(root: Path) -> int:
    """Count the images of the test bound."""
    return weights(root)["test_bound"]["images"]


def guesses(root: Path) -> str:
    """Count the guesses that a test makes for each image: "1,000"."""
    return f"{GUESSES:,}"


def compared(root: Path) -> int:
    """Count the codes, and the images, of the comparison with PyTorch."""
    return COMPARED


def obeyed(root: Path) -> str:
    """Share of generated images on which a judge agrees with the label, rounded down: "98 %"."""
    return f"{math.floor(100 * weights(root, 'generator.js')['obeyed'])} %"


def pixel_nats(root: Path) -> str:
    """Negative log-likelihood on test, in whole nats, rounded up: "81"."""
    return str(math.ceil(weights(root, "pixels.js")["test"]["nats"]))


def recognised(root: Path) -> str:
    """Share of test digits whose label Bayes' rule finds, rounded down: "93 %"."""
    return f"{math.floor(100 * weights(root, 'pixels.js')['test']['recognised'])} %"


def judged(root: Path) -> int:
    """Count the images of each source on the judging desk."""
    return len(weights(root, "judging.js")["images"]["real"])


class Explorer(SphinxDirective):
    """The place of the explorer in a page, which has at most one."""

    has_content = False

    def run(self):
        up = "../" * self.env.docname.count("/")
        return [nodes.raw("", PLACE.format(up=up), format="html")]


class Steering(SphinxDirective):
    """The place of the steering desk in a page, which has at most one."""

    has_content = False

    def run(self):
        up = "../" * self.env.docname.count("/")
        return [nodes.raw("", DESK.format(up=up), format="html")]


class Pixels(SphinxDirective):
    """The place of the pixel desk in a page, which has at most one."""

    has_content = False

    def run(self):
        up = "../" * self.env.docname.count("/")
        return [nodes.raw("", PIXELS.format(up=up), format="html")]


class Judging(SphinxDirective):
    """The place of the judging desk in a page, which has at most one."""

    has_content = False

    def run(self):
        up = "../" * self.env.docname.count("/")
        return [nodes.raw("", JUDGING.format(up=up), format="html")]


def setup(app):
    """Register the directives."""
    app.add_directive("explorer", Explorer)
    app.add_directive("steering", Steering)
    app.add_directive("pixels", Pixels)
    app.add_directive("judging", Judging)
    return {"parallel_read_safe": True}
