"""Figure 5: pictures with each of the techniques alone: :func:`figure5`."""

from __future__ import annotations

from collections.abc import Mapping

from fastcam.data import Split
from fastcam.evaluation.plots import empty_figure
from fastcam.network import Network
from fastcam.reproduce.figures.drawn import Drawn, sentence, told_difference
from fastcam.reproduce.figures.panels import Located, draw_panel, evenly, locate
from fastcam.reproduce.statistics import paired_difference
from fastcam.reproduce.table import Row
from fastcam.reproduce.tables import TABLE_3

__all__ = ["figure5"]

_FAMILY = TABLE_3.families["PAPER/VANILLA"]
# The baseline, each technique alone, and all of them.
_ROWS: tuple[Row, ...] = tuple(row for row in _FAMILY if sum(row.techniques.values()) in (0, 1, 3))


def figure5(networks: Mapping[str, Network], split: Split, *, panels: int = 4, workers: int = 0) -> Drawn:
    """Draw pictures with the boxes of the baseline, of TAP, NWC and PaS alone, and of all three.

    Args:
        networks: ``GAP`` and ``TAP``.
        split: pictures with boxes, all of which are counted.
        panels: how many are drawn, spread evenly over the split.
        workers: processes that decode.
    """
    shown = evenly(len(split), panels)
    located: dict[str, Located] = {}
    for title, network in networks.items():
        protocols = {row.name: row.protocol for row in _ROWS if row.training.title == title}
        located |= locate(network, split, protocols, shown, workers=workers)
    figure = empty_figure(2.2 * len(_ROWS), 2.5 * len(shown) + 0.4)
    axes = figure.subplots(len(shown), len(_ROWS), squeeze=False)
    for line, number in zip(axes, shown, strict=True):
        for axis, row in zip(line, _ROWS, strict=True):
            draw_panel(axis, networks[row.training.title], split, number, located[row.name])
    for axis, row in zip(axes[0], _ROWS, strict=True):
        axis.set_title(f"{row.name}\n{100 * located[row.name].gt_loc:.0f}% right", fontsize=9)
    figure.supxlabel("solid: true box; dashed: found box; right: IoU of 0.5 or more, of all pictures", fontsize=8)
    numbers = {
        "rows": {row.name: {"techniques": dict(row.techniques), **located[row.name].to_json(split)} for row in _ROWS},
        "drawn": [split[number].id for number in shown],
    }
    return Drawn(figure, numbers, _told(located, len(split)))


def _told(located: Mapping[str, Located], images: int) -> str:
    baseline = located[_ROWS[0].name]
    parts = []
    for row in _ROWS[1:]:
        right, before = (one.ious[None] >= 0.5 for one in (located[row.name], baseline))
        mean, interval = told_difference(paired_difference(right, before).to_json())
        parts.append(f"{row.name} {mean} ({interval})")
    whole = f"of {images} pictures the baseline's box is right in {100 * baseline.gt_loc:.1f}%"
    return sentence([whole, f"the differences in points are {', '.join(parts)}"])
