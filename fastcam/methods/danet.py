"""DANet: several maps a class that are kept apart, and the same once more for the groups that classes belong to."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fastcam.activation import Index, cam
from fastcam.data.hierarchy import read_hierarchy
from fastcam.extractors.extraction import Extraction, check_choice, chosen_classes
from fastcam.extractors.extractor import checked_images
from fastcam.extractors.positions import check_positions
from fastcam.methods.branch import second_head
from fastcam.methods.mean import as_mean
from fastcam.methods.method import Method, Outcome
from fastcam.models.classifier import Classifier

__all__ = ["DANet", "DivergentMaps", "discrepancy"]


def discrepancy(maps: Tensor) -> Tensor:
    """Return how alike maps (N, J, h, w) of the same image are: the mean over images of the mean cosine of all pairs.

    As in DANet's released code the mean of an image counts by its absolute value: maps may become unrelated, not
    opposite. That code draws half of the maps at random; this takes them all.

    Example:
        >>> maps = torch.tensor([[[[1.0, 0.0]], [[0.0, 2.0]], [[3.0, 0.0]]]])
        >>> discrepancy(maps)  # one pair of three is alike
        tensor(0.3333)
    """
    count = maps.shape[1]
    unit = F.normalize((maps if maps.dtype == torch.float64 else maps.float()).flatten(2), dim=2)
    # Of the square of a sum, the products of different summands, each of which stands there twice.
    products = unit.sum(1).square().sum(1) - unit.square().sum((1, 2))
    return products.abs().mean() / (count * (count - 1))


class DivergentMaps(nn.Module):
    """M maps a class, by 1x1 convolutions whose mean is a linear classifier's: ``W_m = W + D_m - mean(D)``.

    The classifier W stays an ordinary one, and the mean of the M maps is its class activation map. Gradient descent
    moves W and D as it would move the M convolutions by themselves.

    Args:
        maps: M.
        linear: the classifier, (K, C).
    """

    def __init__(self, maps: int, linear: nn.Linear) -> None:
        super().__init__()
        self.deviation = nn.Parameter(torch.empty(maps, *linear.weight.shape))
        nn.init.normal_(self.deviation, std=0.01)

    def scores(self, pooled: Tensor, linear: nn.Linear) -> Tensor:
        """Return the classifier's logits (N, K) of pooled features (N, C), which are the mean of the M."""
        weight, bias = (as_mean(one, len(self.deviation)) for one in (linear.weight, linear.bias))
        return F.linear(pooled, weight, bias)

    def weights(self, weight: Tensor) -> Tensor:
        """Return the convolutions' weights (M, K, C) from the classifier's (K, C)."""
        return weight + (self.deviation - self.deviation.mean(0))

    def forward(self, features: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
        """Return the maps (N, M, h, w) of one class an image, without the bias."""
        apart = self.deviation[:, labels]
        mean = as_mean(weight[labels], len(apart))
        return torch.einsum("mnc,nchw->nmhw", mean + (apart - apart.mean(0)), features)


class _Branch(nn.Module):
    """The classifier of one level of groups, on an inner layer of the model."""

    def __init__(self, channels: int, groups: int, maps: int) -> None:
        super().__init__()
        self.neck, self.classifier = second_head(channels, min(1024, 2 * channels), groups)
        self.maps = DivergentMaps(maps, self.classifier)


class DANet(Method):
    """Divergent activation (Xue et al., ICCV 2019).

    Every class has M maps, whose mean is the class's (:class:`DivergentMaps`); :func:`discrepancy` keeps those of the
    true class apart (discrepant divergent activation). With a hierarchy each level of groups has a branch on an inner
    layer that tells its groups by M maps too, and all maps of the true class and its groups are kept apart together
    (hierarchical divergent activation); without one the discrepancy of the classes' maps is all there is. The loss is
    the sum of the levels' cross-entropies and ``discrepancy`` times the discrepancy; every level pools by the model's
    own pooling. The map that localizes is the mean over the M maps, each without its negative values, of the class and,
    resized to the largest, of its groups. The classifier that is kept is the model's own.

    Args:
        maps: M, at least 2; the released code has 8 for VGG16 and 4 for InceptionV3.
        discrepancy: its weight; the released code has 0.2, and 0.5 for each cross-entropy: the same at half the rate.
        hierarchy: a file for :func:`fastcam.data.read_hierarchy`: class, parent and perhaps grandparent.

    Raises:
        ValueError: a number out of range.
    """

    name = "danet"
    published: ClassVar = {"vgg16": "DANet", "googlenet": "DANet, InceptionV3"}
    elsewhere: ClassVar = (False, "DANet defines its branches for VGG16 and InceptionV3 only")

    parents: Tensor

    def __init__(self, maps: int = 8, discrepancy: float = 0.4, hierarchy: str | None = None) -> None:
        super().__init__()
        if isinstance(maps, bool) or not isinstance(maps, int) or maps < 2:
            raise ValueError(f"maps must be a whole number, at least 2, got {maps!r}")
        if isinstance(discrepancy, bool) or not isinstance(discrepancy, (int, float)) or not 0 <= discrepancy < 1e6:
            raise ValueError(f"discrepancy must be a number in [0, 1e6), got {discrepancy!r}")
        if hierarchy is not None and not isinstance(hierarchy, str):
            raise ValueError(f"hierarchy must be the name of a file, got {hierarchy!r}")
        self.maps, self.discrepancy, self.hierarchy = maps, float(discrepancy), hierarchy
        self._groups: tuple[int, ...] | None = None if hierarchy else ()
        self.register_buffer("parents", torch.zeros(0, 0, dtype=torch.int64))
        self._seen: list[Tensor] | None = None

    def name_classes(self, classes: Sequence[str]) -> None:
        """Read the hierarchy.

        Raises:
            DataError: a file that is missing or malformed, or that lacks a class.
        """
        if self.hierarchy is not None:
            found = read_hierarchy(self.hierarchy, classes)
            self._groups, self.parents = tuple(map(len, found.names)), torch.from_numpy(found.labels)

    def expect(self, state: Mapping[str, Tensor]) -> None:
        """Take the number of groups of each level from a checkpoint.

        Raises:
            ValueError: weights that are not those of a hierarchy.
        """
        if self.hierarchy is None:
            return
        parents = state.get("parents")
        biases = [state.get(f"branches.{level}.classifier.bias") for level in range(2)]
        groups = tuple(len(bias) for bias in biases if bias is not None and bias.dim() == 1)
        if (
            parents is None
            or parents.dtype != torch.int64
            or parents.dim() != 2
            or not 1 <= len(parents) == len(groups)
        ):
            raise ValueError("the weights of danet are not those of its hierarchy")
        if any(bool((row < 0).any() or (row >= count).any()) for row, count in zip(parents, groups, strict=True)):
            raise ValueError("danet: its weights name groups that there are not")
        self._groups, self.parents = groups, torch.zeros_like(parents, device="cpu")

    def attach(self, model: Classifier) -> None:
        """Build the maps and the branches, and hook the inner layers.

        Raises:
            ValueError: a model without ``danet_positions``, or a hierarchy whose classes were not named.
        """
        if not model.danet_positions:
            raise ValueError(f"danet needs a model with danet_positions, {type(model).__name__} names none")
        if self._groups is None:
            raise ValueError(f"danet: hierarchy={self.hierarchy!r} needs the classes' names: name_classes comes first")
        if self._groups and self.parents.shape[1] != model.num_classes:
            raise ValueError(f"danet: the hierarchy is of {self.parents.shape[1]} classes, not of {model.num_classes}")
        # To where the branches are made.
        self.parents = self.parents.to(model.classifier.weight.device)
        self.divergent = DivergentMaps(self.maps, model.classifier)
        self.branches = nn.ModuleList()
        for (position, channels), groups in zip(model.danet_positions.items(), self._groups, strict=False):
            self.branches.append(_Branch(channels, groups, self.maps))
            model.get_submodule(position).register_forward_hook(self._see)

    def forward(self, model: Classifier, images: Tensor, labels: Tensor) -> Outcome:
        """Return the loss of all levels, and the class's logits."""
        features, inner = self._run(model, images)
        logits = self.divergent.scores(model.pool(features), model.classifier)
        loss = F.cross_entropy(logits, labels)
        maps = [self.divergent(features, model.classifier.weight, labels)]
        for branch, own, parents in zip(self._branches(), inner, self.parents, strict=True):
            groups = parents[labels]
            loss = loss + F.cross_entropy(branch.maps.scores(model.pool(own), branch.classifier), groups)
            maps.append(branch.maps(own, branch.classifier.weight, groups))
        return Outcome(loss + self.discrepancy * discrepancy(torch.cat(_of_one_size(maps), dim=1)), logits)

    def extract(
        self, model: Classifier, images: Tensor, index: Index | None = None, *, top_k: int | None = None
    ) -> Extraction:
        """Run the network and the branches; see :class:`DANet` for the map."""
        check_choice(index, top_k)
        checked_images(images)
        with torch.no_grad():
            features, inner = self._run(model, images)
            check_positions(features.shape[2:], images.shape[2:])
            logits = model.forward_head(features)
            own = torch.arange(model.num_classes, device=logits.device)
            levels = [_Level(features, self.divergent.weights(model.classifier.weight), own)]
            for branch, maps, parents in zip(self._branches(), inner, self.parents, strict=True):
                levels.append(_Level(maps, branch.maps.weights(branch.classifier.weight), parents))
        labels = chosen_classes(logits, index, top_k)
        return _MeanOfLevels(logits, labels, (images.shape[2], images.shape[3]), tuple(levels))

    def _run(self, model: Classifier, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the features, and for each level of groups those of its branch."""
        with self._watching() as seen:
            features = model.forward_features(images)
        # The innermost layer comes first, and is that of the largest groups.
        return features, [branch.neck(one) for branch, one in zip(self._branches(), reversed(seen), strict=True)]

    def _branches(self) -> Iterator[_Branch]:
        for branch in self.branches:
            assert isinstance(branch, _Branch)
            yield branch

    @contextmanager
    def _watching(self) -> Iterator[list[Tensor]]:
        self._seen = []
        try:
            yield self._seen
        finally:
            self._seen = None

    def _see(self, _module: nn.Module, _inputs: object, output: Tensor) -> None:
        if self._seen is not None:
            self._seen.append(output)

    def extra_repr(self) -> str:
        """Return what is between the brackets of the module's repr."""
        return f"maps={self.maps}, discrepancy={self.discrepancy}, hierarchy={self.hierarchy!r}"


@dataclass(frozen=True)
class _Level:
    """Features (N, C, h, w), the weights (M, G, C) of their maps, and for each class (K,) which of the G is its."""

    features: Tensor
    weights: Tensor
    groups: Tensor

    def maps(self, labels: Tensor, clamp_negative: bool) -> Tensor:
        """Return the mean of the M maps without their negative values, (N, T, h, w), for classes (N, T)."""
        count, groups, channels = self.weights.shape
        own = self.groups[labels.clamp(0, len(self.groups) - 1)]
        # On CUDA the range was not checked; a class out of range has no map here either.
        own = own.where((labels >= 0) & (labels < len(self.groups)), -1)
        steps = groups * torch.arange(count, device=labels.device)
        rows = torch.where(own[..., None] < 0, -1, own[..., None] + steps).flatten(1)
        maps = cam(self.features, self.weights.reshape(-1, channels), rows, clamp_negative=clamp_negative)
        return maps.clamp(min=0).reshape(*labels.shape, count, *maps.shape[2:]).mean(2)


@dataclass(frozen=True)
class _MeanOfLevels(Extraction):
    """The mean of the maps of the class and of its groups.

    Attributes:
        levels: of the classes first.
    """

    levels: tuple[_Level, ...]

    def maps(self, *, clamp_negative: bool = True) -> Tensor:
        """Return the mean maps, (N, h, w) or (N, T, h, w), at the size of the largest level."""
        table = self.labels if self.labels.dim() == 2 else self.labels[:, None]
        maps = torch.stack(_of_one_size([level.maps(table, clamp_negative) for level in self.levels])).mean(0)
        return maps.reshape(*self.labels.shape, *maps.shape[2:])

    def of_classes(self, labels: Tensor) -> _MeanOfLevels:
        """Return the same run with the maps of other classes."""
        return replace(self, labels=labels)


def _of_one_size(maps: Sequence[Tensor]) -> list[Tensor]:
    """Resize maps (N, J, h, w) to the largest sides among them."""
    size = [max(one.shape[axis] for one in maps) for axis in (2, 3)]
    resize = functools.partial(F.interpolate, size=size, mode="bilinear", align_corners=False)
    return [one if list(one.shape[2:]) == size else resize(one) for one in maps]
