"""Figure 2: whether channels with a small activated area get large weights: :func:`figure2`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fastcam.data import Split
from fastcam.evaluation.plots import empty_figure
from fastcam.network import Network
from fastcam.reproduce.figures.correlation import Correlation, correlation
from fastcam.reproduce.figures.drawn import Drawn, sentence
from fastcam.reproduce.figures.networks import linear, tap_threshold
from fastcam.reproduce.observed import extractions

__all__ = ["areas_by_class", "figure2"]

_DRAWN = 2000
_BINS = 10
_MEANING = {
    -1: "channels that are active in smaller areas have larger weights",
    0: "no correlation is resolved",
    1: "channels that are active in larger areas have larger weights",
}


def figure2(networks: Mapping[str, Network], split: Split, *, workers: int = 0) -> Drawn:
    """Draw the activated areas of channels and their weights in the classifier, for each pair of class and channel.

    The paper says (section 2.2) that GAP gives channels with a small activated area larger weights, and TAP does not.

    Args:
        networks: by what they are called; all areas are those above the threshold of the one with TAP.
        split: pictures, of which those of a class give the areas of its channels.
        workers: processes that decode.

    Raises:
        ConfigError: a network whose maps are no weighted sums of channels.
    """
    threshold = tap_threshold(networks)
    numbers: dict[str, Any] = {"activated_above": threshold, "networks": {}}
    figure = empty_figure(4.5 * len(networks))
    told = []
    for axis, (title, network) in zip(
        figure.subplots(1, len(networks), squeeze=False)[0], networks.items(), strict=True
    ):
        areas, weights, channels = areas_by_class(network, split, threshold, title=title, workers=workers)
        above = weights > 0
        positive = correlation(areas[above], weights[above], channels[above])
        every = correlation(areas, weights, channels)
        means = _means(areas[above], weights[above])
        chosen = np.random.default_rng(0).permutation(len(areas))[:_DRAWN]
        axis.plot(areas[chosen], weights[chosen], ".", markersize=2, alpha=0.5, color="C0", label="class and channel")
        axis.plot(*zip(*means, strict=True), "o-", color="C1", label="mean of positive weights")
        axis.axhline(0, color="grey", linewidth=0.8)
        axis.set(title=f"{title}: {positive}", xlabel="activated area, share of the map", ylabel="classifier's weight")
        axis.legend(loc="upper right", fontsize=8)
        told.append(_told(title, positive))
        numbers["networks"][title] = {
            "positive_weights": positive.to_json(),
            "all_weights": every.to_json(),
            "mean_of_positive_by_area": means,
            "drawn": np.stack([areas[chosen], weights[chosen]], axis=1).round(6).tolist(),
        }
    figure.supxlabel("in the titles: correlation of area and positive weight, 95% interval", fontsize=8)
    return Drawn(figure, numbers, sentence(told))


def areas_by_class(
    network: Network, split: Split, threshold: float, *, title: str = "", workers: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Return the activated area of every channel for every class, and its weight for the class.

    A position is activated where the channel is above ``threshold`` times its maximum (the sum of Eq. 4); the area is
    their share, averaged over the pictures of the class in which the channel is above 0 anywhere. Pairs that no picture
    shows are left out.

    Args:
        network: with linear maps.
        split: the pictures.
        threshold: in [0, 1).
        title: of the network, for errors.
        workers: processes that decode.

    Returns:
        Areas (P,), weights (P,) and the channels' numbers (P,), of P pairs.
    """
    classes = len(split.classes)
    sums, counts, weight = torch.zeros(0), torch.zeros(0), torch.zeros(0)
    for numbers, given in extractions(network, split, workers=workers):
        extraction = linear(given, title)
        features = extraction.features.float().cpu()
        if not len(sums):
            weight = extraction.weight.detach().double().cpu()
            sums = torch.zeros(classes, features.shape[1], dtype=torch.float64)
            counts = torch.zeros_like(sums)
        highest = features.amax((2, 3))
        areas = (features > threshold * highest[..., None, None]).double().mean((2, 3))
        active = (highest > 0).double()
        labels = torch.tensor([split[number].label for number in numbers])
        sums.index_add_(0, labels, areas * active)
        counts.index_add_(0, labels, active)
    seen = counts > 0
    channels = torch.arange(sums.shape[1]).expand_as(sums)
    return (sums[seen] / counts[seen]).numpy(), weight[seen].numpy(), channels[seen].numpy()


def _means(areas: NDArray[np.float64], weights: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Mean area and mean weight in parts of as many pairs each, from small areas to large ones."""
    order = np.argsort(areas, kind="stable")
    parts = [part for part in np.array_split(order, _BINS) if len(part)]
    return [(float(areas[part].mean()), float(weights[part].mean())) for part in parts] or [(0.0, 0.0)]


def _told(title: str, found: Correlation) -> str:
    return f"under {title} activated area and positive weight correlate at {found}: {_MEANING[found.sign]}"
