"""COCO's result format: one dictionary a box, of numbers that JSON can say."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Categories", "Id", "Ids", "checked_categories", "checked_ids", "coco_entry"]

Id = int | str
"""What COCO files and those derived from them call a picture or a category."""

Ids = Sequence[Id] | Tensor | NDArray[Any]
"""Ids in order."""

Categories = Mapping[int, Id] | Ids
"""The id of each label: by the label, or in the labels' order."""


def coco_entry(image: Id, category: Id, box: Sequence[float], score: float) -> dict[str, Any]:
    """Say a box x0, y0, x1, y1 as a COCO result; a score that is not a number becomes None, JSON's null.

    Example:
        >>> coco_entry(3, 7, (1.0, 2.0, 5.0, 4.0), 0.5)
        {'image_id': 3, 'category_id': 7, 'bbox': [1.0, 2.0, 4.0, 2.0], 'score': 0.5}
    """
    x0, y0, x1, y1 = box
    bbox = [x0, y0, x1 - x0, y1 - y0]
    return {"image_id": image, "category_id": category, "bbox": bbox, "score": score if math.isfinite(score) else None}


def checked_ids(name: str, ids: Ids) -> list[Id]:
    """Return ids as Python's own integers and strings, which is all that JSON knows.

    Raises:
        TypeError: something else; the message names the argument.

    Example:
        >>> import numpy as np
        >>> checked_ids("image_ids", np.array([7, 9], np.uint16))
        [7, 9]
    """
    try:
        listed = ids.tolist() if isinstance(ids, Tensor) or hasattr(ids, "tolist") else list(ids)
    except TypeError:
        listed = None
    if not isinstance(listed, list) or isinstance(ids, (str, bytes)):
        raise TypeError(f"{name} must be a list, an array or a tensor of ids, got {reprlib.repr(ids)}")
    return [_plain(name, one) for one in listed]


def checked_categories(ids: Categories) -> dict[int, Id]:
    """Return the id of each label, labels and ids as Python's own numbers.

    Raises:
        TypeError: as :func:`checked_ids`.

    Example:
        >>> import torch
        >>> checked_categories(torch.tensor([10, 20]))
        {0: 10, 1: 20}
    """
    if isinstance(ids, Mapping):
        pairs = ((_plain("category_ids", label), _plain("category_ids", category)) for label, category in ids.items())
        return {int(label): category for label, category in pairs if not isinstance(label, str)}
    return dict(enumerate(checked_ids("category_ids", ids)))


def _plain(name: str, value: Any) -> Id:  # noqa: ANN401
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise TypeError(f"{name} must be integers or strings, got {reprlib.repr(value)}")
    return value
