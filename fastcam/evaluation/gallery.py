"""The best and the worst images as one self-contained page: photograph, heat map, true and predicted boxes."""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastcam.draw import overlay
from fastcam.result_files import replacing

__all__ = ["FOUND_COLOUR", "TRUE_COLOUR", "Exhibit", "write_gallery"]

TRUE_COLOUR, FOUND_COLOUR = "#009e73", "#f0e442"
"""Of boxes. Okabe and Ito's colours, distinct for most colour-blind readers."""
_LONGEST = 360

_STYLE = f"""
body {{ font: 14px/1.4 system-ui, sans-serif; margin: 24px; background: #fafafa; color: #222; }}
section {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(240px, 1fr)); gap: 16px; }}
section {{ align-items: start; }}
figure {{ margin: 0; background: #fff; border: 1px solid #ddd; border-radius: 6px; overflow: hidden; }}
figure div {{ position: relative; }}
figure img {{ display: block; width: 100%; }}
figure img.heat, figure svg {{ position: absolute; inset: 0; width: 100%; height: 100%; }}
figcaption {{ padding: 6px 10px; overflow-wrap: anywhere; font-size: 12px; }}
figcaption b {{ font-size: 14px; }}
rect {{ fill: none; stroke-width: 2.5; vector-effect: non-scaling-stroke; }}
.true {{ stroke: {TRUE_COLOUR}; }} .found {{ stroke: {FOUND_COLOUR}; stroke-dasharray: 7 3; }}
.key {{ display: inline-block; width: 22px; border-top: 3px solid; vertical-align: middle; margin: 0 4px 0 12px; }}
body:has(#heat:not(:checked)) img.heat {{ display: none; }}
"""


@dataclass(frozen=True)
class Exhibit:
    """One image of the gallery.

    Attributes:
        name: its id.
        caption: what else stands below it.
        quality: its IoU.
        photo: (H, W, 3) uint8; None where there is none.
        heat: (h, w), the score map over the whole picture.
        true: (G, 4) boxes in the picture's pixels.
        found: (P, 4) likewise.
        size: (H, W) that the boxes refer to.
    """

    name: str
    caption: str
    quality: float
    photo: NDArray[np.uint8] | None
    heat: NDArray[np.float64]
    true: NDArray[np.float64]
    found: NDArray[np.float64]
    size: tuple[int, int]


def write_gallery(
    path: str | os.PathLike[str], heading: str, best: Sequence[Exhibit], worst: Sequence[Exhibit], *, note: str = ""
) -> None:
    """Write a page with the best and the worst images, pictures included, whole or not at all.

    Args:
        path: the HTML file. Its folder must exist.
        heading: what was evaluated.
        best: the first section.
        worst: the second.
        note: a line below the heading, on where the found boxes are from.

    Example:
        >>> import pathlib, tempfile
        >>> box = np.array([[1.0, 1, 6, 6]])
        >>> one = Exhibit("a.jpg", "cube", 1.0, np.zeros((8, 8, 3), np.uint8), np.eye(8), box, box, (8, 8))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_gallery(pathlib.Path(folder, "a.html"), "toys", [one], [])
        ...     pathlib.Path(folder, "a.html").read_text().count("<rect")
        2
    """
    sections = [("Best", best), ("Worst", worst)]
    body = "\n".join(
        f"<h2>{name}</h2>\n<section>\n{''.join(map(_figure, exhibits))}</section>" for name, exhibits in sections
    )
    page = f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{html.escape(heading)}</title>
<style>{_STYLE}</style></head>
<body>
<h1>{html.escape(heading)}</h1>
<p><label><input type="checkbox" id="heat" checked> score map</label>
<span class="key" style="color: {TRUE_COLOUR}"></span>true box
<span class="key" style="color: {FOUND_COLOUR}; border-top-style: dashed"></span>found box</p>
<p>{html.escape(note)}</p>
{body}
</body>
</html>
"""
    with replacing(path) as file:
        file.write(page.encode("utf-8", errors="backslashreplace"))


def _figure(one: Exhibit) -> str:
    height, width = one.size
    photo = one.photo if one.photo is not None else np.zeros((height, width, 3), np.uint8)
    small = _small(photo)
    pictures = (
        f'<img alt="{html.escape(one.name, quote=True)}" src="{_encoded(small)}">'
        f'<img class="heat" alt="" src="{_encoded(overlay(small, one.heat))}">'
    )
    rects = "".join(
        f'<rect class="{kind}" x="{x0:.1f}" y="{y0:.1f}" width="{max(x1 - x0, 0):.1f}" height="{max(y1 - y0, 0):.1f}"/>'
        for kind, boxes in (("true", one.true), ("found", one.found))
        for x0, y0, x1, y1 in boxes.tolist()
    )
    return (
        f'<figure><div>{pictures}<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none">{rects}</svg></div>'
        f"<figcaption><b>IoU {one.quality:.3f}</b> {html.escape(one.caption)}<br>{html.escape(one.name)}</figcaption>"
        "</figure>\n"
    )


def _small(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    picture = Image.fromarray(photo)
    picture.thumbnail((_LONGEST, _LONGEST))
    return np.asarray(picture)


def _encoded(pixels: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
