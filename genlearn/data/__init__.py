"""Data sets in memory, and the order in which training sees them."""

from genlearn.data.batches import Batch, Batches, derive_seed
from genlearn.data.idx import read_idx
from genlearn.data.sets import ENTRIES, FOLDER_VARIABLE, is_at_hand, load, names
from genlearn.data.split import Dataset, Split

__all__ = [
    "ENTRIES",
    "FOLDER_VARIABLE",
    "Batch",
    "Batches",
    "Dataset",
    "Split",
    "derive_seed",
    "is_at_hand",
    "load",
    "names",
    "read_idx",
]
