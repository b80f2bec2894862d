"""Whether what :class:`fastcam.Localizer` says of a network is true, tested by other means than its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

import fastcam
from fastcam.extractors.attachment import Attachment
from fastcam.extractors.gradient_source import GradientSource
from fastcam.extractors.layout import Layout

__all__ = ["corners", "drawn_features", "linear_claim", "local_convolutions", "moves", "no_linear_map", "places"]

# A factor an image cannot be told from the maps, so it is fitted.
_FACTORS = {"layer norm", "rms norm", "a number an image"}
_LEAST_MOVE = 0.05  # of the features' rows or columns


def corners(size: tuple[int, int], seed: int = 1) -> Tensor:
    """Three images: noise, and the same with its first or its last corner drawn anew, three times as strong."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn((1, 3, *size), generator=generator).repeat(3, 1, 1, 1)
    rows, columns = size[0] // 3, size[1] // 3
    images[1, :, :rows, :columns] = 3 * torch.randn((3, rows, columns), generator=generator)
    images[2, :, -rows:, -columns:] = 3 * torch.randn((3, rows, columns), generator=generator)
    return images


def linear_claim(found: Attachment, logits: Tensor, features: Tensor, weight: Tensor) -> tuple[float, float]:
    """Fit ``logits[n, k] = a[n] (pool(features[n]) @ weight[k]) + b[k]`` by least squares, ``a`` = 1 but for norms.

    Returns:
        What is left, as a share of the size of the terms, and as a share of how much logits differ between images.
    """
    wide, rows, actual = features.double(), weight.double(), logits.double()
    if found.pooling.startswith("TAP"):
        pooled = fastcam.tap(features, float(found.pooling[4:-1])).double()
    else:
        pooled = {"mean": wide.mean, "sum": wide.sum, "max": wide.amax}[found.pooling]((2, 3))
    products = pooled @ rows.T
    images, classes = products.shape
    if _FACTORS & set(found.folded):
        factors = torch.zeros(images * classes, images, dtype=torch.float64)
        factors[torch.arange(images * classes), torch.arange(images).repeat_interleave(classes)] = products.flatten()
        system = torch.cat([factors, torch.eye(classes, dtype=torch.float64).repeat(images, 1)], 1)
        solution = torch.linalg.lstsq(system, actual.flatten()[:, None], driver="gelsd").solution
        left = (system @ solution)[:, 0].reshape(images, classes) - actual
    else:
        left = products - actual
        left = left - left.mean(0)
    terms = (pooled.square() @ rows.square().T).sqrt().max() if not _FACTORS & set(found.folded) else 0.0
    size = float(torch.as_tensor(terms)) + float(actual.abs().max())
    differ = float(actual.std(0).max())
    return float(left.abs().max()) / size, float(left.abs().max()) / max(differ, 1e-300)


