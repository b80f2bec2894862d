"""Maps from gradients, for networks without a linear map or by choice: the network's part, and what it gives.

The methods themselves are formulas, in :mod:`fastcam.reference.gradient`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fastcam.activation import cam
from fastcam.extractors.extraction import Extraction, MapExtraction
from fastcam.extractors.hooks import first_tensor
from fastcam.extractors.layout import Layout
from fastcam.reference.gradient import MAPS, ROWS

__all__ = [
    "GRADIENT_METHODS",
    "GradientExtraction",
    "GradientMethod",
    "RowExtraction",
    "class_gradients",
    "gradient_extraction",
    "watched",
]

GradientMethod = Literal["grad-cam", "grad-cam++", "xgrad-cam", "layer-cam", "hires-cam"]
GRADIENT_METHODS = (*ROWS, *MAPS)


@dataclass(frozen=True)
class RowExtraction(Extraction):
    """One whose maps are sums of features weighted by rows of an image's own; negative sums are cut off (ReLU).

    Attributes:
        features: (N, C, h, w).
        rows: (N, T, C), the weights of the T classes of each image.

    Example:
        >>> extraction = RowExtraction(
        ...     torch.rand(2, 5), torch.tensor([3, 4]), (56, 56), torch.rand(2, 8, 7, 7), torch.rand(2, 1, 8)
        ... )
        >>> extraction.maps().shape, extraction.localize().boxes.shape
        (torch.Size([2, 7, 7]), torch.Size([2, 4]))
    """

    features: Tensor
    rows: Tensor

    def maps(self, *, clamp_negative: bool = True) -> Tensor:
        """Return the maps, float32, or float64 for float64 features."""
        images, classes = self.rows.shape[:2]
        if classes == 1:
            found = cam(self.features, self.rows[:, 0], clamp_negative=clamp_negative)
            return found.relu().reshape(*self.labels.shape, *found.shape[1:])
        own = torch.arange(images * classes, device=self.rows.device).reshape(images, classes)
        return cam(self.features, self.rows.flatten(0, 1), own, clamp_negative=clamp_negative).relu()


@dataclass(frozen=True)
class GradientExtraction(Extraction):
    """One of gradients that are at hand; negative values of the maps are cut off, as the papers do.

    Attributes:
        features: (N, C, h, w).
        gradients: (N, T, C, h, w), of the logits of T classes by the features.
        method: which of :data:`GRADIENT_METHODS`.

    Example:
        >>> features, gradients = torch.rand(2, 8, 7, 7), torch.rand(2, 1, 8, 7, 7)
        >>> extraction = GradientExtraction(torch.rand(2, 5), torch.tensor([3, 4]), (56, 56), features, gradients)
        >>> extraction.maps().shape
        torch.Size([2, 7, 7])
    """

    features: Tensor
    gradients: Tensor
    method: GradientMethod = "grad-cam"

    def maps(self, *, clamp_negative: bool = True) -> Tensor:
        """Return the maps; ``clamp_negative`` uses max(w, 0) for the weights of methods that have weights."""
        each = self.gradients.unbind(1)
        return _reduced(self.logits, self.labels, self.size, self.features, each, self.method).maps(
            clamp_negative=clamp_negative
        )


def gradient_extraction(
    logits: Tensor,
    labels: Tensor,
    size: tuple[int, ...],
    features: Tensor,
    layout: Layout,
    method: GradientMethod,
    *,
    grid: tuple[int, ...] | None = None,
    classes_at_once: int = 1,
) -> Extraction:
    """Return what a method makes of the logits of N images, which autograd follows back to the features.

    Args:
        logits: (N, K), with their graph.
        labels: (N,) or (N, T).
        size: of the images.
        features: as the network holds them, from where the graph begins.
        layout: of the features.
        method: which of :data:`GRADIENT_METHODS`.
        grid: whose aspect the grid of tokens has; None: that of the images.
        classes_at_once: see :func:`class_gradients`.
    """
    grid = grid or size
    each = (layout.planes(gradient, grid) for gradient in class_gradients(logits, labels, features, classes_at_once))
    return _reduced(logits.detach(), labels, size, layout.planes(features.detach(), grid), each, method)


def _reduced(
    logits: Tensor,
    labels: Tensor,
    size: tuple[int, ...],
    features: Tensor,
    gradients: Iterator[Tensor] | tuple[Tensor, ...],
    method: GradientMethod,
) -> Extraction:
    """Of each class's gradient (N, C, h, w) only the row or the map is kept: a thousandth, where T of them are many."""
    formula = ROWS.get(method) or MAPS[method]
    parts = [formula(features, gradient) for gradient in gradients]
    if method in ROWS:
        rows = torch.stack(parts, 1) if parts else features.new_empty(len(features), 0, features.shape[1])
        return RowExtraction(logits, labels, size, features, rows)
    maps = torch.stack(parts, 1) if parts else features.new_empty(len(features), 0, *features.shape[2:])
    return MapExtraction(logits, labels, size, maps.relu().reshape(*labels.shape, *features.shape[2:]))


