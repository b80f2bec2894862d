"""The picture of a result: heat map, boxes and captions over the photograph. Needs OpenCV."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["overlay"]

_STRIP = 64  # rows that are blended together
# Distinct on dark and bright ground and for most colour-blind readers (Okabe and Ito's palette), as RGB.
_COLOURS = ((240, 228, 66), (0, 158, 115), (86, 180, 233), (213, 94, 0), (204, 121, 167), (0, 114, 178))


def overlay(
    image: NDArray[np.uint8],
    heat: NDArray[Any] | None = None,
    boxes: NDArray[Any] | Sequence[Sequence[float]] = (),
    captions: Sequence[str] = (),
    *,
    opacity: float = 0.5,
) -> NDArray[np.uint8]:
    """Lay a heat map, boxes and captions over a picture.

    The heat map is scaled to the picture and to its own maximum; where it is 0 or below the picture stays as it is,
    and the hotter, the more it is covered. Boxes are drawn inside their half-open bounds, each in its own colour, the
    first above the others; an empty box is left out, with its caption. Captions are drawn in ASCII: accents are dropped
    and other signs become ``?``, because OpenCV's fonts have no more.

    Args:
        image: (H, W, 3) uint8, RGB.
        heat: (h, w), any float or uint8; None for no heat map. Not finite counts as 0.
        boxes: (T, 4) x0, y0, x1, y1 in the picture's pixels, the most important first.
        captions: one per box, or none at all.
        opacity: of the heat map where it is hottest, in [0, 1].

    Returns:
        A new (H, W, 3) uint8 RGB array.

    Raises:
        ImportError: OpenCV is not installed.
        TypeError: image is not uint8.
        ValueError: a shape that does not fit, or an opacity outside [0, 1].

    Example:
        >>> import numpy as np
        >>> photo = np.zeros((60, 80, 3), np.uint8)
        >>> drawn = overlay(photo, heat=np.eye(7), boxes=[[10, 20, 50, 40]], captions=["cat 0.77"])
        >>> drawn.shape, int(photo.max()), bool(drawn.any())
        ((60, 80, 3), 0, True)
    """
    cv2 = _opencv()
    table = np.asarray(boxes, dtype=np.float64).reshape(-1, 4) if len(boxes) == 0 else np.asarray(boxes, np.float64)
    _check(image, heat, table, captions, opacity)
    drawn = image.copy() if heat is None else _blend(cv2, image, heat, opacity)
    thickness = max(1, round(min(image.shape[:2]) / 150))
    for number, box in reversed(list(enumerate(table))):
        left, top = (max(0, round(value)) for value in box[:2])
        # The last pixel of a half-open range, inside the picture.
        right, bottom = (min(round(value), end) - 1 for value, end in zip(box[2:], image.shape[1::-1], strict=True))
        if right < left or bottom < top:
            continue
        colour = _COLOURS[number % len(_COLOURS)]
        inset = thickness // 2
        cv2.rectangle(drawn, (left + inset, top + inset), (right - inset, bottom - inset), colour, thickness)
        if captions:
            _caption(cv2, drawn, captions[number], (left, top), colour)
    return drawn


def _opencv() -> Any:  # noqa: ANN401
    try:
        import cv2
    except ImportError as error:
        raise ImportError('drawing needs OpenCV: pip install "fastcam[cli]"') from error
    return cv2


def _check(
    image: NDArray[np.uint8],
    heat: NDArray[Any] | None,
    boxes: NDArray[np.float64],
    captions: Sequence[str],
    opacity: float,
) -> None:
    if image.dtype != np.uint8:
        raise TypeError(f"image must be uint8, got {image.dtype}")
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"image must be (H, W, 3), got shape {image.shape}")
    if heat is not None and (heat.ndim != 2 or heat.size == 0):
        raise ValueError(f"heat must be (h, w), got shape {heat.shape}")
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise ValueError(f"boxes must be finite and (T, 4), got shape {boxes.shape}")
    if len(captions) not in (0, len(boxes)):
        raise ValueError(f"captions must be one per box ({len(boxes)}) or none, got {len(captions)}")
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity must lie in [0, 1], got {opacity!r}")


def _blend(cv2: Any, image: NDArray[np.uint8], heat: NDArray[Any], opacity: float) -> NDArray[np.uint8]:  # noqa: ANN401
    height, width = image.shape[:2]
    # In float64 until it is scaled: float32 does not hold every float64 map.
    wide = np.nan_to_num(np.asarray(heat, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    highest = float(wide.max())
    level = (np.maximum(wide, 0) / highest if highest > 0 else np.zeros_like(wide)).astype(np.float32)
    level = cv2.resize(level, (width, len(level)), interpolation=cv2.INTER_LINEAR)
    above, below, fraction = _rows_between(len(level), height)
    blended = np.empty_like(image)
    # A strip of rows at a time: in floating point the whole would take ten times the picture's memory.
    for top in range(0, height, _STRIP):
        rows = slice(top, top + _STRIP)
        part = level[above[rows]] + (level[below[rows]] - level[above[rows]]) * fraction[rows, None]
        colours = cv2.applyColorMap((part * 255).astype(np.uint8), cv2.COLORMAP_TURBO)
        colours = cv2.cvtColor(colours, cv2.COLOR_BGR2RGB)
        share = (opacity * part)[..., None]
        blended[rows] = np.rint(image[rows] * (1 - share) + colours * share)
    return blended


def _rows_between(count: int, height: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """For each of the picture's rows the two rows of a map that it lies between, and how far from the first."""
    source = ((np.arange(height) + 0.5) * count / height - 0.5).clip(0, count - 1)
    above = np.floor(source).astype(np.int64)
    return above, np.minimum(above + 1, count - 1), (source - above).astype(np.float32)


def _caption(
    cv2: Any,  # noqa: ANN401
    drawn: NDArray[np.uint8],
    caption: str,
    corner: tuple[int, int],
    colour: tuple[int, int, int],
) -> None:
    text = unicodedata.normalize("NFKD", caption)
    text = "".join(sign for sign in text if not unicodedata.combining(sign)).encode("ascii", "replace").decode()
    height, width = drawn.shape[:2]
    scale = max(0.35, min(height, width) / 600)
    strokes = max(1, round(scale * 1.5))
    (long, high), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, strokes)
    pad = max(2, high // 4)
    # Above the box where there is room, else inside it; shifted left where it would leave the picture.
    left = max(0, min(corner[0], width - long - 2 * pad))
    top = corner[1] - high - below - 2 * pad
    if top < 0:
        top = corner[1]
    cv2.rectangle(drawn, (left, top), (left + long + 2 * pad, top + high + below + 2 * pad - 1), colour, cv2.FILLED)
    origin = (left + pad, top + high + pad)
    cv2.putText(drawn, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), strokes, cv2.LINE_AA)
