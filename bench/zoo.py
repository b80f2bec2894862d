"""Every kind of image classifier that torchvision, timm and transformers have, with random weights."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import nn

__all__ = ["CLASSES", "LIBRARIES", "Network", "networks", "versions"]

CLASSES = 10
LIBRARIES = ("torchvision", "timm", "transformers")
# Words for sizes in names, the smallest first; what has none stands in the middle.
_SIZES = (
    *("test", "zepto", "atto", "femto", "pico", "xxxs", "xxs", "xx", "nano", "n", "xt", "xtiny", "ti", "t", "tiny"),
    *("xs", "x", "mini", "s", "small", "", "m", "medium", "mediumd", "betwixt", "b", "base", "plus", "l", "large"),
    "xl", "xlarge",
    *("h", "huge", "g", "giant", "gigantic", "enormous", "so150m", "so400m", "xxl", "5b", "7b"),
)  # fmt: skip
_HEADS = {
    "avg",
    "clip",
    "cls",
    "clsgap",
    "dino",
    "dist",
    "distilled",
    "enc",
    "gap",
    "gn",
    "map",
    "merge",
    "mlp",
    "reg4",
}


@dataclass(frozen=True)
class Network:
    """One classifier.

    Attributes:
        library: one of :data:`LIBRARIES`.
        family: the library's own file, or model type.
        name: what the library calls it.
        size: the height and width that it was made for.
        build: makes it, with random weights and ``CLASSES`` classes.
    """

    library: str
    family: str
    name: str
    size: int
    build: Callable[[], nn.Module]


def networks(library: str, names: Collection[str] = ()) -> Iterator[Network]:
    """Yield every classifier of torchvision, one of each kind of timm, one of each model type of transformers.

    Args:
        library: one of :data:`LIBRARIES`.
        names: only these; of timm any, whether or not others are of their kind.

    Raises:
        ImportError: the library is not installed.
    """
    _make_importable()
    of = {"torchvision": _of_torchvision, "timm": _of_timm, "transformers": _of_transformers}[library]
    return _families_first(of(names))


def _families_first(found: Iterator[Network]) -> Iterator[Network]:
    """One network of every family, then the others: a run that is cut short has seen most."""
    later, seen = [], set()
    for network in found:
        if network.family in seen:
            later.append(network)
        else:
            seen.add(network.family)
            yield network
    yield from later


def versions() -> dict[str, str]:
    """The versions of the libraries that are installed."""
    found = {}
    for library in ("torch", *LIBRARIES):
        with contextlib.suppress(PackageNotFoundError):
            found[library] = version(library)
    return found


_DEFINED: list[torch.library.Library] = []


def _make_importable() -> None:
    """torchvision's operators may be compiled for another PyTorch; importing it only needs that two have a schema."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if "torchvision" in sys.modules or _DEFINED:
        return
    _DEFINED.append(torch.library.Library("torchvision", "FRAGMENT"))
    for name in ("nms", "qnms"):
        with contextlib.suppress(RuntimeError):  # it is there
            _DEFINED[0].define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def _of_torchvision(names: Collection[str]) -> Iterator[Network]:
    models = importlib.import_module("torchvision.models")
    for name in models.list_models(module=models):
        if names and name not in names:
            continue
        family = models.get_model_builder(name).__module__.rpartition(".")[2]
        size = {"inception_v3": 299}.get(name, 224)
        yield Network("torchvision", family, name, size, _torchvision_builder(models, name))


def _torchvision_builder(models: Any, name: str) -> Callable[[], nn.Module]:
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    return lambda: models.get_model(name, weights=None, num_classes=CLASSES, **options)


def _of_timm(names: Collection[str]) -> Iterator[Network]:
    timm = importlib.import_module("timm")
    kinds: dict[tuple[object, ...], list[str]] = {}
    for name in timm.list_models():
        if not names or name in names:
            kinds.setdefault((name,) if names else _kind(name), []).append(name)
    for of_kind in kinds.values():
        name = min(of_kind, key=_by_size)
        family = importlib.import_module("timm.models._registry").model_entrypoint(name).__module__.rpartition(".")[2]
        size = (timm.models.get_pretrained_cfg(name, allow_unregistered=True).input_size or (3, 224, 224))[-1]
        yield Network("timm", family, name, size, _timm_builder(timm, name))


def _timm_builder(timm: Any, name: str) -> Callable[[], nn.Module]:
    return lambda: timm.create_model(name, pretrained=False, num_classes=CLASSES)


class _ToldError(Exception):
    """Carries what a network would be built of."""


def _kind(name: str) -> tuple[object, ...]:
    """The file, the class, the options and words that say what the head is, and the first word of the name."""
    registry = importlib.import_module("timm.models._registry")
    entry = registry.model_entrypoint(name)

    def tell(model_class: type, *_: object, **options: object) -> None:
        raise _ToldError(model_class.__name__, options.get("global_pool"), options.get("class_token"))

    module = sys.modules[entry.__module__]
    before = vars(module)["build_model_with_cfg"]
    vars(module)["build_model_with_cfg"] = tell
    try:
        entry(pretrained=False)
    except _ToldError as told:
        words = frozenset(name.split("_")) & _HEADS
        return (module.__name__, *told.args, words, re.match("[a-z]+", name)[0])  # type: ignore[index]
    finally:
        vars(module)["build_model_with_cfg"] = before
    raise AssertionError(f"{name} was built without build_model_with_cfg")


def _by_size(name: str) -> tuple[int, list[int], str]:
    ranks = [_SIZES.index(word) for word in name.split("_")[1:] if word in _SIZES]
    return max(ranks, default=_SIZES.index("")), [int(digits) for digits in re.findall(r"\d+", name)], name


# These take text, coloured tokens or patches with their places, and no pictures (N, 3, H, W).
_NO_PICTURES = {"imagegpt", "perceiver", "shieldgemma2", "siglip2", "dinat", "timm_wrapper"}


def _of_transformers(names: Collection[str]) -> Iterator[Network]:
    auto = importlib.import_module("transformers.models.auto.modeling_auto")
    configs = importlib.import_module("transformers").AutoConfig
    for kind, given in auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES.items():
        if kind in _NO_PICTURES:
            continue
        for name in (given,) if isinstance(given, str) else given:
            if names and name not in names:
                continue
            model_class = getattr(importlib.import_module("transformers"), name)
            yield Network("transformers", kind, name, _HF_SIZES.get(kind, 224), _hf_builder(configs, kind, model_class))


_HF_SIZES = {"swinv2": 256}
_LAYERS = 3


def _hf_builder(configs: Any, kind: str, model_class: Callable[[Any], nn.Module]) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        config = configs.for_model(kind)
        for part in (config, getattr(config, "vision_config", None)):
            # Layers that are all alike need not be many.
            if isinstance(getattr(part, "num_hidden_layers", None), int) and not hasattr(part, "depths"):
                part.num_hidden_layers = min(part.num_hidden_layers, _LAYERS)
            if isinstance(getattr(part, "image_size", None), int):
                part.image_size = _HF_SIZES.get(kind, 224)
        config.num_labels = CLASSES
        return model_class(config)

    return build
