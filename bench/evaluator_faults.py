"""What the known faults of the field's evaluators do to the numbers, on the maps of a trained network.

fastcam train --data synthetic ... --out run/     (the README has the line)
python bench/evaluator_faults.py run/last.pt --out bench/results/NAME.md

Every fault is put into the same evaluator, alone, and every number stands beside the right one on the same maps.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from sweep_peers import levels_of, normalized

import fastcam
from fastcam.data.synthetic import synthetic

__all__ = ["Evaluator", "box_rows", "main", "map_rows", "network_maps", "table"]

Box = tuple[int, int, int, int]
Scores = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Evaluator:
    """GT-Loc of one image: 0.35 of the 90th percentile of the levels, the largest contour, half-open boxes, IoU >= 0.5.

    Attributes:
        plus_one: extents are taken as x1 - x0 + 1, of boxes whose x1 is the first pixel outside.
        clamped: an intersection's negative extents are 0.
        strict: the IoU must exceed 0.5.
        clipped: boxes end at W - 1 and H - 1.
        through_colours: the map is coloured by JET and turned to grey before it is cut, at 0.2 of the maximum.
        threshold: of the maximum in place of 0.35 of the percentile.
        by_pixels: the largest region is the one of most pixels.
        nothing: the box of a map without a contour; None: 0, 0, 0, 0.
    """

    plus_one: bool = False
    clamped: bool = True
    strict: bool = False
    clipped: bool = False
    through_colours: bool = False
    threshold: float | None = None
    by_pixels: bool = False
    nothing: Box | None = None

    def box(self, scores: Scores) -> Box:
        levels = levels_of(scores)
        if self.through_colours:
            levels = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_JET), cv2.COLOR_BGR2GRAY)
        cut = int(0.35 * np.percentile(levels, 90)) if self.threshold is None else int(self.threshold * levels.max())
        mask = (levels > cut).astype(np.uint8)
        if not mask.any():
            return self.nothing or (0, 0, 0, 0)
        if self.by_pixels:
            _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
            x, y, w, h, _ = max(stats[1:].tolist(), key=lambda row: row[4])
        else:
            contours = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0]
            x, y, w, h = cv2.boundingRect(max(contours, key=cv2.contourArea))
        height, width = levels.shape
        return (x, y, min(x + w, width - 1), min(y + h, height - 1)) if self.clipped else (x, y, x + w, y + h)

    def iou(self, a: Box, b: Box) -> float:
        end = 1 if self.plus_one else 0
        width = min(a[2], b[2]) - max(a[0], b[0]) + end
        height = min(a[3], b[3]) - max(a[1], b[1]) + end
        both = max(width, 0) * max(height, 0) if self.clamped else width * height
        union = sum((box[2] - box[0] + end) * (box[3] - box[1] + end) for box in (a, b)) - both
        return both / union if union else 0.0

    def right(self, found: Box, truth: Box) -> bool:
        iou = self.iou(found, truth)
        return iou > 0.5 if self.strict else iou >= 0.5


def network_maps(checkpoint: Path, count: int, size: int) -> tuple[Scores, Scores, Any]:
    """Raw and normalized maps (N, H, W) of the true classes, and the images that they are of."""
    network = fastcam.load(checkpoint)
    birds = synthetic(count, size=size, split="test", classes=len(network.classes))
    raw = []
    for start in range(0, count, 50):
        part = slice(start, start + 50)
        given = torch.from_numpy(birds.images[part]).permute(0, 3, 1, 2).float() / 255
        labels = torch.from_numpy(birds.labels[part])
        with torch.no_grad():
            _, found = network.extractor.localize(network.inputs.normalized(given), labels, return_maps=True)
        raw.append(found.maps.double().numpy())
    maps = np.concatenate(raw)
    return maps, np.stack([normalized(one, (size, size)) for one in maps]), birds


def box_rows(scores: Scores, birds: Any) -> list[tuple[str, str, str, str]]:
    """Of each fault of boxes: its name, GT-Loc without and with it, and whose verdicts differ."""
    own = Evaluator()
    size = scores.shape[1]
    others = {
        "x1 - x0 + 1 of half-open boxes": (own, replace(own, plus_one=True)),
        "... and found boxes that end at W - 1": (own, replace(own, plus_one=True, clipped=True)),
        "the intersection not clamped at 0": (own, replace(own, clamped=False)),
        "... boxes at 0.95 of the maximum, against another image's head": (
            replace(own, threshold=0.95),
            replace(own, threshold=0.95, clamped=False),
        ),
        "both, as released (+ 1, not clamped)": (own, replace(own, plus_one=True, clamped=False)),
        "IoU > 0.5 for >= 0.5": (own, replace(own, strict=True)),
        "most pixels for largest contour": (own, replace(own, by_pixels=True)),
        "the map through JET colours to grey, 0.2 of the maximum": (
            replace(own, threshold=0.2),
            replace(own, threshold=0.2, through_colours=True),
        ),
        "nothing found is the whole image": (own, replace(own, nothing=(0, 0, size, size))),
    }
    truths = [tuple(one) for one in birds.boxes.tolist()]
    # Small and far away: what a map that misses a small object comes upon.
    heads = [(x.min(), y.min(), x.max() + 1, y.max() + 1) for y, x in map(np.nonzero, np.roll(birds.parts, -1, axis=0))]
    rows = []
    for name, pair in others.items():
        against = heads if "head" in name else truths
        right, wrong = (
            np.array([one.right(one.box(heat), box) for heat, box in zip(scores, against, strict=True)]) for one in pair
        )
        rows.append((name, f"{right.mean():.2%}", f"{wrong.mean():.2%}", f"{(right != wrong).sum()}"))
    return rows


def map_rows(raw: Scores, scores: Scores, birds: Any) -> list[tuple[str, str, str, str]]:
    """Of each fault of pointing and energy: its name, the number without and with it, and whose verdicts differ."""
    heights, boxes = raw.clip(0), birds.boxes
    size = raw.shape[1]

    def shares(maps: Scores, *, swapped: bool = False) -> npt.NDArray[np.float64]:
        turned = boxes[:, [1, 0, 3, 2]] if swapped else boxes
        inside = [one[y0:y1, x0:x1].sum() / one.sum() for one, (x0, y0, x1, y1) in zip(maps, turned, strict=True)]
        return np.array(inside)

    right, swapped, lifted = shares(heights), shares(heights, swapped=True), shares(scores)
    peaks = raw.reshape(len(raw), -1).argmax(axis=1)
    ys, xs = np.divmod(peaks, size)
    off = [np.maximum(np.maximum(boxes[:, k] - at, at - boxes[:, k + 2] + 1), 0) for k, at in ((0, xs), (1, ys))]
    distance = np.hypot(*off)
    hits = distance <= 0
    names = int(birds.labels.max()) + 1
    by_class = [hits[birds.labels == k].mean() for k in range(names)]
    return [
        ("energy in the box, x and y exchanged", f"{right.mean():.2%}", f"{swapped.mean():.2%}", "-"),
        ("energy of the map with its minimum subtracted", f"{right.mean():.2%}", f"{lifted.mean():.2%}", "-"),
        (
            "pointing, tolerance 0, hit where the distance is below it",
            f"{hits.mean():.2%}",
            f"{(distance < 0).mean():.2%}",
            f"{hits.sum()}",
        ),
        (
            "pointing, tolerance 5, the same",
            f"{(distance <= 5).mean():.2%}",
            f"{(distance < 5).mean():.2%}",
            f"{(distance == 5).sum()}",
        ),
        (
            f"pointing, mean of {names} classes, {2 * names} declared: absent ones as 0",
            f"{np.mean(by_class):.2%}",
            f"{np.sum(by_class) / (2 * names):.2%}",
            "-",
        ),
    ]


def table(rows: list[tuple[str, str, str, str]]) -> str:
    """The rows in Markdown."""
    head = ("fault", "right", "with the fault", "images that change")
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="of fastcam train --data synthetic")
    parser.add_argument("--count", type=int, default=1000, help="images, which the network has not seen")
    parser.add_argument("--size", type=int, default=96, help="their side in pixels, as the network's input")
    parser.add_argument("--out", type=Path, help="a Markdown file to write, instead of printing")
    chosen = parser.parse_args(arguments)
    raw, scores, birds = network_maps(chosen.checkpoint, chosen.count, chosen.size)
    text = (
        f"{chosen.count} images of the synthetic test split, {chosen.size}x{chosen.size}, class activation maps of the "
        f"true class.\n\n{table(box_rows(scores, birds) + map_rows(raw, scores, birds))}\n"
    )
    if chosen.out is None:
        print(text)
    else:
        chosen.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