@contextmanager
def drawn_features(model: nn.Module, features: str) -> Iterator[None]:
    """Put noise in the features' place."""
    name, _, reads_input = features.partition(":")

    def drawn(tensor: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(2)
        return torch.randn(tensor.shape, generator=generator) + 0.5

    with _changing(model.get_submodule(name), bool(reads_input), drawn):
        yield


@torch.no_grad()
def local_convolutions(model: nn.Module) -> None:
    """Leave of every kernel the middle, so that features change where the images do.

    Those of random weights do not: behind many layers a position sees all of the picture, gates and attention answer to
    all of it at once, and wherever it changes, the features change by the same pattern. Kernels as wide as their stride
    are local as they are.
    """
    for part in model.modules():
        if isinstance(part, nn.Conv2d) and part.kernel_size != part.stride and max(part.kernel_size) > 1:
            middle = torch.zeros(part.kernel_size)
            middle[part.kernel_size[0] // 2, part.kernel_size[1] // 2] = math.sqrt(part.weight[0, 0].numel())
            part.weight.mul_(middle)


def moves(features: Tensor) -> Tensor:
    """How far the centre of the change of features of :func:`corners` moves from the first to the last.

    Returns:
        (2,) in rows and columns, as a share of all there are.
    """
    wide = features.double()
    energy = (wide[1:] - wide[:1]).square().sum(1)
    found = torch.zeros(2, dtype=torch.float64)
    for axis in (1, 2):
        along = energy.sum(3 - axis)
        centre = along @ torch.arange(energy.shape[axis], dtype=torch.float64) / along.sum(1)
        found[axis - 1] = (centre[1] - centre[0]) / energy.shape[axis]
    return found


def places(several: Iterable[Tensor]) -> str:
    """Whether features change where images do, by the :func:`moves` of several draws of them.

    Returns:
        "contradict" if along one axis they move the wrong way, "agree" if along one they move the right way and along
        the other not the wrong one; "unclear" if the change is everywhere the same.
    """
    found = torch.stack(list(several))
    mean, error = found.mean(0), found.std(0) / math.sqrt(len(found))
    seen = mean.abs() > torch.maximum(torch.tensor(_LEAST_MOVE), 3 * error)
    if bool((seen & (mean < 0)).any()):
        return "contradict"
    return "agree" if bool(seen.any()) else "unclear"


@torch.no_grad()
def no_linear_map(model: nn.Module, found: GradientSource, images: Tensor) -> tuple[bool, bool]:
    """Test the logits as a function of the features that gradient maps are taken of.

    Returns:
        Whether they stay when every position has the mean of all, which means that they see the mean alone; and whether
        moreover tokens in front do not matter, and the logits are affine in the features: then there is a linear map,
        and it was missed.
    """
    name, _, reads_input = found.features.partition(":")
    module = model.get_submodule(name)
    seen: list[Tensor] = []

    def run(change: Callable[[Tensor], Tensor]) -> Tensor:
        with _changing(module, bool(reads_input), change):
            return _logits(model(images)).double()

    def keep(features: Tensor) -> Tensor:
        seen[:] = [features.clone()]
        return features

    plain = run(keep)
    (features,) = seen
    other = features.roll(1, 0)
    rolled = plain.roll(1, 0)
    levelled = run(lambda tensor: _levelled(tensor, found.layout))
    alone = run(lambda tensor: _other_prefix(tensor, found.layout))
    middle = run(lambda tensor: (tensor + other) / 2)
    scale = (plain - rolled).abs().max()
    pooled = _near(levelled, plain, scale)
    return pooled, pooled and _near(alone, plain, scale) and _near(middle, (plain + rolled) / 2, scale)


def _near(one: Tensor, other: Tensor, scale: Tensor) -> bool:
    return bool((one - other).abs().max() <= 1e-3 * scale + 1e-6 * other.abs().max())


def _levelled(features: Tensor, layout: Layout) -> Tensor:
    moved = features.movedim(layout.channels, 1)
    flat = moved.flatten(2).clone()
    flat[:, :, layout.prefix :] = flat[:, :, layout.prefix :].mean(2, keepdim=True)
    return flat.reshape(moved.shape).movedim(1, layout.channels).contiguous()


def _other_prefix(features: Tensor, layout: Layout) -> Tensor:
    moved = features.movedim(layout.channels, 1).clone()
    if layout.prefix:
        moved[:, :, : layout.prefix] = moved[:, :, : layout.prefix].roll(1, 0)
    return moved.movedim(1, layout.channels).contiguous()


@contextmanager
def _changing(module: nn.Module, reads_input: bool, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    if reads_input:
        handle = module.register_forward_pre_hook(lambda _, args: (change(args[0]), *args[1:]))
    else:
        handle = module.register_forward_hook(lambda _, __, output: _with_first(output, change))
    try:
        yield
    finally:
        handle.remove()


def _with_first(output: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(output, Tensor):
        return change(output)
    if isinstance(output, dict):
        key = next(key for key, value in output.items() if isinstance(value, Tensor))
        output[key] = change(output[key])
        return output
    return type(output)((change(output[0]), *output[1:]))


def _logits(output: Any) -> Tensor:
    if isinstance(output, Tensor):
        return output
    values = output if isinstance(output, dict) else dict(enumerate(output))
    logits: Tensor = values["logits"] if "logits" in values else next(iter(values.values()))
    return logits
