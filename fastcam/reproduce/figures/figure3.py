"""Figure 3b: whether channels with negative weights are activated inside the objects: :func:`figure3`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastcam.activation import cam
from fastcam.data import Split
from fastcam.evaluation.plots import empty_figure
from fastcam.evaluation.truth import ground_truth
from fastcam.localization import localize_maps
from fastcam.network import Network
from fastcam.protocol import VANILLA
from fastcam.reproduce.figures.drawn import Drawn, sentence, told_difference
from fastcam.reproduce.figures.networks import linear
from fastcam.reproduce.observed import extractions
from fastcam.reproduce.statistics import paired_difference

__all__ = ["boxes_mask", "figure3", "shares_inside"]

_SIGNS = ("positive", "negative")


def figure3(networks: Mapping[str, Network], split: Split, *, workers: int = 0) -> Drawn:
    """Draw how much of what positive and negative weights activate lies inside the true boxes (Figure 3b).

    The paper says (section 2.3) that the two distributions are almost the same.

    Args:
        networks: by what they are called.
        split: pictures with boxes.
        workers: processes that decode.

    Raises:
        ConfigError: a network whose maps are no weighted sums of channels.
    """
    edges = np.linspace(0, 1, 21)
    numbers: dict[str, Any] = {"threshold": VANILLA.threshold, "bin_edges": edges.round(6).tolist(), "networks": {}}
    figure = empty_figure(4.5 * len(networks))
    told = []
    axes = figure.subplots(1, len(networks), squeeze=False, sharey=True)[0]
    for axis, (title, network) in zip(axes, networks.items(), strict=True):
        inside, share = shares_inside(network, split, title=title, workers=workers)
        summary = _summary(inside, float(share.mean()))
        for number, sign in enumerate(_SIGNS):
            known = inside[sign][np.isfinite(inside[sign])]
            counts = np.histogram(known, edges)[0] / max(len(known), 1)
            axis.stairs(100 * counts, edges, fill=True, alpha=0.5, color=f"C{number}", label=f"{sign} weights")
            summary[sign] |= {"histogram": counts.tolist(), "ioa": _plain(inside[sign])}
        axis.axvline(float(share.mean()), color="grey", linestyle=":", label="mean share of the boxes in a picture")
        axis.set(title=title, xlabel="intersection over area", xlim=(0, 1))
        axis.legend(loc="upper left", fontsize=8)
        numbers["networks"][title] = summary
        told.append(_told(title, summary))
    axes[0].set_ylabel("pictures, percent")
    return Drawn(figure, numbers, sentence(told))


def shares_inside(
    network: Network, split: Split, *, title: str = "", workers: int = 0
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64]]:
    """Return the intersection over area of the true boxes and what the weights of each sign activate.

    The map of one sign is ``sum_c max(±w, 0) F_c`` (Eq. 5) of the true class; activated is where it is above 0.2 of its
    maximum once it is resized (Eq. 3). The share of that area inside any of the boxes is the number.

    Args:
        network: with linear maps.
        split: pictures with boxes.
        title: of the network, for errors.
        workers: processes that decode.

    Returns:
        Of each sign (N,), NaN where nothing is activated; and the share of the boxes in each picture (N,).
    """
    size = network.inputs.size
    truth = ground_truth(split, network.inputs).compared(VANILLA)
    inside = {sign: np.full(len(split), np.nan) for sign in _SIGNS}
    share = np.zeros(len(split))
    for numbers, given in extractions(network, split, workers=workers):
        one = linear(given, title)
        masks = np.stack([boxes_mask(truth[number], size) for number in numbers])
        share[numbers] = masks.mean(axis=(1, 2))
        for sign, weight in zip(_SIGNS, (one.weight, -one.weight), strict=True):
            maps = cam(one.features, weight.detach(), one.labels, clamp_negative=True)
            found = localize_maps(maps, None, size=size, protocol=VANILLA, return_masks=True).masks
            activated = np.asarray(found.cpu().numpy() if found is not None and not isinstance(found, list) else [])
            area = activated.sum(axis=(1, 2))
            with np.errstate(invalid="ignore"):
                inside[sign][numbers] = (activated & masks).sum(axis=(1, 2)) / area
    return inside, share


def boxes_mask(boxes: NDArray[np.int64] | None, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels in any of the boxes, half-open, (H, W) bool."""
    mask = np.zeros(size, bool)
    for x0, y0, x1, y1 in [] if boxes is None else boxes.tolist():
        mask[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = True
    return mask


def _summary(inside: Mapping[str, NDArray[np.float64]], share: float) -> dict[str, Any]:
    summary: dict[str, Any] = {"mean_share_of_boxes": share}
    for sign, values in inside.items():
        known = values[np.isfinite(values)]
        quartiles = np.percentile(known, [25, 50, 75]).tolist() if len(known) else [None] * 3
        mean = float(known.mean()) if len(known) else None
        summary[sign] = {"mean": mean, "quartiles": quartiles, "nothing_activated": len(values) - len(known)}
    both = np.isfinite(inside["positive"]) & np.isfinite(inside["negative"])
    summary["difference"] = None
    if both.any():
        found = paired_difference(inside["negative"][both][None], inside["positive"][both][None])
        summary["difference"] = found.to_json()
    return summary


def _told(title: str, summary: Mapping[str, Any]) -> str:
    means = [summary[sign]["mean"] for sign in _SIGNS]
    if None in means:
        return f"under {title} no picture has both positive and negative weights that activate anything"
    positive, negative, share = (f"{100 * one:.0f}%" for one in (*means, summary["mean_share_of_boxes"]))
    difference = summary["difference"]
    apart = ""
    if difference is not None:
        mean, interval = told_difference(difference)
        apart = f", {mean} points ({interval}) against the positive ones' {positive}"
    return (
        f"under {title} what negative weights activate lies to {negative} inside the true boxes{apart}, and the boxes "
        f"take {share} of a picture"
    )


def _plain(values: NDArray[np.float64]) -> Sequence[float | None]:
    return [round(one, 6) if np.isfinite(one) else None for one in values.tolist()]
