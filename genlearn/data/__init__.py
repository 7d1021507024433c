"""Data sets in memory, and the order in which training sees them."""

from genlearn.data.batches import Batch, Batches, derive_seed
from genlearn.data.glyphs import render_glyphs
from genlearn.data.idx import read_idx
from genlearn.data.places import CACHE_VARIABLE, FOLDER_VARIABLE
from genlearn.data.sets import ENTRIES, fetch, is_at_hand, load, names
from genlearn.data.shapes import render_shapes
from genlearn.data.split import Dataset, Split
from genlearn.data.toys import DENSITIES, Draws, Gaussians, Grid, Rings
from genlearn.data.transforms import affine, dequantise, random_affine

__all__ = [
    "CACHE_VARIABLE",
    "DENSITIES",
    "ENTRIES",
    "FOLDER_VARIABLE",
    "Batch",
    "Batches",
    "Dataset",
    "Draws",
    "Gaussians",
    "Grid",
    "Rings",
    "Split",
    "affine",
    "dequantise",
    "derive_seed",
    "fetch",
    "is_at_hand",
    "load",
    "names",
    "random_affine",
    "read_idx",
    "render_glyphs",
    "render_shapes",
]
