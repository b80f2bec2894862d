"""Figure 4: how much of a map is kept by the maximum and by a percentile: :func:`figure4`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastcam.data import Split
from fastcam.evaluation.plots import empty_figure
from fastcam.evaluation.truth import ground_truth
from fastcam.localization import localize_maps
from fastcam.network import Network
from fastcam.protocol import PAPER, VANILLA
from fastcam.reproduce.figures.correlation import Correlation, correlation
from fastcam.reproduce.figures.drawn import Drawn, sentence
from fastcam.reproduce.figures.figure3 import boxes_mask
from fastcam.reproduce.observed import extractions

__all__ = ["Shares", "figure4", "kept_shares"]

_STANDARDS = {"maximum": VANILLA, "percentile": PAPER.replace(clamp_negative=False)}
_PLACES = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Shares:
    """What a threshold keeps of N maps.

    Attributes:
        shares: (N,), of the pixels that are above the threshold.
        curves: (N, 101), the values at these shares of the pixels, from the highest down, over the standard: the
            maximum, or the percentile. NaN where that is not above 0.
    """

    shares: NDArray[np.float64]
    curves: NDArray[np.float64]


def figure4(networks: Mapping[str, Network], split: Split, *, workers: int = 0) -> Drawn:
    """Draw the sorted values of maps with both thresholds, and the distribution of what these keep.

    The paper says (section 2.4) that a share of the maximum keeps a very different part of one map and of another, and
    a share of the percentile about the same. Nothing is clamped, so that the standard alone is what differs, and its
    threshold: 0.2 of the maximum, 0.35 of the 90th percentile.

    Args:
        networks: by what they are called.
        split: pictures with boxes.
        workers: processes that decode.
    """
    numbers: dict[str, Any] = {"networks": {}}
    figure = empty_figure(12, 3.8 * len(networks))
    told = []
    rows = figure.subplots(len(networks), 3, squeeze=False)
    for axes, (title, network) in zip(rows, networks.items(), strict=True):
        kept, boxes = kept_shares(network, split, workers=workers)
        own: dict[str, Any] = {
            "share_of_boxes": boxes.round(6).tolist(),
            "median_share_of_boxes": float(np.median(boxes)),
        }
        sizes = {}
        for axis, (name, protocol), colour in zip(axes, _STANDARDS.items(), ("C0", "C1"), strict=False):
            found = kept[name]
            known = found.curves[np.isfinite(found.curves).all(axis=1)]
            own[name], sizes[name] = _summary(found, boxes)
            own[name] |= {"standard_not_above_0": len(found.curves) - len(known), "threshold": protocol.threshold}
            if len(known):
                low, middle, high = np.percentile(known, [10, 50, 90], axis=0)
                own[name]["sorted_values"] = {"p10": low.tolist(), "median": middle.tolist(), "p90": high.tolist()}
                axis.fill_between(100 * _PLACES, low, high, alpha=0.3, color=colour, label="10th to 90th percentile")
                axis.plot(100 * _PLACES, middle, color=colour, label="median map")
            axis.axhline(protocol.threshold, color="black", linestyle="--", label=f"threshold {protocol.threshold:g}")
            axis.set(title=f"{title}: value over the {name}", xlabel="pixels, percent", ylim=(-0.2, 1.6))
            axis.legend(fontsize=8)
            edges = np.linspace(0, 1, 21)
            counts = np.histogram(found.shares, edges)[0] / len(split)
            axes[2].stairs(100 * counts, 100 * edges, fill=True, alpha=0.5, color=colour, label=f"by the {name}")
        axes[2].set(
            title=f"{title}: what is kept", xlabel="pixels above the threshold, percent", ylabel="maps, percent"
        )
        axes[2].legend(fontsize=8)
        numbers["networks"][title] = own
        told.append(_told(title, own, sizes))
    return Drawn(figure, numbers, sentence(told))


def kept_shares(network: Network, split: Split, *, workers: int = 0) -> tuple[dict[str, Shares], NDArray[np.float64]]:
    """Return what each standard keeps of the maps of the true classes, resized to the input and not clamped.

    Args:
        network: any.
        split: pictures with boxes.
        workers: processes that decode.

    Returns:
        By ``maximum`` (0.2 of it) and ``percentile`` (0.35 of the 90th); and the share of the
        boxes in each picture (N,).
    """
    size, count = network.inputs.size, len(split)
    truth = ground_truth(split, network.inputs).compared(VANILLA)
    boxes = np.array([boxes_mask(one, size).mean() for one in truth])
    kept = {name: Shares(np.zeros(count), np.full((count, len(_PLACES)), np.nan)) for name in _STANDARDS}
    for numbers, extraction in extractions(network, split, workers=workers):
        small = extraction.maps(clamp_negative=False)
        for name, protocol in _STANDARDS.items():
            found = localize_maps(small, None, size=size, protocol=protocol, return_maps=True)
            assert isinstance(found.maps, Tensor)
            flat, thresholds = found.maps.flatten(1).double().cpu(), found.thresholds.double().cpu()
            kept[name].shares[numbers] = (flat > thresholds[:, None]).double().mean(1).numpy()
            descending = flat.sort(dim=1, descending=True).values
            at = torch.from_numpy((_PLACES * (flat.shape[1] - 1)).round().astype(np.int64))
            assert isinstance(protocol.threshold, float)
            standard = thresholds[:, None] / protocol.threshold
            curves = torch.where(standard > 0, descending[:, at] / standard, torch.nan)
            kept[name].curves[numbers] = curves.numpy()
    return kept, boxes


def _summary(found: Shares, boxes: NDArray[np.float64]) -> tuple[dict[str, Any], Correlation]:
    low, middle, high = np.percentile(found.shares, [10, 50, 90]).tolist()
    mean = float(found.shares.mean())
    with_boxes = correlation(found.shares, boxes)
    return {
        "kept": found.shares.round(6).tolist(),
        "p10": low,
        "median": middle,
        "p90": high,
        "relative_deviation": float(found.shares.std()) / mean if mean else None,
        "correlation_with_share_of_boxes": with_boxes.to_json(),
    }, with_boxes


def _told(title: str, own: Mapping[str, Any], sizes: Mapping[str, Correlation]) -> str:
    parts = []
    for name in _STANDARDS:
        one = own[name]
        low, middle, high = (f"{100 * one[key]:.0f}" for key in ("p10", "median", "p90"))
        parts.append(f"the {name} keeps {low} to {high}% of the pixels of eight maps in ten (median {middle}%)")
    spreads = [own[name]["relative_deviation"] for name in _STANDARDS]
    varies = ""
    if None not in spreads:
        how = "less" if spreads[1] < spreads[0] else "not less"
        varies = (
            f", so what is kept varies {how} by the percentile ({spreads[1]:.2f} of its mean against {spreads[0]:.2f})"
        )
    with_boxes = " and ".join(f"{one} by the {name}" for name, one in sizes.items())
    return f"under {title} {' and '.join(parts)}{varies}; its correlation with the size of the boxes is {with_boxes}"
