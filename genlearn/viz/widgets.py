"""Widgets that work with a kernel and, since all frames travel along, in the static page too."""

import base64
import html
import io
from collections.abc import Sequence

import ipywidgets
import numpy as np
from matplotlib.figure import Figure
from PIL import Image


def slider(
    frames: Sequence[np.ndarray | Figure], captions: Sequence[str], label: str
) -> ipywidgets.VBox:
    """Choose one of several pictures with a slider.

    Slider and pictures are linked in the browser, so no kernel is needed.

    Args:
        frames: uint8 arrays (H, W) or (H, W, 3), shown with hard pixels; or figures.
        captions: one a frame; shown below it, and read out to those who cannot see it.
        label: what the slider changes.

    Raises:
        ValueError: if there is not one caption for each frame.
    """
    if len(frames) != len(captions):
        raise ValueError(f"{len(frames)} frames need as many captions, got {len(captions)}")
    wide = ipywidgets.Layout(width="100%")
    middle = len(frames) // 2
    pictures = [
        ipywidgets.HTML(picture(frame, caption), layout=wide)
        for frame, caption in zip(frames, captions, strict=True)
    ]
    stack = ipywidgets.Stack(pictures, selected_index=middle, layout=wide)
    control = ipywidgets.IntSlider(
        value=middle,
        max=len(frames) - 1,
        description=label,
        readout=False,
        style={"description_width": "auto"},
    )
    ipywidgets.jslink((control, "value"), (stack, "selected_index"))
    return ipywidgets.VBox([control, stack], layout=wide)


def tabs(pages: dict[str, ipywidgets.Widget]) -> ipywidgets.Tab:
    """Put widgets behind tabs, one title each; like :func:`slider`, they need no kernel."""
    return ipywidgets.Tab(list(pages.values()), titles=list(pages))


def picture(frame: np.ndarray | Figure, caption: str) -> str:
    """Return HTML that shows a frame with hard pixels, and its caption, which is plain text."""
    caption = html.escape(caption)
    return (
        f'<img src="data:image/png;base64,{_png(frame)}" alt="{caption}" '
        'style="image-rendering: pixelated; width: 100%; '
        f'max-width: {_width(frame)}; margin: 0">'
        f"<div>{caption}</div>"
    )


def _width(frame: np.ndarray | Figure) -> str:
    """Width at which a frame is at most 18 lines of text high."""
    width, height = frame.get_size_inches() if isinstance(frame, Figure) else frame.shape[1::-1]
    return f"{18 * width / height:.0f}em"


def _png(frame: np.ndarray | Figure) -> str:
    file = io.BytesIO()
    if isinstance(frame, Figure):
        frame.savefig(file, format="png", dpi=130, metadata={"Software": None})
    else:
        Image.fromarray(frame).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()
