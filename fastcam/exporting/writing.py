"""From a network to a file of it: :func:`export`."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal, get_args

from torch import nn

from fastcam.exporting.aoti_file import aoti_bytes
from fastcam.exporting.errors import ExportError
from fastcam.exporting.exported import WHATS, ExportedNetwork, What
from fastcam.exporting.metadata import metadata_of
from fastcam.exporting.onnx_file import onnx_bytes
from fastcam.exporting.pt2_file import pt2_bytes
from fastcam.files import write_whole
from fastcam.network import Network
from fastcam.origins import LoadError
from fastcam.protocol import PAPER, Protocol
from fastcam.sources import load

__all__ = ["FORMATS", "ExportError", "Format", "export"]

Format = Literal["onnx", "pt2", "aoti"]
FORMATS: Final[tuple[str, ...]] = get_args(Format)

_WRITERS: Final[dict[str, Callable[[ExportedNetwork, Mapping[str, str]], bytes]]] = {
    "onnx": onnx_bytes,
    "pt2": pt2_bytes,
    "aoti": aoti_bytes,
}


def export(
    model_or_loaded: nn.Module | Network,
    path: str | os.PathLike[str],
    format: Format = "onnx",  # noqa: A002
    *,
    protocol: Protocol = PAPER,
    what: What = "maps",
    top_k: int | None = None,
) -> Path:
    """Write a network as one graph: a batch of images in, logits and maps, or logits and boxes, out.

    The input is ``images`` (N, 3, H, W) for any N, H and W being the network's input size, normalized as the metadata
    say: ``size``, ``mean``, ``std``, ``resize``, ``crop``, ``filter``, ``protocol``, ``labels`` and others, JSON each
    (``metadata_props`` of ONNX, extra files of ``torch.export.load``, ``get_metadata()`` of an AOTInductor package).
    The outputs are those of :class:`fastcam.exporting.ExportedNetwork`: maps are of each image's first class and of
    the features' own size, boxes are in pixels of the input.

    ========  ===================================  ====================================================================
    format    runs by                              needs, where it runs
    ========  ===================================  ====================================================================
    "onnx"    onnxruntime and others; maps alone   nothing of PyTorch's or fastcam's; ``fastcam_numpy.boxes_from_maps``
                                                   or the C library find the boxes in the maps
    "pt2"     ``torch.export.load(path).module()`` PyTorch; for boxes ``import fastcam``
    "aoti"    ``torch._inductor.aoti_load_package`` PyTorch of the same version; for boxes ``import fastcam``
    ========  ===================================  ====================================================================

    Args:
        model_or_loaded: what :func:`fastcam.load` gave, or a classifier, which it is given to.
        path: the file to write, whole or not at all; its folder must exist. ``.pt2`` for "pt2" and "aoti".
        format: "onnx" (by ``torch.onnx.export(dynamo=True)``), "pt2" or "aoti".
        protocol: how a map becomes a box; of maps only ``clamp_negative`` is part of the graph.
        what: "maps" or "boxes".
        top_k: the classes of each image, best first; None: the first alone, without an axis of its own.

    Returns:
        The path.

    Raises:
        ExportError: an unknown format, boxes in ONNX, a network without class activation maps, all boxes without
            ``max_boxes``, another suffix, no C++ compiler, or a network that PyTorch cannot trace; a ValueError.
        ImportError: a package is not installed: onnx or onnxscript.
        OSError: the file cannot be written, such as where the folder is missing; the message names it.
        TypeError: a model or a protocol that is none.

    Example:
        >>> import pathlib, tempfile, torch, fastcam
        >>> from fastcam.models import VGG16
        >>> network = fastcam.load(VGG16(num_classes=3, width=1 / 16), size=(64, 64), device="cpu")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = fastcam.export(network, pathlib.Path(folder, "network.pt2"), "pt2", what="boxes")
        ...     logits, boxes = torch.export.load(path).module()(torch.rand(5, 3, 64, 64))
        >>> logits.shape, boxes.shape
        (torch.Size([5, 3]), torch.Size([5, 4]))
    """
    target = _checked(path, format, protocol, what)
    exported = ExportedNetwork(network := _network(model_or_loaded), protocol, what, top_k)
    exported.eval()
    try:
        content = _WRITERS[format](exported, metadata_of(network, exported))
    except (ImportError, ExportError):
        raise
    # What a tracer or a compiler raises of a model that it cannot take is its own choice.
    except Exception as error:
        raise ExportError(
            "model_or_loaded", f"{network.name} cannot be written as {format!r}: {type(error).__name__}: {error}"
        ) from error
    write_whole({target: content})
    return target


def _network(model_or_loaded: nn.Module | Network) -> Network:
    if isinstance(model_or_loaded, Network):
        return model_or_loaded
    if not isinstance(model_or_loaded, nn.Module):
        raise TypeError(
            f"model_or_loaded must be a torch.nn.Module or what fastcam.load gave, got {type(model_or_loaded).__name__}"
        )
    first = next(model_or_loaded.parameters(), None)
    try:
        return load(model_or_loaded, device=None if first is None else first.device)
    except LoadError as error:
        raise ExportError("model_or_loaded", error) from error


def _checked(path: str | os.PathLike[str], kind: str, protocol: Protocol, what: str) -> Path:
    """Refuse before anything is run what would be refused after it."""
    if kind not in FORMATS:
        raise ExportError("format", f"format must be one of {', '.join(map(repr, FORMATS))}, got {kind!r}")
    if what not in WHATS:
        raise ExportError("what", f"what must be 'maps' or 'boxes', got {what!r}")
    if kind == "onnx" and what == "boxes":
        raise ExportError(
            "what",
            "what='boxes' is not for format='onnx': ONNX has no operator for components; export what='maps' and find "
            "the boxes in them by fastcam_numpy.boxes_from_maps or the C library (docs/without-python.md)",
        )
    if not isinstance(protocol, Protocol):
        raise TypeError(f"protocol must be a fastcam.Protocol, got {protocol!r}")
    target = Path(path)
    if kind != "onnx" and target.suffix != ".pt2":
        raise ExportError("path", f"path must end in .pt2 for format={kind!r}, as PyTorch's loader asks, got {target}")
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "No such folder", str(target.parent))
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "Is a directory", str(target))
    return target
