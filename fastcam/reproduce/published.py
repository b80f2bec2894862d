"""The numbers of the paper's tables: :func:`published`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

__all__ = ["published"]


@cache
def published(table: str) -> Mapping[str, Mapping[str, list[float | None]]]:
    """Return what the paper reports in a table, in percent.

    Args:
        table: ``table1`` to ``table4``.

    Returns:
        By row (network/method, with ``/ours`` behind it; in Table 3, of VGG16, the techniques) and data set the
        numbers: Top-1 Cls, GT Loc and Top-1 Loc, of OpenImages30K PxAP; None where there is none.

    Example:
        >>> published("table2")["vgg16/cam/ours"]["CUB-200-2011"]
        [74.91, 80.72, 61.3]
    """
    content: dict[str, Any] = json.loads(
        files("fastcam.reproduce").joinpath("published.json").read_text(encoding="utf-8")
    )
    rows: dict[str, Mapping[str, list[float | None]]] = content[table]
    return rows