@contextmanager
def watched(module: nn.Module, reads_input: bool) -> Iterator[list[Tensor]]:
    """Record for autograd what follows a module's output (or first input); yield a list that holds it.

    Nothing before it is recorded, and nothing in other threads. The caller runs the network under
    ``torch.no_grad()``, whose end also ends the recording.
    """
    held: list[Tensor] = []
    thread = threading.get_ident()

    def begin(value: Any) -> Any:  # noqa: ANN401
        tensor = first_tensor(value)
        if tensor is None or threading.get_ident() != thread:
            return value
        torch.set_grad_enabled(True)
        # A copy, because an operator that follows may write into the features: the list then holds what it wrote.
        copy = tensor.detach().requires_grad_().clone()
        held[:] = [copy]
        return _replaced(value, tensor, copy)

    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if args:
            return (begin(args[0]), *args[1:]), kwargs
        return args, {
            name: begin(value) if number == 0 else value for number, (name, value) in enumerate(kwargs.items())
        }

    if reads_input:
        handle = module.register_forward_pre_hook(before, with_kwargs=True)
    else:
        handle = module.register_forward_hook(lambda _, __, output: begin(output))
    try:
        yield held
    finally:
        handle.remove()


def _replaced(value: Any, old: Tensor, new: Tensor) -> Any:  # noqa: ANN401
    if value is old:
        return new
    if isinstance(value, dict):  # that of Hugging Face's outputs too
        for key in [key for key, one in value.items() if one is old]:
            value[key] = new
        return value
    parts = [new if one is old else one for one in value]
    return value._make(parts) if hasattr(value, "_make") else type(value)(parts)


def class_gradients(logits: Tensor, labels: Tensor, features: Tensor, at_once: int = 1) -> Iterator[Tensor]:
    """Yield the gradients by features of the logits of T classes an image, class by class, each of the features' shape.

    One backward pass serves all images, since in eval mode no image sees another, and stops at the features: no
    parameter has a gradient computed.

    Args:
        logits: (N, K).
        labels: (N,) or (N, T). One outside [0, K) has a gradient of 0.
        features: from where the logits' graph begins.
        at_once: how many classes one backward pass serves, which needs as many times the memory (``torch.vmap``).

    Raises:
        ValueError: the logits do not depend on the features.
    """
    table = labels if labels.dim() == 2 else labels[:, None]
    numbers = torch.arange(logits.shape[1], device=logits.device)
    if not logits.requires_grad:
        raise ValueError("the logits cannot be followed back to the features: nothing of that was recorded")
    count = table.shape[1]
    for first in range(0, count, at_once):
        # As numbers of 0 and 1, because gathering would save an index, which may be of inference mode.
        wanted = (table.T[first : first + at_once, :, None] == numbers).to(logits.dtype)
        several = len(wanted) > 1
        (found,) = torch.autograd.grad(
            logits,
            features,
            wanted if several else wanted[0],
            retain_graph=first + at_once < count,
            is_grads_batched=several,
            allow_unused=True,
        )
        if found is None:
            raise ValueError("the logits do not depend on the features")
        yield from found.unbind(0) if several else [found]
