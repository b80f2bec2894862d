"""Masks of objects, as they are evaluated: 1 object, 0 background, 255 neither."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastcam.data.record import Record
from fastcam.images import PictureError, check_pixels, picture_size
from fastcam.inputs import RESIZE, Inputs

__all__ = ["read_mask"]


def read_mask(record: Record, inputs: Inputs = RESIZE) -> NDArray[np.uint8]:
    """Read the masks of a picture and lay them over one another.

    An instance's pixels are those whose grey value is above one half after the resize; what any instance covers is
    object; what else the ignore region covers is ignored.

    Args:
        record: with at least one mask.
        inputs: of the evaluation.

    Returns:
        (h, w) uint8, (h, w) being the size of the inputs: 1 object, 0 background, 255 ignored.

    Raises:
        ImportError: OpenCV is not installed.
        PictureError: a mask that is missing or cannot be read.
        ValueError: a record without masks.

    Example:
        >>> import pathlib, tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "mask.png")
        ...     Image.fromarray(np.eye(2, dtype=np.uint8) * 255).save(path)
        ...     record = Record("a.png", path, 0, masks=(path,))
        ...     read_mask(record, Inputs((4, 4)))
        array([[1, 1, 0, 0],
               [1, 1, 0, 0],
               [0, 0, 1, 1],
               [0, 0, 1, 1]], dtype=uint8)
    """
    if not record.masks:
        raise ValueError(f"{record.id} has no masks")
    inside = np.zeros(inputs.size, bool)
    for path in record.masks:
        inside |= _covered(path, inputs)
    if record.ignore is None:
        return inside.astype(np.uint8)
    ignored = _covered(record.ignore, inputs) & ~inside
    return inside.astype(np.uint8) + np.uint8(255) * ignored.astype(np.uint8)


def _covered(path: Path, inputs: Inputs) -> NDArray[np.bool_]:
    try:
        import cv2
    except ImportError as error:
        raise ImportError('masks need OpenCV: pip install "fastcam[evaluation]"') from error
    try:
        encoded = np.fromfile(path, np.uint8)
        check_pixels(picture_size(path))
    except OSError as error:
        raise PictureError(f"{path}: {error.strerror or error}") from error
    except PictureError as error:
        raise PictureError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error
    # OpenCV and not Pillow: they turn colours into grey by different weights, and the evaluator of the field uses it.
    grey = cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE) if encoded.size else None
    if grey is None:
        raise PictureError(f"{path}: not a picture that OpenCV can read as a mask")
    covered: NDArray[np.bool_] = inputs.mask(grey.astype(np.float32)) > 0.5
    return covered
