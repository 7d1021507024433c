"""Checkpoints on disk: weights in safetensors, everything else as numbers and tensors.

A checkpoint is a folder ``checkpoint-000500`` with one ``NAME.safetensors`` a module and
``state.pt``. No pickle is run on reading: ``state.pt`` is loaded with ``weights_only=True``.
"""

import io
import pickle
import sys
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from genlearn.errors import RunError, TrainingError
from genlearn.files import remove, written_whole
from genlearn.training import Training


def save_checkpoint(folder: Path, training: Training, keep: int = 1) -> Path:
    """Write a checkpoint, then remove old ones. It is whole, or it is not there.

    Args:
        folder: where checkpoints are.
        training: its weights and its state are written; nothing in it changes.
        keep: how many of the newest stay, this one among them.

    Raises:
        TrainingError: if a loss or a weight is not finite; the last checkpoint is kept.
        OSError: if it cannot be written; the last checkpoint is kept.
    """
    training.read()  # stops here if a loss is not finite
    for name, module in training.modules.items():
        if not all(tensor.isfinite().all() for tensor in module.state_dict().values()):
            raise TrainingError(
                f"weights of {name!r} are not finite after step {training.step - 1}; lower the "
                "learning rate or clip the gradient; the last checkpoint is kept"
            )
    final = folder / f"checkpoint-{training.step:06d}"
    with written_whole(final) as temporary:
        temporary.mkdir()
        for name, module in training.modules.items():
            # Bytes first, then the file: so that a full disk is an OSError, whichever the format.
            weights = {key: tensor.contiguous() for key, tensor in module.state_dict().items()}
            (temporary / f"{name}.safetensors").write_bytes(safetensors.torch.save(weights))
        state = io.BytesIO()
        torch.save(_with_interned_strings(training.state_dict()), state)
        (temporary / "state.pt").write_bytes(state.getvalue())
    for path in checkpoints(folder)[:-keep]:
        remove(path)
    return final


def load_checkpoint(path: Path, training: Training) -> None:
    """Put weights, optimisers and counters back to where the checkpoint was written.

    Raises:
        RunError: if a file is missing, damaged, or from another model.
    """
    for name, module in training.modules.items():
        load_weights(module, path / f"{name}.safetensors")
    file = path / "state.pt"
    try:
        training.load_state_dict(torch.load(file, weights_only=True, map_location="cpu"))
    except pickle.UnpicklingError:  # PyTorch's own message says how to run the pickle: no
        raise RunError(
            f"{file}: damaged, or holds more than numbers and tensors, which is not loaded; "
            "start a new run in another folder"
        ) from None
    except (OSError, RuntimeError, ValueError, LookupError, EOFError, TypeError) as error:
        raise RunError(
            f"{file}: damaged, or from another training ({_first_line(error)}); "
            "start a new run in another folder"
        ) from None


def load_weights(module: nn.Module, path: Path) -> None:
    """Load a safetensors file into a module.

    Raises:
        RunError: if the file is missing, damaged, or from another model.
    """
    try:
        module.load_state_dict(safetensors.torch.load_file(path))
    except FileNotFoundError:
        raise RunError(f"{path}: no such file; is this the folder of a run?") from None
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path}: damaged ({_first_line(error)}); train anew") from None
    except RuntimeError:
        raise RunError(
            f"{path}: weights of another model; use the settings with which it was trained"
        ) from None


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, oldest first."""
    found = [path for path in folder.glob("checkpoint-*") if path.name[11:].isdecimal()]
    return sorted(found, key=lambda path: int(path.name[11:]))


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint in a folder, or None."""
    found = checkpoints(folder)
    return found[-1] if found else None


def _with_interned_strings(value: Any) -> Any:
    """Rebuild nested dicts and lists, so that equal states give equal bytes.

    Pickle writes a string once and then refers to it, but only where it is the same object: in a
    run that was resumed, keys read from a file and keys in the code would be two.
    """
    if isinstance(value, dict):
        pairs = value.items()
        return {_with_interned_strings(k): _with_interned_strings(v) for k, v in pairs}
    if type(value) in (list, tuple):
        return type(value)(_with_interned_strings(item) for item in value)
    return sys.intern(value) if isinstance(value, str) else value


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
