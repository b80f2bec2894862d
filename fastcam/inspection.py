"""What the maps of a network are made from, proved and with what else there is: :func:`inspect_network`."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch

from fastcam.extractors import Attachment, GradientSource, HeadMismatchWarning, Localizer
from fastcam.extractors.gradient import GRADIENT_METHODS
from fastcam.extractors.nameable import NameableMaps, nameable_maps
from fastcam.inputs import Inputs
from fastcam.methods import Method, MethodExtractor
from fastcam.network import Network

__all__ = ["Inspection", "NamedSource", "inspect_network"]

_SHOWN = 8  # modules that could be named


@dataclass(frozen=True)
class NamedSource:
    """Features and classifier that were named by hand.

    Attributes:
        features: the module.
        classifier: the last layer.
        mismatch: why they are not what the logits are made from; empty where they are.
    """

    features: str
    classifier: str
    mismatch: str

    def __str__(self) -> str:
        said = self.mismatch or "explain the logits to within rounding"
        return f"features={self.features!r}, classifier={self.classifier!r}, as named; {said}"


@dataclass(frozen=True)
class Inspection:
    """What was found in a network.

    Attributes:
        model: its name.
        classes: K.
        inputs: what it sees of a picture.
        source: what its maps are made from.
        method: ``"cam"`` or a gradient method.
        maps: all modules that can be named as features.
        remarks: what else there is to say.

    Example:
        >>> import fastcam
        >>> from fastcam.models import VGG16
        >>> found = inspect_network(fastcam.load(VGG16(num_classes=5, width=1 / 16), size=(64, 64)))
        >>> found.method, found.source.classifier, [one.features for one in found.maps if one.is_pooled]
        ('cam', 'classifier', ['conv6', 'relu6'])
    """

    model: str
    classes: int
    inputs: Inputs
    source: Attachment | GradientSource | NamedSource
    method: str
    maps: tuple[NameableMaps, ...]
    remarks: tuple[str, ...] = ()

    @property
    def mismatch(self) -> str:
        """Why there is no map of the network's own where names were given; else empty."""
        return self.source.mismatch if isinstance(self.source, NamedSource) else ""

    def __str__(self) -> str:
        lines = [f"{self.model}: {self.classes} classes", f"inputs: {_said(self.inputs)}"]
        exact = self.method == "cam" and not self.mismatch
        kind = (
            "class activation map, exact" if exact else "no map of its own" if self.mismatch else f"{self.method} map"
        )
        lines += [f"{kind}: {self.source}", *self.remarks]
        same = [one for one in self.maps if one.is_pooled]
        if len(same) > 1:
            lines.append(f"the same features: {', '.join(repr(one.features) for one in same)}")
        named = self.source.features
        others = [one for one in self.maps if one.reaches and not one.is_pooled and one.features != named][-_SHOWN:]
        if others:
            lines.append("gradient maps can be taken at (features=..., with cam= one of the methods):")
            lines += [f"  {one}" for one in reversed(others)]
        lines.append(f"other methods (cam=...): {', '.join(name for name in GRADIENT_METHODS if name != self.method)}")
        return "\n".join(lines)

    def to_mapping(self) -> dict[str, Any]:
        """Return it as strings, numbers, lists and dictionaries, for JSON."""
        source: dict[str, Any] = {"features": self.source.features}
        if not isinstance(self.source, NamedSource):
            source["layout"] = str(self.source.layout)
        if isinstance(self.source, Attachment):
            source |= {"classifier": self.source.classifier, "pooling": self.source.pooling}
            source |= {"folded": list(self.source.folded), "difference": self.source.difference}
        elif isinstance(self.source, NamedSource):
            source |= {"classifier": self.source.classifier, "mismatch": self.source.mismatch or None}
        else:
            source |= {"reason": self.source.reason, "beside": list(self.source.beside)}
        return {
            "model": self.model,
            "classes": self.classes,
            "inputs": self.inputs.to_mapping(),
            "method": self.method,
            "exact": self.method == "cam" and not self.mismatch,
            "source": source,
            "remarks": list(self.remarks),
            "maps": [
                {
                    "features": one.features,
                    "layout": str(one.layout),
                    "channels": one.channels,
                    "grid": list(one.grid),
                    "reaches": one.reaches,
                    "pooled": one.is_pooled,
                }
                for one in self.maps
            ],
        }


def inspect_network(network: Network) -> Inspection:
    """Find what the maps of a network are made from, and what else could be named.

    Args:
        network: of :func:`fastcam.load`.

    Raises:
        ValueError: there is nothing to make maps from; the message says why.
    """
    generator = torch.Generator("cpu").manual_seed(0)
    images = torch.randn((2, 3, *network.inputs.size), generator=generator, device="cpu").to(network.device)
    localizer, remarks = network.extractor, []
    if not isinstance(localizer, Localizer):
        method = localizer.method if isinstance(localizer, MethodExtractor) else None
        if method is not None and (type(method).extract is not Method.extract or method.replaces_pooling):
            remarks.append(f"boxes are found in the maps of its method, {method.name}, and not in these")
        localizer = Localizer(network.model)
    source: Attachment | GradientSource | NamedSource
    if localizer.names is None:
        with warnings.catch_warnings():
            # What it warns of stands in the result.
            warnings.simplefilter("ignore", HeadMismatchWarning)
            source = localizer.inspect(images)
        maps_by = "cam" if isinstance(source, Attachment) else localizer.method
        pooled = source
    else:
        source, maps_by, pooled = _by_names(localizer, images), "cam", None
    maps = nameable_maps(network.model, images, pooled)
    return Inspection(
        network.name, network.extractor.num_classes, network.inputs, source, maps_by, maps, tuple(remarks)
    )


def _said(inputs: Inputs) -> str:
    """Inputs in words."""
    resize, size = ("x".join(map(str, one)) for one in (inputs.resize, inputs.size))
    how = (
        f"the whole picture at {resize}" if inputs.fit == "stretch" else f"the picture, its aspect kept, over {resize}"
    )
    crop = "" if inputs.crop is None else f", of which the middle {size}"
    mean, std = (" ".join(f"{value:.4g}" for value in values) for values in (inputs.mean, inputs.std))
    return f"{how}{crop}, {inputs.filter}, {inputs.channels}, mean {mean}, std {std}"


def _by_names(localizer: Localizer, images: torch.Tensor) -> NamedSource:
    """Check what was named by hand."""
    assert localizer.names is not None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        localizer.features(images)
    said = [str(one.message) for one in caught if issubclass(one.category, HeadMismatchWarning)]
    return NamedSource(*localizer.names, said[0] if said else "")
