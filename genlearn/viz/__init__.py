"""Figures and widgets, all in one style."""

from genlearn.viz import style
from genlearn.viz.contact_sheet import contact_sheet
from genlearn.viz.curves import curves
from genlearn.viz.explorer import explorer
from genlearn.viz.human import human_test
from genlearn.viz.images import grid, save_figure, save_png, show_images, tile
from genlearn.viz.latent import plane
from genlearn.viz.style import subplot_mosaic, subplots
from genlearn.viz.widgets import slider, tabs

__all__ = [
    "contact_sheet", "curves", "explorer", "grid", "human_test", "plane", "save_figure", "save_png",
    "show_images", "slider", "style", "subplot_mosaic", "subplots", "tabs", "tile",
]  # fmt: skip
