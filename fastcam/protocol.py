"""How a class activation map becomes a box, as data: :class:`Protocol` and the named ones."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, fields, replace
from numbers import Real
from typing import Any, Final, Literal, get_args

__all__ = ["AUTHORS", "NAMED", "PAPER", "VANILLA", "WSOLEVAL", "Protocol"]

Interpolation = Literal["bilinear", "bicubic"]
Normalization = Literal["none", "minmax", "max", "percentile", "pas", "ivr"]
Threshold = float | Literal["otsu", "stable"]
Area = Literal["pixels", "polygon"]
BoxEnd = Literal["exclusive", "clipped"]
Empty = Literal["zeros", "image"]
Iou = Literal["half-open", "inclusive"]
Keep = Literal["largest", "all"]
Scores = Literal["peak", "mean"]
Order = Literal["largest", "highest"]

_CHOICES: Final[dict[str, tuple[Any, ...]]] = {
    "interpolation": get_args(Interpolation),
    "normalize": get_args(Normalization),
    "area": get_args(Area),
    "connectivity": (4, 8),
    "box_end": get_args(BoxEnd),
    "empty": get_args(Empty),
    "iou": get_args(Iou),
    "keep": get_args(Keep),
    "scores": get_args(Scores),
    "order": get_args(Order),
}

RULES: Final[dict[str, float]] = {"otsu": -1.0, "stable": -2.0}
"""What rules for the threshold are among :attr:`Protocol.values`: operators take one type for each argument."""

_NUMBERS: Final = {
    "percentile": 100, "threshold": 1, "min_area": math.inf, "high_threshold": 1, "base_percentile": 100
}  # fmt: skip

# What says which boxes a map has, and has a meaning with keep="all" alone.
_OF_ALL: Final = ("keep", "scores", "order", "min_area", "max_boxes")


class _Values:
    # No field of the dataclass, as this class is none; and no cached property, which torch.compile does not trace.
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Protocol(_Values):
    r"""Every choice between a class activation map and its box.

    The threshold of Eq. 6 is :math:`\tau = \theta \cdot \mathrm{per}_i(M')`, with :math:`M'` the map resized to the
    wanted size; a pixel is kept where :math:`M' > \tau`, strictly, and the box is that of the largest component kept.

    Attributes:
        clamp_negative: use ``max(w, 0)`` for the weights (negative weight clamping, Eq. 5).
        interpolation: ``"bilinear"`` or ``"bicubic"`` (a = -0.75), both with half-pixel centres.
        normalize: after the resize, ``"none"``; ``"minmax"``: ``(x - min) / (max - min)``; ``"max"``:
            ``max(x, 0) / max``; ``"percentile"``: ``clip(x / per_i, 0, 1)``. A map for which that is undefined
            (constant, without a positive reference, not finite) becomes zeros. Two more as the code of Kim et al. (ICCV
            2021) has them, with ``sorted[int(p n)]`` for a percentile: ``"pas"``: ``min(x - min, s) / s`` with s the
            percentile of ``x - min``; ``"ivr"``: ``max(x - b, 0) / (max - b)`` with b the ``base_percentile``.
        quantize: work on ``uint8`` levels, ``trunc(255 x)`` of the normalized map (of the map clipped to [0, 1] where
            ``normalize="none"``), and truncate the threshold to a whole level.
        percentile: ``i`` of Eq. 6, in [0, 100]; 100 is the maximum (Eq. 3).
        threshold: theta of Eq. 3 and 6, in [0, 1]; or ``"otsu"``: the level of 256 that parts the map's pixels into the
            two classes with the largest variance between them (Otsu 1979), exactly as ``cv2.threshold`` chooses it. The
            levels are the map's own where it is quantized, else ``trunc(255 (x - min) / (max - min))``, and the
            threshold is then the largest value of the lower class. Or ``"stable"``: the level at which the largest
            component is most stable, as in MSER (Matas et al., BMVC 2002): it has the smallest
            ``(|Q(t - 5)| - |Q(t)|) / |Q(t)|``, with ``|Q(t)|`` the pixels of the largest 8-connected component of the
            levels above t and ``|Q(t - 5)|`` those of the one that contains it, the whole map where t < 5; the lowest
            of equal ones; components of less than 1/1000 or more than 3/4 of the map only where there are no others.
            Of these two ``percentile`` has nothing to act on.
        area: what "largest" means: ``"pixels"``, or ``"polygon"``, the area of the outer contour through the pixel
            centres with what it encloses (``cv2.contourArea``).
        connectivity: 8 or 4.
        box_end: ``"exclusive"``: half-open, ``x1 = last + 1``; ``"clipped"``: ``min(last + 1, W - 1)``.
        empty: the box where nothing is kept: ``"zeros"`` or ``"image"`` (0, 0, W, H). Its area is 0 either way.
        iou: how the box is compared with the ground truth: ``"half-open"``, or ``"inclusive"``: x1 and y1 count as
            pixels inside, in both. It does not change the box.
        keep: ``"largest"``, the box of the largest component; or ``"all"``, a box for each, where ``empty`` has nothing
            to act on. What follows is of ``"all"``.
        scores: the score of a box: the map's ``"peak"`` inside its component or its ``"mean"``, in the map's units.
        order: of a map's boxes: the ``"largest"`` area first, or the ``"highest"`` score.
        min_area: components of less ``area`` are left out.
        max_boxes: no more boxes a map than these, the first ones in that order; None: all.
        high_threshold: hysteresis: of the components that ``threshold`` keeps those count that hold a pixel above
            ``high_threshold * per_i`` (Canny 1986); in [``threshold``, 1]. None: all count.
        base_percentile: of ``normalize="ivr"``: the percentile that is subtracted.
        values: the values of all these fields, in their order, as operators take them: rules for the threshold as
            in :data:`RULES`.

    Raises:
        ValueError: a field outside its range, named with what came and what was expected.
        TypeError: a field of the wrong type.

    Example:
        >>> import fastcam
        >>> fastcam.PAPER.replace(percentile=95).percentile
        95.0
    """

    clamp_negative: bool = True
    interpolation: Interpolation = "bilinear"
    normalize: Normalization = "none"
    quantize: bool = False
    percentile: float = 90
    threshold: Threshold = 0.35
    area: Area = "pixels"
    connectivity: Literal[4, 8] = 8
    box_end: BoxEnd = "exclusive"
    empty: Empty = "zeros"
    iou: Iou = "half-open"
    keep: Keep = "largest"
    scores: Scores = "peak"
    order: Order = "largest"
    min_area: float = 0
    max_boxes: int | None = None
    high_threshold: float | None = None
    base_percentile: float = 45

    def __post_init__(self) -> None:
        check_fields(self)
        if self.percentile < 80:
            warnings.warn(
                f"percentile={self.percentile:g} is below the range [80, 100] in which Eq. 6 was studied",
                UserWarning,
                stacklevel=3,
            )
        object.__setattr__(self, "values", _as_values(self))

    def replace(self, **changes: Any) -> Protocol:  # noqa: ANN401
        """Return a copy with some fields changed; unknown names are a TypeError that lists the known ones."""
        known = [field.name for field in fields(self)]
        unknown = sorted(set(changes) - set(known))
        if unknown:
            raise TypeError(f"Protocol has no field {', '.join(unknown)}; its fields are {', '.join(known)}")
        return replace(self, **changes)

    def of_largest(self) -> Protocol:
        """Return what finds the one box of each map, that of its largest component: what evaluation judges.

        Example:
            >>> import fastcam
            >>> fastcam.PAPER.replace(keep="all", max_boxes=3).of_largest() == fastcam.PAPER
            True
        """
        return self if self.keep == "largest" else self.replace(**{name: getattr(PAPER, name) for name in _OF_ALL})


def _as_values(protocol: Protocol) -> tuple[Any, ...]:
    """Return the values of its fields, as operators take them."""
    given = {field.name: getattr(protocol, field.name) for field in fields(protocol)}
    if isinstance(protocol.threshold, str):
        given["threshold"] = RULES[protocol.threshold]
    return tuple(given.values())


def check_fields(protocol: Protocol) -> None:
    """Raise what :class:`Protocol` raises for its fields; its numbers become floats. It does not warn."""
    for name, choices in _CHOICES.items():
        value = getattr(protocol, name)
        if type(value) is not type(choices[0]) or value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")
    for name in ("clamp_negative", "quantize"):
        if not isinstance(getattr(protocol, name), bool):
            raise TypeError(f"{name} must be a bool, got {getattr(protocol, name)!r}")
    _check_numbers(protocol)
    _check_related(protocol)


def _check_numbers(protocol: Protocol) -> None:
    for name, upper in _NUMBERS.items():
        value = getattr(protocol, name)
        if name == "threshold" and isinstance(value, str):
            if value not in RULES:
                rules = " or ".join(map(repr, RULES))
                raise ValueError(f"threshold must be a number in [0, 1], {rules}, got {value!r}")
        elif name != "high_threshold" or value is not None:
            object.__setattr__(protocol, name, _checked_number(name, value, upper))
    for name in ("percentile", "base_percentile"):
        share = getattr(protocol, name)
        if 0 < share <= 1:
            raise ValueError(
                f"{name} is in percent, [0, 100]; {share:g} looks like a fraction: did you mean {share * 100:g}?"
            )
    most = protocol.max_boxes
    if most is not None and (isinstance(most, bool) or not isinstance(most, int)):
        raise TypeError(f"max_boxes must be an int or None, got {most!r}")
    if most is not None and most < 1:
        raise ValueError(f"max_boxes must be at least 1, or None for all, got {most}")


def _check_related(protocol: Protocol) -> None:
    """Check what depends on another field."""
    low, high = protocol.threshold, protocol.high_threshold
    if high is not None and not isinstance(low, str) and high < low:
        raise ValueError(f"high_threshold must be at least threshold, {low:g}, got {high:g}")
    given = [name for name in _OF_ALL[1:] if getattr(protocol, name) != getattr(Protocol, name)]
    if protocol.keep == "largest" and given:
        raise ValueError(f'{given[0]} is of keep="all", got {getattr(protocol, given[0])!r} with keep="largest"')


def _checked_number(name: str, value: object, upper: float) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    number = float(value)
    if math.isnan(number) or not 0 <= number <= upper:
        raise ValueError(f"{name} must lie in [0, {upper:g}], got {value!r}")
    return number


PAPER: Final = Protocol()
"""The equations of the paper, taken literally (Eq. 2, 5, 6)."""

VANILLA: Final = Protocol(clamp_negative=False, percentile=100, threshold=0.2)
"""PAPER without the paper's techniques (Eq. 2, 3); theta 0.2 is that of the authors' code."""

AUTHORS: Final = Protocol(
    interpolation="bicubic", normalize="minmax", quantize=True, area="polygon", empty="image", iou="inclusive"
)
"""The paper's released code."""

WSOLEVAL: Final = Protocol(
    clamp_negative=False,
    interpolation="bicubic",
    normalize="minmax",
    quantize=True,
    percentile=100,
    threshold=0.2,
    area="polygon",
    box_end="clipped",
    iou="inclusive",
)
"""The evaluator of Choe et al. (wsolevaluation)."""

NAMED: Final[dict[str, Protocol]] = {"paper": PAPER, "vanilla": VANILLA, "authors": AUTHORS, "wsoleval": WSOLEVAL}
"""The named protocols by the names the command line takes."""
