"""What networks of other libraries have in common: weights from a file, and preprocessing that is read and proved."""

from __future__ import annotations

import difflib
import importlib
import os
from collections.abc import Callable, Collection, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fastcam.inputs import Inputs
from fastcam.models import read_state_dict
from fastcam.models.state_dict import load_state
from fastcam.origins.loaded import LoadError
from fastcam.safe_load import holds_all_values

__all__ = ["RANDOM", "brief", "build_and_load", "check_name", "import_library", "proved_inputs"]

RANDOM = "random"
"""As weights: drawn at random, to look at a network without having them."""

# PyTorch's resize of integers is up to 7 levels of 255 away from Pillow's at single pixels, 0.3 in the mean; another
# filter is 0.9 and more away in the mean, and pixels moved by one 100 at some.
_MOST_LEVELS, _MEAN_LEVELS = 8.0, 0.5

_LONGEST = 300  # signs of another library's message

# Tall and wide, of odd sizes, larger and smaller than inputs are: whatever is rounded otherwise shows.
_PROOFS = ((301, 227), (123, 190), (640, 479))


def import_library(module: str, prefix: str) -> Any:  # noqa: ANN401
    """Import a library, or say what to install.

    Raises:
        ImportError: it is not installed, or does not fit the installed PyTorch.
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        raise ImportError(f"{prefix}:NAME needs {missing}: pip install {package}") from error
    # A build for another PyTorch fails at whatever it registers first.
    except (ImportError, OSError, RuntimeError) as error:
        raise ImportError(f"{package} cannot be imported: {brief(error)}") from error


def check_name(name: str, names: Collection[str], prefix: str) -> None:
    """Refuse a name that a library does not have.

    Raises:
        LoadError: with names that come close.
    """
    if name in names:
        return
    close = difflib.get_close_matches(name, names, n=3)
    hint = f"did you mean {' or '.join(repr(f'{prefix}:{one}') for one in close)}?" if close else ""
    raise LoadError("source", f"{prefix} has no classifier {name!r}; {hint or f'it has {len(names)} others'}")


def brief(error: BaseException) -> str:
    """Return what another library says, in one line: the kind of the error and the beginning of its message."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text if len(text) <= _LONGEST else f'{text[:_LONGEST]}...'}"


def build_and_load(
    build: Callable[[int | None], nn.Module], weights: str | os.PathLike[str], classes: Callable[[nn.Module], int]
) -> nn.Module:
    """Build a network without weights and load those of a file, which says how many classes there are.

    Args:
        build: makes it, with so many classes; None: as many as it has by default.
        weights: a file of a state dict with the library's own names, or :data:`RANDOM`.
        classes: how many a network has that was built.

    Raises:
        LoadError: the file cannot be read or does not fit.
    """
    if weights == "imagenet":
        raise LoadError(
            "weights", "weights='imagenet' is of fastcam's own networks; without weights the library's are loaded"
        )
    model = build(None)
    if weights == RANDOM:
        _draw_constants(model)
        return model
    try:
        own = model.state_dict()
        state = read_state_dict(weights, own)
        count = _count_of(state, own, classes(model))
        if count is not None:
            model = build(count)
        load_state(model, weights, state)
    except (OSError, ImportError, ValueError) as error:
        raise LoadError("weights", error) from error
    return model


def _count_of(state: Any, own: dict[str, Tensor], classes: int) -> int | None:  # noqa: ANN401
    """How many rows a file's last layers have, where the network's have one for each class and these differ."""
    counts = set()
    for name, value in own.items():
        theirs = state.get(name)
        if theirs is None or theirs.shape == value.shape or theirs.dim() != value.dim() or value.dim() == 0:
            continue
        if len(value) == classes and theirs.shape[1:] == value.shape[1:] and holds_all_values(theirs):
            counts.add(len(theirs))
    return counts.pop() if len(counts) == 1 else None


@torch.no_grad()
def _draw_constants(model: nn.Module) -> None:
    """Change what a library initializes to one value: a last layer of zeros would say nothing of where it looks."""
    generator = torch.Generator().manual_seed(0)
    statistics = [(name, one) for name, one in model.named_buffers() if name.endswith(("running_mean", "running_var"))]
    for name, value in (*model.named_parameters(), *statistics):
        if value.numel() > 1 and value.is_floating_point() and bool((value == value.flatten()[0]).all()):
            value.add_(torch.randn(value.shape, generator=generator).to(value), alpha=0.1)
            if name.endswith("running_var"):
                value.abs_()


def proved_inputs(candidates: Iterable[Inputs | None], transform: Callable[[Any], Tensor], what: str) -> Inputs:
    """Return the first of several readings of a library's preprocessing that gives its pixels.

    Args:
        candidates: readings; None: one that cannot be.
        transform: the library's own: a PIL image to (3, h, w).
        what: whose it is.

    Raises:
        ValueError: none does; the message says by how much the closest differs.
    """
    from PIL import Image

    told = ""
    for inputs in candidates:
        if inputs is None:
            continue
        # Besides, one that needs no resize and of which the crop leaves 3 more than a multiple of 4: half of that is
        # another number rounded down than to even.
        spare = (inputs.resize[1] - inputs.size[1]) // 4 * 4 + 7
        pictures = map(_picture, (*_PROOFS, (inputs.resize[0], inputs.size[1] + spare)))
        told = next((why for one in pictures if (why := _differs(inputs, one, transform(Image.fromarray(one))))), "")
        if not told:
            return inputs
    raise ValueError(f"the preprocessing of {what} is none that fastcam.inputs.Inputs can say{told and f' ({told})'}")


def _picture(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Smooth colours with noise on them, (H, W, 3)."""
    generator, (height, width) = np.random.default_rng(0), size
    rows, columns = np.mgrid[:height, :width]
    waves = [np.sin(rows / 17 + shift) + np.cos(columns / (23 + shift)) for shift in (0, 1, 2)]
    noisy = np.stack(waves, axis=-1) * 50 + 128 + generator.normal(0, 20, (height, width, 3))
    return noisy.clip(0, 255).astype(np.uint8)


def _differs(inputs: Inputs, picture: NDArray[np.uint8], wanted: Tensor) -> str:
    """Say by how much pixels differ, where it is by more than a resize of the same filter that rounds elsewhere."""
    found = inputs(picture)
    if found.shape != wanted.shape:
        return f"{tuple(wanted.shape)}, read as {tuple(found.shape)}"
    level = 1 / (255 * torch.tensor(inputs.std)[:, None, None])
    if inputs.channels == "bgr":
        level = level.flip(0)
    difference = (found - wanted).abs() / level
    worst, mean = float(difference.max()), float(difference.mean())
    if worst <= _MOST_LEVELS and mean <= _MEAN_LEVELS:
        return ""
    return f"pixels differ by up to {worst:.3g} levels of 255, {mean:.2g} in the mean"
