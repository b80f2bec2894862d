"""Maps of one position, which say nothing: refused, with the module named that still has positions."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from fastcam.extractors.hooks import eager, hearing_all

__all__ = ["check_positions", "one_position", "where_positions_are"]


def one_position(maps: tuple[int, ...], image: tuple[int, ...]) -> bool:
    """Whether maps of size (h, w), or of more or fewer sides, have one position for images that have more."""
    return all(side == 1 for side in maps) and any(side != 1 for side in image)


def check_positions(maps: tuple[int, ...], image: tuple[int, ...]) -> None:
    """Refuse maps of one position: the box of every class would be the whole image.

    Raises:
        ValueError: the message says what to do.
    """
    if one_position(maps, image):
        raise ValueError(
            f"maps must have more than one position, got {tuple(maps)} for images of {tuple(image)}: the box of every "
            "class would be the whole image; use larger images, or a network with a smaller stride"
        )


def where_positions_are(
    model: nn.Module, images: Tensor, channels: int, explains: Callable[[Tensor], bool]
) -> tuple[str | None, str]:
    """Run a model once more, and look at what every module takes and gives.

    Args:
        model: in eval mode, so that running it changes nothing.
        images: (N, 3, H, W).
        channels: C, the columns of the classifier's weight.
        explains: whether features (N, C, h, w), pooled, are what the logits are made of.

    Returns:
        The outermost module whose output, or ``"name:input"`` whose input, explains the logits; None where there is
        none. And in words the last module whose output has more than one position.
    """
    with hearing_all(model) as heard, eager():
        model(images)
    axes = images.dim() - 2
    calls = list({one.name: one for one in reversed(heard)}.values())  # the last of each module, the latest first
    outputs = [(one.name, maps) for one in calls for maps in _with_positions(one.output, axes)]
    inputs = [(f"{one.name}:input", maps) for one in calls for maps in _with_positions(one.input, axes)]
    several = [(one.name, maps) for one in heard for maps in _with_positions(one.output, axes)]
    last = "no module's output has more"
    if several:
        last = f"the last output with more is that of {several[-1][0]!r}, {tuple(several[-1][1].shape)}"
    # The outermost of the modules that give the same tensor ends last.
    for name, maps in outputs + inputs:
        if maps.shape[1] == channels and explains(maps):
            return name, last
    return None, last


def _with_positions(value: object, axes: int) -> list[Tensor]:
    """The value, if it is maps (N, C, h, w), or of other axes, of more than one position."""
    return [value] if isinstance(value, Tensor) and value.dim() == axes + 2 and value.shape[2:].numel() > 1 else []
