"""State dicts from files: where checkpoints keep them, and what wrappers add to their names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import Tensor, nn

from fastcam.safe_load import check_values, checked_tensors, load_safely

__all__ = ["bare_names", "differences", "load_all", "load_state", "read_state_dict"]

# Where checkpoints keep the network; its averages (EMA) stand at the end, for files that have nothing else.
_NESTED = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "module",
    "params",
    "ema",
    "ema_model",
    "ema_state_dict",
    "model_ema",
    "model_ema_state_dict",
    "state_dict_ema",
    "params_ema",
)
_DEEPEST = 4  # a checkpoint in a checkpoint in ...; a hostile file may hold itself
# Of (Distributed)DataParallel and averaged models, torch.compile, FSDP and activation checkpointing.
_WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
_OWNERS = ("model.", "net.", "network.")  # what a LightningModule usually calls its network


def read_state_dict(path: str | os.PathLike[str], names: Iterable[str] | None = None) -> dict[str, Tensor]:
    """Read a state dict from a file of ``torch.save`` or, where the name ends so, ``.safetensors``.

    Checkpoints are understood that keep it under ``state_dict``, ``model_state_dict``, ``model_state``, ``model``,
    ``net``, ``network``, ``module`` or ``params``, or, where there is none of these, an average of it under ``ema``,
    ``model_ema``, ``state_dict_ema`` and the like. The ``module.``, ``_orig_mod.`` and so on of wrapped networks are
    removed from the names, and a ``model.``, ``net.`` or ``network.`` that all of them begin with; of a checkpoint of
    Lightning what is not in the network (a loss's weights) is left out.

    Args:
        path: the file; nothing in it is executed.
        names: those of the network that it is for; names that differ from one of them by wrappers alone become that.

    Returns:
        Names to tensors on the CPU.

    Raises:
        OSError: the file cannot be read.
        ImportError: a ``.safetensors`` file without the package.
        ValueError: it is no state dict.

    Example:
        >>> import pathlib, tempfile, torch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "weights.pth")
        ...     torch.save({"model_state_dict": {"module.fc.bias": torch.zeros(2)}}, path)
        ...     read_state_dict(path)
        {'fc.bias': tensor([0., 0.])}
    """
    path = Path(path)
    content = _read_safetensors(path) if path.suffix == ".safetensors" else load_safely(path, "a state dict")
    of_lightning = isinstance(content, Mapping) and "pytorch-lightning_version" in content
    state = checked_tensors(path, _nested(content))
    if not state:
        raise ValueError(f"{path}: expected a state dict, names to tensors, or one under the key 'state_dict'")
    bare = bare_names(state)
    if of_lightning:
        bare = _of_the_network(bare)
    own = list(names or ())
    places = {one: name for name, one in bare_names(own).items()}
    if sum(name in state for name in own) >= max(1, sum(one in places for one in bare.values())):
        return dict(state)
    return {places.get(one, one): state[name] for name, one in bare.items()}


def bare_names(names: Iterable[str]) -> dict[str, str]:
    """Return each name without what wrappers add to it.

    Example:
        >>> list(bare_names(["model.features.module.0.weight", "model.fc._orig_mod.bias"]).values())
        ['features.0.weight', 'fc.bias']
    """
    whole = list(names)
    # An averaged model counts the models in it.
    if all(name.startswith("module.") for name in whole if name != "n_averaged"):
        whole = [name for name in whole if name != "n_averaged"]
    bare = [".".join(part for part in name.split(".") if part not in _WRAPPERS) or name for name in whole]
    if len(set(bare)) < len(bare):
        bare = whole
    while owner := next((one for one in _OWNERS if bare and all(name.startswith(one) for name in bare)), None):
        bare = [name.removeprefix(owner) for name in bare]
    return dict(zip(whole, bare, strict=True))


def load_all(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Load a file of weights into a module; they must be all of its own, and no others.

    Raises:
        OSError: the file cannot be read.
        ValueError: names or shapes that do not fit, or values that are not finite; nothing was loaded.
    """
    load_state(model, path, read_state_dict(path, model.state_dict()))


def load_state(model: nn.Module, path: str | os.PathLike[str], state: Mapping[str, Tensor]) -> None:
    """Load what :func:`read_state_dict` read, as :func:`load_all` does.

    Raises:
        ValueError: names or shapes that do not fit, or values that are not finite; nothing was loaded.
    """
    own = model.state_dict()
    # Files older than PyTorch 0.4.1, and converted ones, lack the counters of batch normalization.
    needed = {name: value for name, value in own.items() if name in state or not name.endswith("num_batches_tracked")}
    problems = differences(needed, state)
    if problems:
        raise ValueError(f"{Path(path)}: does not fit the model: {problems}")
    check_values(path, state, own)
    model.load_state_dict(state, strict=False)


def differences(expected: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    """Name what a state dict lacks, has too much, or has in another shape; empty where it fits.

    Example:
        >>> import torch
        >>> differences({"a": torch.zeros(2), "b": torch.zeros(1)}, {"a": torch.zeros(3)})
        'b missing; a of another shape'
    """
    shared = expected.keys() & state.keys()
    problems = {
        "missing": expected.keys() - state.keys(),
        "unexpected": state.keys() - expected.keys(),
        "of another shape": {name for name in shared if expected[name].shape != state[name].shape},
    }
    return "; ".join(f"{_some(sorted(names))} {kind}" for kind, names in problems.items() if names)


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _nested(content: object) -> object:
    for _ in range(_DEEPEST):
        if not isinstance(content, Mapping):
            break
        inner = next((content[key] for key in _NESTED if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            break
        content = inner
    return content


def _of_the_network(bare: Mapping[str, str]) -> dict[str, str]:
    """Of the names in a LightningModule, those of the network that it trains."""
    for owner in _OWNERS:
        inside = {name: one.removeprefix(owner) for name, one in bare.items() if one.startswith(owner)}
        if inside:
            return inside
    return dict(bare)


def _read_safetensors(path: Path) -> object:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise ImportError(f'{path} needs safetensors: pip install "fastcam[weights]"') from error
    with open(path, "rb"):  # an error of the file system says so itself
        pass
    try:
        return load_file(path)
    # A file that is none fails wherever its bytes first make no sense.
    except Exception as error:
        raise ValueError(f"{path}: not a state dict that can be loaded safely: {error}") from error
