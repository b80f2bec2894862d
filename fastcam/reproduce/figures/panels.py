"""Pictures with heat maps and boxes, and whether the boxes are right: what Figures 5 and 6 are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fastcam.data import Split
from fastcam.draw import overlay
from fastcam.evaluation.gallery import FOUND_COLOUR, TRUE_COLOUR
from fastcam.evaluation.judge import Judge
from fastcam.evaluation.truth import ground_truth
from fastcam.localization import boxes_from_maps
from fastcam.network import Network
from fastcam.protocol import Protocol
from fastcam.reproduce.observed import extractions

__all__ = ["Located", "draw_panel", "evenly", "locate"]


@dataclass(frozen=True)
class Located:
    """What one network and one protocol find in N pictures.

    Attributes:
        boxes: (N, 4) float32, in evaluated pixels.
        ious: (N,), the best IoU with a true box.
        heats: of the pictures that are shown, by their numbers, the maps (h, w), cut at the protocol's percentile.
    """

    boxes: NDArray[np.float32]
    ious: NDArray[np.float64]
    heats: Mapping[int, NDArray[np.float32]]

    def to_json(self, split: Split) -> dict[str, Any]:
        """Return the numbers, and the box and IoU of every picture by its id."""
        pictures = {
            record.id: {"iou": round(iou, 6), "box": [round(value, 2) for value in box]}
            for record, iou, box in zip(split, self.ious.tolist(), self.boxes.tolist(), strict=True)
        }
        return {"gt_loc": self.gt_loc, "mean_iou": float(self.ious.mean()), "pictures": pictures}

    @property
    def gt_loc(self) -> float:
        """The share of pictures whose box has an IoU of 0.5 or more."""
        return float((self.ious >= 0.5).mean())


def evenly(count: int, wanted: int) -> list[int]:
    """Return numbers below ``count``, spread evenly: pictures that nobody has chosen by how they look.

    Example:
        >>> evenly(9, 3), evenly(2, 5)
        ([0, 4, 8], [0, 1])
    """
    return sorted({round(place) for place in np.linspace(0, count - 1, min(wanted, count)).tolist()})


def locate(
    network: Network, split: Split, protocols: Mapping[str, Protocol], shown: Sequence[int], *, workers: int = 0
) -> dict[str, Located]:
    """Find the boxes of the true classes by several protocols, in one pass.

    Args:
        network: any.
        split: pictures with boxes.
        protocols: by name.
        shown: the numbers of pictures whose maps are kept.
        workers: processes that decode.
    """
    boxes = {name: np.zeros((len(split), 4), np.float32) for name in protocols}
    heats: dict[str, dict[int, NDArray[np.float32]]] = {name: {} for name in protocols}
    for numbers, extraction in extractions(network, split, workers=workers):
        maps = {clamped: extraction.maps(clamp_negative=clamped).float() for clamped in (False, True)}
        for name, protocol in protocols.items():
            own = maps[protocol.clamp_negative]
            found = boxes_from_maps(own, size=network.inputs.size, protocol=protocol.of_largest())
            boxes[name][numbers] = found.boxes.cpu().numpy()
            for heat, number in zip(own.cpu().numpy(), numbers, strict=True):
                if number in shown:
                    heats[name][number] = np.minimum(heat, np.percentile(heat, protocol.percentile)).astype(np.float32)
    truth = ground_truth(split, network.inputs)
    return {
        name: Located(boxes[name], Judge(truth, protocol).ious(torch.from_numpy(boxes[name])), heats[name])
        for name, protocol in protocols.items()
    }


def draw_panel(axis: Any, network: Network, split: Split, number: int, located: Located) -> None:  # noqa: ANN401
    """Draw one picture, its map and its boxes into matplotlib's axes."""
    from matplotlib.patches import Rectangle

    photo = network.inputs.picture(split[number].read())
    axis.imshow(overlay(photo, located.heats[number]))
    true = ground_truth(split[number : number + 1], network.inputs)[0]
    several = [(box, TRUE_COLOUR, "-") for box in ([] if true is None else true.tolist())]
    for (x0, y0, x1, y1), colour, style in [*several, (located.boxes[number].tolist(), FOUND_COLOUR, "--")]:
        rectangle = Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, linestyle=style, linewidth=2)
        axis.add_patch(rectangle)
    axis.set(xticks=[], yticks=[])
    axis.set_xlabel(f"IoU {located.ious[number]:.2f}", fontsize=8, labelpad=2)
