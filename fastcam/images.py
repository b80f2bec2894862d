"""Pictures as RGB, from files or memory. Needs Pillow (``pip install "fastcam[cli]"``)."""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

try:
    from PIL import Image, UnidentifiedImageError
except ImportError as error:
    raise ImportError('fastcam.images needs Pillow: pip install "fastcam[cli]"') from error

from fastcam.decoding import PictureError, decoded, stored_size

__all__ = [
    "MOST_PIXELS",
    "Picture",
    "PictureError",
    "as_pixels",
    "check_pixels",
    "picture_size",
    "read_picture",
]

MOST_PIXELS = 1 << 27
"""How many pixels a picture may have, by its header, where nothing else is asked for: 134 million, 400 MB decoded."""

_LIFTING = threading.Lock()

Picture = str | os.PathLike[str] | Image.Image | NDArray[Any] | Tensor
"""What :func:`as_pixels` takes: a file, or a picture in memory."""


def read_picture(
    path: str | os.PathLike[str], *, upright: bool = True, most_pixels: int = MOST_PIXELS
) -> NDArray[np.uint8]:
    """Read a picture as the viewer shows it: upright (EXIF orientation applied) and in RGB.

    Grey becomes RGB, whether 0 is black or white, CMYK is converted, transparency is laid over white, and of an
    animation the first frame counts. Grey of more than 8 bits is scaled from its own range, ``value / 257`` for 16, and
    rounded; of colour with 16 bits the high byte is taken, at most one level off.

    Args:
        path: a file in any format that Pillow reads.
        upright: apply the orientation that the file asks for; otherwise rows and columns are those stored, which the
            annotations of data sets refer to.
        most_pixels: a picture with more is refused by its header, before anything of it is decoded.

    Returns:
        (H, W, 3) uint8, RGB, C-contiguous.

    Raises:
        PictureError: missing, not a picture, cut short or otherwise corrupt, too large, or in a pixel format without a
            fixed range (floating point, 32-bit integers).

    Example:
        >>> import os, tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "grey.png")
        ...     Image.new("L", (4, 2), 7).save(path)
        ...     pixels = read_picture(path)
        >>> pixels.shape, pixels.max()
        ((2, 4, 3), np.uint8(7))
    """
    with _opened(path, most_pixels) as picture:
        return decoded(picture, upright)


def as_pixels(picture: Picture, *, most_pixels: int = MOST_PIXELS) -> NDArray[np.uint8]:
    """Bring a picture, however it is held, to (H, W, 3) uint8, RGB.

    Args:
        picture: a file (see :func:`read_picture`); a PIL image; an array (H, W, 3) or (H, W); or a tensor (3, H, W),
            (1, H, W) or (H, W). Arrays and tensors are RGB or grey, uint8 or floating point in [0, 1].
        most_pixels: of a file.

    Raises:
        PictureError: a file or an image that cannot be read, a shape that is none of these, or values outside [0, 1]
            (normalized already?).
        TypeError: something else.

    Example:
        >>> as_pixels(np.full((2, 4), 0.5)).tolist()[0][0]
        [128, 128, 128]
    """
    if isinstance(picture, (str, os.PathLike)):
        return read_picture(picture, most_pixels=most_pixels)
    if isinstance(picture, Image.Image):
        try:
            return decoded(picture, upright=True)
        except PictureError:
            raise
        # Its file is decoded here, if it was not before: broken bytes lead decoders into all sorts of exceptions.
        except Exception as error:
            raise PictureError(f"a {type(picture).__name__} cannot be read: {error or type(error).__name__}") from error
    if isinstance(picture, Tensor):
        planes = picture.detach().cpu()
        # NumPy has no bfloat16.
        pixels = (planes.float() if planes.is_floating_point() else planes).numpy()
        pixels = np.moveaxis(pixels, 0, -1) if pixels.ndim == 3 else pixels
    elif isinstance(picture, np.ndarray):
        pixels = picture
    else:
        raise TypeError(f"a picture must be a path, a PIL image, an array or a tensor, got {type(picture).__name__}")
    shape = tuple(picture.shape)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or 0 in pixels.shape:
        wanted = "(3, H, W), (1, H, W) or (H, W)" if isinstance(picture, Tensor) else "(H, W, 3) or (H, W)"
        batch = "; several pictures go one by one, or in a list" if pixels.ndim > 3 else ""
        raise PictureError(f"a picture as {type(picture).__name__} must be {wanted}, got shape {shape}{batch}")
    return np.ascontiguousarray(np.broadcast_to(_levels(pixels), (*pixels.shape[:2], 3)))


def picture_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Read how large a picture is as it is stored, from its header alone.

    Args:
        path: a file in any format that Pillow reads.

    Returns:
        (H, W) in pixels, those of :func:`read_picture` with ``upright=False``.

    Raises:
        PictureError: missing, or not a picture. One that is cut short behind its header passes here.

    Example:
        >>> import os, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "grey.png")
        ...     Image.new("L", (4, 2), 7).save(path)
        ...     picture_size(path)
        (2, 4)
    """
    with _opened(path, None) as picture:
        return stored_size(picture)


def check_pixels(size: tuple[int, int], most_pixels: int = MOST_PIXELS) -> None:
    """Refuse a picture of a size (H, W) by its header, before anything of it is decoded.

    Raises:
        PictureError: it has more pixels than are allowed.
    """
    height, width = size
    if height * width > most_pixels:
        raise PictureError(
            f"has {width}x{height} pixels (width x height), more than the {most_pixels} allowed (most_pixels)"
        )


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str], most_pixels: int | None) -> Iterator[Image.Image]:
    """Open a picture of a size that is allowed; what goes wrong in the block is a PictureError that names the file."""
    try:
        # Pillow warns about oddities it copes with (sizes, palettes, EXIF); what it cannot cope with is an exception.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with _open(path) as picture:
                if most_pixels is not None:
                    check_pixels((picture.height, picture.width), most_pixels)
                yield picture
    except PictureError as error:
        raise PictureError(f"{os.fspath(path)}: {error}") from None
    except FileNotFoundError:
        raise PictureError(f"{os.fspath(path)}: no such file") from None
    except UnidentifiedImageError:
        raise PictureError(f"{os.fspath(path)}: not a picture in a format that Pillow knows") from None
    # Broken bytes lead decoders into all sorts of exceptions: OSError, SyntaxError, struct.error, IndexError, ...
    except Exception as error:
        raise PictureError(f"{os.fspath(path)}: {error or type(error).__name__}") from error


def _open(path: str | os.PathLike[str]) -> Image.Image:
    """Open a picture of any size: Pillow's own limit is a global of the process, ours is what the caller says."""
    with _LIFTING:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(path)
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _levels(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Values as uint8: as they are, or those of [0, 1] times 255, rounded."""
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind != "f":
        raise PictureError(f"a picture must be uint8, or floating point in [0, 1], got {values.dtype}")
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1):
        raise PictureError(
            f"a floating-point picture must lie in [0, 1], got {low:g} to {high:g}; normalized already, "
            "or levels up to 255?"
        )
    # float16 would round the product before it is rounded to a level.
    wide = values.astype(np.promote_types(values.dtype, np.float32), copy=False)
    levels: NDArray[np.uint8] = np.rint(wide * 255).astype(np.uint8)
    return levels
