"""What a picture's stored values mean: grey levels, transparency, orientation. Needs Pillow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

try:
    from PIL import Image, ImageOps
except ImportError as error:
    raise ImportError('fastcam.decoding needs Pillow: pip install "fastcam[cli]"') from error

__all__ = ["PictureError", "decoded", "stored_size"]

# Tags of TIFF, of which EXIF is one.
_COLUMNS, _ROWS, _BITS, _PHOTOMETRIC, _ORIENTATION = 256, 257, 258, 262, 274
_WHITE_IS_ZERO = 0
_TRANSPOSE = Image.Transpose
# What undoes each orientation.
_BACK = {
    2: _TRANSPOSE.FLIP_LEFT_RIGHT,
    3: _TRANSPOSE.ROTATE_180,
    4: _TRANSPOSE.FLIP_TOP_BOTTOM,
    5: _TRANSPOSE.TRANSPOSE,
    6: _TRANSPOSE.ROTATE_90,
    7: _TRANSPOSE.TRANSVERSE,
    8: _TRANSPOSE.ROTATE_270,
}


class PictureError(ValueError):
    """A file that cannot be read as a picture; the message names it and says why."""


@dataclass(frozen=True)
class _Stored:
    """What a file says of its grey levels, which Pillow's decoding leaves as they are or forgets.

    Attributes:
        highest: the level of white, or of black where they are inverted.
        inverted: whether 0 is white.
        transparent: the level that is not to be seen, on Pillow's scale.
        hidden: where in a colour picture with 16 bits nothing is to be seen.
    """

    highest: int = 65535
    inverted: bool = False
    transparent: int | None = None
    hidden: Image.Image | None = None


def decoded(picture: Image.Image, upright: bool = True) -> NDArray[np.uint8]:
    """Decode an image that was opened, or bring one in memory to RGB; see :func:`fastcam.images.read_picture`.

    Args:
        picture: of any mode. One that came from a file is best not loaded yet: what its header says of a transparent
            level is known until then.
        upright: apply its orientation.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        PictureError: a pixel format without a fixed range.

    Example:
        >>> decoded(Image.new("1", (2, 1), 1)).tolist()
        [[[255, 255, 255], [255, 255, 255]]]
    """
    stored, shown = _stored(picture), picture
    turned = picture.getexif().get(_ORIENTATION, 1) if _tiff_tags(picture) is not None else 1
    _load(picture)
    if stored.hidden is not None:
        shown = picture.copy()
        del shown.info["transparency"]
        shown.putalpha(stored.hidden)
    if upright:
        shown = ImageOps.exif_transpose(shown)
    # Loading a TIFF turns it upright.
    elif turned in _BACK:
        shown = shown.transpose(_BACK[turned])
    return _rgb(shown, stored, picture.format)


def _load(picture: Image.Image) -> None:
    """Load an image, but do not let Pillow map the file of a TIFF into memory.

    It then takes the rows of one that is to be turned to be as long as those that are shown.
    """
    name = getattr(picture, "filename", "")
    if _tiff_tags(picture) is None or not name:
        picture.load()
        return
    picture.filename = ""  # type: ignore[attr-defined]
    try:
        picture.load()
    finally:
        picture.filename = name  # type: ignore[attr-defined]


def stored_size(picture: Image.Image) -> tuple[int, int]:
    """Return (H, W) of an opened image as its file stores it, before any orientation."""
    tags = _tiff_tags(picture)
    # Pillow gives the size of a TIFF as it is shown.
    return (picture.height, picture.width) if tags is None else (tags[_ROWS], tags[_COLUMNS])


def _tiff_tags(picture: Image.Image) -> Any:  # noqa: ANN401
    """The tags of a TIFF by number; None for what is no TIFF, or was one before it was converted."""
    return getattr(picture, "tag_v2", None)


def _stored(picture: Image.Image) -> _Stored:
    """Read what decoding forgets; before it, because then Pillow still knows how the pixels are packed."""
    tags = _tiff_tags(picture)
    if tags is not None and picture.mode.startswith("I;16"):
        # Pillow turns the other widths where 0 is white, and scales none of 12 bits.
        bits = tags.get(_BITS, (16,))
        return _Stored(highest=(1 << bits[0]) - 1, inverted=tags.get(_PHOTOMETRIC, 0) == _WHITE_IS_ZERO)
    level = picture.info.get("transparency")
    if isinstance(level, int) and picture.mode in ("1", "L", "I", "I;16"):
        # A PNG's level is one of the file's, of 1, 2 or 4 bits, and its pixels are spread over 8 by now.
        bits = {"1": 1, "L;2": 2, "L;4": 4, "L": 8}.get(_packing(picture), 8)
        if picture.mode == "1":
            level = 255 if level else 0
        elif picture.mode == "L":
            level = (level & ((1 << bits) - 1)) * (255 // ((1 << bits) - 1))
        return _Stored(transparent=level)
    if isinstance(level, tuple) and _packing(picture) == "RGB;16B":
        return _Stored(hidden=_hidden(picture, level))
    if isinstance(level, tuple) and not _packing(picture) and max(level) > 255:
        raise PictureError("the transparent colour of 16 bits a channel was lost when it was loaded; hand in its path")
    return _Stored()


def _packing(picture: Image.Image) -> str:
    """How Pillow calls the layout of a PNG's pixels; empty once they are decoded."""
    tiles = getattr(picture, "tile", ())
    return tiles[0][3] if tiles and picture.format == "PNG" and isinstance(tiles[0][3], str) else ""


def _hidden(picture: Image.Image, colour: tuple[int, ...]) -> Image.Image:
    """The alpha of a PNG with 16 bits a channel in which one colour is transparent, which both bytes must agree on."""
    file = picture.fp  # type: ignore[attr-defined]  # of an image that is opened, not of one in memory
    place = file.tell()
    equal = np.ones((picture.height, picture.width), bool)
    for shift, packing in ((8, "RGB;16B"), (0, "RGB;16L")):  # of big-endian values the second takes the low bytes
        file.seek(0)
        half = Image.open(file)
        half.tile = [(*tile[:3], packing) for tile in half.tile]  # type: ignore[misc]  # plain tuples before Pillow 11
        equal &= (np.asarray(half) == [(level >> shift) & 255 for level in colour]).all(axis=2)
    file.seek(place)
    return Image.fromarray(np.where(equal, 0, 255).astype(np.uint8))


def _rgb(picture: Image.Image, stored: _Stored, format_: str | None) -> NDArray[np.uint8]:
    # Pillow has PGM of 16 bits, and before version 11 also PNG, in mode "I", which is 32 bits wide elsewhere.
    if picture.mode.startswith("I;16") or (picture.mode == "I" and format_ in ("PNG", "PPM")):
        levels = np.asarray(picture).astype(np.uint32)
        grey = ((levels * 510 + stored.highest) // (2 * stored.highest)).astype(np.uint8)
        return _as_rgb(255 - grey if stored.inverted else grey, levels == stored.transparent)
    if picture.mode in ("I", "F"):
        raise PictureError(f"pixels of mode {picture.mode!r} have no fixed range; save it with 8 or 16 bits a channel")
    if stored.transparent is not None:
        grey = np.asarray(picture.convert("L"))
        return _as_rgb(grey, grey == stored.transparent)
    if picture.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in picture.info:
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture.convert("RGBA"))
    return np.array(picture.convert("RGB"))


def _as_rgb(grey: NDArray[np.uint8], hidden: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.repeat(np.where(hidden, np.uint8(255), grey)[..., None], 3, axis=2)
