"""``timm:NAME``: networks of timm (pytorch-image-models), with its weights, preprocessing and class names."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping
from typing import Any

from torch import nn

from fastcam.inputs import Inputs
from fastcam.origins.library import brief, build_and_load, check_name, import_library, proved_inputs
from fastcam.origins.loaded import Loaded, LoadError

__all__ = ["load_timm", "timm_inputs"]


def load_timm(name: str, weights: str | os.PathLike[str] | None, size: tuple[int, int] | None) -> Loaded:
    """Load a network of timm.

    Args:
        name: as ``timm.create_model`` takes it, with the tag of its weights or without.
        weights: a file; None: the pretrained ones, which timm downloads or has; or ``"random"``.
        size: (H, W) that the network is built for, where it takes one size alone.

    Raises:
        ImportError: timm is not installed.
        LoadError: it has no such network, or the weights cannot be had.
    """
    timm = import_library("timm", "timm")
    # Names with a scheme, such as local-dir:folder, are not listed; a tag behind a name says which weights.
    listed = ":" not in name
    if listed and not timm.is_model(name.partition(".")[0]):
        check_name(name, timm.list_models(), "timm")

    def build(count: int | None, *, pretrained: bool = False) -> nn.Module:
        options: dict[str, Any] = {} if count is None else {"num_classes": count}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of names that are deprecated, and of timm's own code
                if size is not None and listed and timm.get_pretrained_cfg(name).fixed_input_size:
                    options["img_size"] = size
                model: nn.Module = timm.create_model(name, pretrained=pretrained, **options)
        # Whatever a library's downloads and constructors raise.
        except Exception as error:
            what = "weights" if pretrained else "size" if "img_size" in options else "source"
            hint = "; weights=FILE loads them from a file" if pretrained else ""
            raise LoadError(what, f"timm could not make {name}: {brief(error)}{hint}") from error
        return model

    model = build(None, pretrained=True) if weights is None else build_and_load(build, weights, _classes)
    if _classes(model) == 0:
        raise LoadError("source", f"timm's {name} has no classes: it ends in features")
    data = import_library("timm.data", "timm")
    try:
        config = data.resolve_model_data_config(model)
        transform = data.create_transform(**config, is_training=False)
        inputs, why = proved_inputs([timm_inputs(config)], transform, f"timm's {name}"), ""
    except ValueError as error:
        inputs, why = None, str(error)
    return Loaded(model, None, inputs, _names(data, model), why)


def timm_inputs(config: Mapping[str, Any]) -> Inputs | None:
    """Read timm's data config (``resolve_data_config``) as :class:`Inputs`; None where they cannot say it.

    Example:
        >>> config = {"input_size": (3, 224, 224), "crop_pct": 0.9, "interpolation": "bicubic"}
        >>> timm_inputs({**config, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}).resize
        (248, 248)
    """
    height, width = (int(side) for side in config["input_size"][1:])
    share = config["crop_pct"] or 0.875
    whole = math.floor(height / share), math.floor(width / share)
    squash = config.get("crop_mode") == "squash"
    try:
        return Inputs(
            whole,
            None if squash and whole == (height, width) else (height, width),
            filter=config["interpolation"],
            mean=tuple(config["mean"]),
            std=tuple(config["std"]),
            fit="stretch" if squash else "cover",
            crop_offset="round",
        )
    except ValueError:
        return None


def _classes(model: nn.Module) -> int:
    return int(getattr(model, "num_classes", 0))


def _names(data: Any, model: nn.Module) -> tuple[str, ...]:  # noqa: ANN401
    """The names that the weights bring, or those of the part of ImageNet that they were trained on."""
    config = dict(getattr(model, "pretrained_cfg", {}))
    if config.get("num_classes") != _classes(model):
        return ()
    if isinstance(config.get("label_names"), (list, tuple)):
        return tuple(map(str, config["label_names"]))
    subset = data.infer_imagenet_subset(config)
    return () if subset is None else tuple(data.ImageNetInfo(subset).label_descriptions())
