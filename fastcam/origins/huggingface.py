"""``hf:NAME``: image classifiers of Hugging Face's transformers, by their name on the hub or their folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from fastcam.inputs import Inputs
from fastcam.origins.library import brief, build_and_load, import_library, proved_inputs
from fastcam.origins.loaded import Loaded, LoadError
from fastcam.origins.timm import timm_inputs

__all__ = ["load_huggingface"]

_FILTERS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")  # by Pillow's numbers


def load_huggingface(name: str, weights: str | os.PathLike[str] | None) -> Loaded:
    """Load an image classifier of transformers; no code that comes with it is run.

    Args:
        name: on the hub, or a folder that ``save_pretrained`` wrote.
        weights: a file in place of its own; or ``"random"``.

    Raises:
        ImportError: transformers is not installed.
        LoadError: there is no such model, it is no image classifier, or its weights are not whole.
    """
    transformers = import_library("transformers", "hf")
    with _quiet(transformers):
        try:
            config = transformers.AutoConfig.from_pretrained(name, trust_remote_code=False)
        # Whatever a download or a broken file raises.
        except Exception as error:
            raise LoadError("source", f"hf:{name}: transformers cannot find or read it: {brief(error)}") from error
        if weights is None:
            model = _pretrained(transformers, name)
        else:
            model = build_and_load(_builder(transformers, name, config), weights, _classes)
        inputs, why = _read_inputs(transformers, name)
    return Loaded(model.float(), None, inputs, _names(model), why)


def _pretrained(transformers: Any, name: str) -> nn.Module:  # noqa: ANN401
    try:
        model, report = transformers.AutoModelForImageClassification.from_pretrained(
            name, trust_remote_code=False, output_loading_info=True
        )
    except Exception as error:
        hint = "weights=FILE loads them from a file"
        raise LoadError("weights", f"hf:{name}: transformers could not load it: {brief(error)}; {hint}") from error
    # What a file lacks transformers draws at random, and says so in its log alone.
    fresh = sorted({*map(str, report["missing_keys"]), *(str(one[0]) for one in report["mismatched_keys"])})
    if fresh:
        shown = ", ".join(fresh[:5]) + (f" and {len(fresh) - 5} more" if len(fresh) > 5 else "")
        raise LoadError("weights", f"hf:{name} has no weights for {shown}: it is no trained classifier")
    loaded: nn.Module = model
    return loaded


def _builder(transformers: Any, name: str, config: Any) -> Any:  # noqa: ANN401
    def build(count: int | None) -> nn.Module:
        if count is not None:
            config.num_labels = count
        try:
            model: nn.Module = transformers.AutoModelForImageClassification.from_config(config, trust_remote_code=False)
        except Exception as error:
            raise LoadError("source", f"hf:{name}: transformers could not make it: {brief(error)}") from error
        # Before a file's weights are put in: a configuration may ask for half precision.
        return model.float()

    return build


def _classes(model: Any) -> int:  # noqa: ANN401
    return int(model.config.num_labels)


def _names(model: Any) -> tuple[str, ...]:  # noqa: ANN401
    """The labels of the configuration; none where it has only numbers."""
    labels = model.config.id2label or {}
    names = tuple(str(labels[number]) for number in sorted(labels))
    return () if all(re.fullmatch(r"LABEL_\d+", one) for one in names) else names


def _read_inputs(transformers: Any, name: str) -> tuple[Inputs | None, str]:  # noqa: ANN401
    """Read the image processor; where that is not possible, say why."""
    try:
        processor = transformers.AutoImageProcessor.from_pretrained(name, trust_remote_code=False)
    except Exception as error:
        return None, f"hf:{name} has no image processor (preprocessor_config.json) that says its inputs: {brief(error)}"

    def transform(picture: Any) -> Tensor:  # noqa: ANN401
        tensor: Tensor = processor(images=picture, return_tensors="pt")["pixel_values"][0]
        return tensor

    try:
        return proved_inputs(_readings(processor), transform, f"hf:{name} ({type(processor).__name__})"), ""
    except Exception as error:
        return None, str(error) if isinstance(error, ValueError) else brief(error)


def _readings(processor: Any) -> Iterator[Inputs | None]:  # noqa: ANN401
    """Read a processor's settings in the ways in which the library's processors do: the same words mean several."""
    if hasattr(processor, "data_config"):  # of a network of timm
        yield timm_inputs(processor.data_config)
        return
    size, crop = processor.size or {}, (processor.crop_size or {}) if processor.do_center_crop else {}
    kept = _rectangle(crop)
    if rectangle := _rectangle(size):
        yield _inputs(processor, rectangle, kept)
        return
    shortest = size.get("shortest_edge")
    if not shortest:
        return
    share = getattr(processor, "crop_pct", None) or 1
    # ConvNeXt crops what it has resized by a share, and above 384 ignores the aspect; LeViT's share is of ImageNet's.
    if kept is None and shortest >= 384:
        yield _inputs(processor, (shortest, shortest), None)
    for edge in (shortest, int(shortest / share), int(256 / 224 * shortest)):
        yield _inputs(processor, (edge, edge), kept or (shortest, shortest), fit="cover")


def _rectangle(size: Any) -> tuple[int, int] | None:  # noqa: ANN401
    height, width = size.get("height"), size.get("width")
    return (height, width) if height and width else None


def _inputs(processor: Any, resize: tuple[int, int], crop: tuple[int, int] | None, **fit: Any) -> Inputs | None:  # noqa: ANN401
    factor = processor.rescale_factor if processor.do_rescale else 1
    mean, std = (processor.image_mean, processor.image_std) if processor.do_normalize else (0, 1)
    mean, std = ([value] * 3 if isinstance(value, (int, float)) else list(value) for value in (mean, std))
    if getattr(processor, "rescale_offset", False):
        mean = [value + 1 for value in mean]
    if getattr(processor, "include_top", False):
        std = [value * value for value in std]
    try:
        return Inputs(
            resize,
            crop,
            filter=_FILTERS[int(processor.resample)],  # type: ignore[arg-type]
            # (x * factor - mean) / std, written for x / 255.
            mean=tuple(value / (255 * factor) for value in mean),
            std=tuple(value / (255 * factor) for value in std),
            channels="bgr" if getattr(processor, "do_flip_channel_order", False) else "rgb",
            **fit,
        )
    except ValueError:
        return None


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:  # noqa: ANN401
    """Without the library's log and progress bars: what matters is said by errors."""
    log = transformers.utils.logging
    before, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(before)
        if bars:
            log.enable_progress_bar()
