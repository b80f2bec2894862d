"""What one run of a network gives localization: logits, classes, and the maps of those: :class:`Extraction`."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Literal, TypedDict, cast, get_args

import torch
from torch import Tensor

from fastcam.activation import Index, cam, checked_index
from fastcam.extractors.positions import check_positions
from fastcam.localization import Localization, Objects, localize, localize_maps
from fastcam.protocol import PAPER, Protocol, Threshold
from fastcam.sizes import Size

if TYPE_CHECKING:
    # Part of typing from Python 3.11 on; PyTorch needs the package anyway.
    from typing_extensions import Unpack

__all__ = [
    "Extraction",
    "LinearExtraction",
    "LocalizeOptions",
    "MapExtraction",
    "Probability",
    "check_choice",
    "check_min_score",
    "chosen_classes",
    "classes_above",
]

Probability = Literal["softmax", "sigmoid"]
"""What makes probabilities of logits: the softmax of classes that exclude each other, or the sigmoid of each class."""


class _MapOptions(TypedDict, total=False):
    """What :func:`fastcam.localize` takes too."""

    size: Size | Sequence[Size]
    protocol: Protocol
    percentile: float | None
    threshold: Threshold | None
    return_maps: bool
    return_masks: bool


class LocalizeOptions(_MapOptions, total=False):
    """The options of localization, with the meaning and the defaults of :func:`fastcam.localize`.

    Attributes:
        size: (H, W) that the boxes refer to, or one an image; by default that of the images.
        protocol: how a map becomes a box.
        percentile: in place of the protocol's.
        threshold: in place of the protocol's.
        return_maps: keep the maps.
        return_masks: keep the thresholded maps.
        min_score: leave out what is of a class with a lower probability, in [0, 1]; the result is then
            :class:`fastcam.Objects`, any number of classes an image. Where no class was asked for, by ``index`` or
            ``top_k``, all classes of at least this probability are localized, best first.
        probability: ``"softmax"`` of the logits, or ``"sigmoid"`` of each, as of networks with several labels an image.
    """

    min_score: float | None
    probability: Probability


@dataclass(frozen=True)
class Extraction(ABC):
    """One run of a network on N images.

    Maps of one position are refused where the images have more: they would give the whole image for every class.

    Attributes:
        logits: (N, K), as the network gave them.
        labels: (N,) or (N, T) int64, the classes whose maps these are.
        size: (H, W) of the images in pixels; of sound its length, of video and volumes (D, H, W).
    """

    logits: Tensor
    labels: Tensor
    size: tuple[int, ...]

    @abstractmethod
    def maps(self, *, clamp_negative: bool = True) -> Tensor:
        """Return the maps of the classes, (N, h, w) or (N, T, h, w) floating point, at the features' own size.

        Features with positions along one axis or three give maps of as many.

        Args:
            clamp_negative: use max(w, 0) for the weights, where the maps have weights (Eq. 5).
        """

    def _located(self, options: _MapOptions) -> Localization:
        """Find the boxes in the maps; scores are added by the caller, and ``size`` is among the options."""
        maps = self.maps(clamp_negative=options.get("protocol", PAPER).clamp_negative)
        sides = tuple(maps.shape[-len(self.size) :])
        if len(self.size) != 2:
            raise ValueError(f"boxes are found in maps (N, h, w), got maps with sides {sides}: maps() has them")
        check_positions(sides, self.size)
        return localize_maps(maps, self.labels, **options)

    def localize(self, **options: Unpack[LocalizeOptions]) -> Localization:
        """Find the boxes of the classes.

        Args:
            **options: see :class:`LocalizeOptions`.

        Returns:
            The :class:`fastcam.Localization`, whose ``scores`` are the float32 probabilities of the classes. On CUDA a
            class out of range is not checked (that would wait for the device) and gives an empty box and a NaN score.
            With ``keep="all"`` the :class:`fastcam.Objects`, whose ``probabilities`` are those. With ``min_score``
            :class:`fastcam.Objects` too, with the one box of each class where ``keep="largest"``, whose score is then
            the class's; how many there are is waited for.

        Raises:
            TypeError: an argument of the wrong type.
            ValueError: shapes or ranges that do not fit; the message says which.
        """
        if options.get("size") is None:
            options["size"] = self.size  # of another length it is refused with the maps
        least, how = options.pop("min_score", None), options.pop("probability", "softmax")
        check_min_score(least, how)
        found = self._located(cast("_MapOptions", options))
        if isinstance(found, Objects):  # whose scores are those of boxes
            assert found.labels is not None
            scores = _scores(self.logits[found.image], found.labels, how)
            every = dataclasses.replace(found, probabilities=scores)
            return every if least is None else every.boxes_where(scores >= least)
        scores = _scores(self.logits, self.labels, how)
        found = dataclasses.replace(found, scores=scores)
        return found if least is None else Objects.of_localization(found, scores >= least)

    def of_classes(self, labels: Tensor) -> Extraction | None:  # noqa: ARG002
        """Return the same run with the maps of other classes, (N,) or (N, T); None where that takes another run."""
        return None


@dataclass(frozen=True)
class LinearExtraction(Extraction):
    """One whose maps are weighted sums of features (Eq. 1, 2): CAM, and the rows of Grad-CAM.

    Attributes:
        features: (N, C, h, w), or with one axis of positions or three.
        weight: (K, C), the classifier's, of which a map takes its class's row.

    Example:
        >>> features, weight = torch.rand(2, 8, 7, 7), torch.rand(5, 8)
        >>> logits = features.mean((2, 3)) @ weight.T
        >>> found = LinearExtraction(logits, chosen_classes(logits, top_k=3), (56, 56), features, weight).localize()
        >>> found.boxes.shape, found.scores.shape
        (torch.Size([2, 3, 4]), torch.Size([2, 3]))
    """

    features: Tensor
    weight: Tensor

    def __post_init__(self) -> None:
        check_positions(self.features.shape[2:], self.size)

    def maps(self, *, clamp_negative: bool = True) -> Tensor:
        """Return the class activation maps, float32, or float64 for float64 features."""
        return cam(self.features, self.weight, self.labels, clamp_negative=clamp_negative)

    def of_classes(self, labels: Tensor) -> LinearExtraction:
        """Return the same run with the maps of other classes."""
        return dataclasses.replace(self, labels=labels)

    def _located(self, options: _MapOptions) -> Localization:
        # At once, without keeping a map.
        return localize(self.features, self.weight, self.labels, **options)


@dataclass(frozen=True)
class MapExtraction(Extraction):
    """One whose maps are finished: there is nothing left to clamp.

    Attributes:
        finished: (N, h, w) or (N, T, h, w), a map for each of the labels.

    Example:
        >>> maps = torch.zeros(1, 7, 7)
        >>> maps[0, 2:5, 1:3] = 1
        >>> MapExtraction(torch.tensor([[0.0, 2.0]]), torch.tensor([1]), (7, 7), maps).localize().boxes
        tensor([[1., 2., 3., 5.]])
    """

    finished: Tensor

    def __post_init__(self) -> None:
        check_positions(self.finished.shape[self.labels.dim() :], self.size)

    def maps(self, *, clamp_negative: bool = True) -> Tensor:  # noqa: ARG002
        """Return the finished maps."""
        return self.finished


def chosen_classes(logits: Tensor, index: Index | None = None, top_k: int | None = None) -> Tensor:
    """Return the classes to localize, (N,) or (N, T) int64 on the logits' device.

    Args:
        logits: (N, K).
        index: one class for all images, or (N,), or (N, T); None: each image's first class, or its ``top_k``.
        top_k: instead of ``index``: how many classes an image, best first.

    Raises:
        TypeError: an index that is not integer, or a ``top_k`` that is not an int.
        ValueError: both, a shape that does not fit, or a number out of range (of an index on CUDA not checked).

    Example:
        >>> chosen_classes(torch.tensor([[1.0, 3.0, 2.0]]), top_k=2).tolist()
        [[1, 2]]
    """
    check_choice(index, top_k)
    if index is not None:
        return checked_index(index, logits.shape[0], logits.device, classes=logits.shape[1])
    if top_k is None:
        return logits.argmax(1)
    if isinstance(top_k, bool) or not isinstance(top_k, int):
        raise TypeError(f"top_k must be an int, got {top_k!r}")
    if not 1 <= top_k <= logits.shape[1]:
        raise ValueError(f"top_k must lie in [1, {logits.shape[1]}], the number of classes, got {top_k}")
    return logits.topk(top_k, dim=1).indices


def check_choice(index: Index | None, top_k: int | None) -> None:
    """Refuse ``index`` and ``top_k`` at once, before a network is run for nothing."""
    if index is not None and top_k is not None:
        raise ValueError("index and top_k exclude each other: give one of them")


def check_min_score(min_score: float | None, probability: Probability) -> None:
    """Refuse a probability that is none, before a network is run for nothing."""
    if probability not in get_args(Probability):
        raise ValueError(
            f"probability must be one of {', '.join(map(repr, get_args(Probability)))}, got {probability!r}"
        )
    if min_score is None:
        return
    if isinstance(min_score, bool) or not isinstance(min_score, Real):
        raise TypeError(f"min_score must be a number in [0, 1] or None, got {min_score!r}")
    if not 0 <= min_score <= 1:
        raise ValueError(f"min_score must lie in [0, 1], got {min_score!r}")


def classes_above(logits: Tensor, min_score: float, probability: Probability) -> Tensor:
    """Return each image's classes of at least a probability, best first, (N, T) int64; T is the most of any image.

    Images with fewer have others behind, of a lower probability; T is at least 1. On CUDA the device is waited for.

    Example:
        >>> classes_above(torch.tensor([[3.0, -2.0, 1.0], [-9.0, 2.0, -5.0]]), 0.5, "sigmoid").tolist()
        [[0, 2], [1, 2]]
    """
    most = int((_probabilities(logits, probability) >= min_score).sum(1).amax()) if len(logits) else 0
    return logits.topk(max(most, 1), dim=1).indices


def _probabilities(logits: Tensor, how: Probability) -> Tensor:
    wide = logits.float()
    return wide.softmax(1) if how == "softmax" else wide.sigmoid()


def _scores(logits: Tensor, classes: Tensor, how: Probability) -> Tensor:
    table = classes if classes.dim() == 2 else classes[:, None]
    # On CUDA the range was not checked, and a gather outside it would abort the process's context.
    inside = (table >= 0) & (table < logits.shape[1])
    scores = _probabilities(logits, how).gather(1, table.clamp(0, logits.shape[1] - 1))
    return scores.where(inside, torch.nan).reshape(classes.shape)
