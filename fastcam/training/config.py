"""Every choice of a training as data, from a TOML or YAML file, from flags, or from both: :class:`TrainingConfig`."""

from __future__ import annotations

import difflib
import importlib
import math
import os
import sys
import typing
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

__all__ = ["ConfigError", "Precision", "Select", "TrainingConfig", "read_config"]

Precision = Literal["32-true", "16-mixed", "bf16-mixed"]
Select = Literal["last", "best"]


_MOST_SIGNS = 1 << 20


class ConfigError(ValueError):
    """A choice that cannot be met; the message names it, what came and what was expected."""


@dataclass(frozen=True)
class TrainingConfig:
    """What to train, on what, and how.

    The defaults are those of wsolevaluation for CUB-200-2011 where it has one.

    Attributes:
        data: a folder that :func:`fastcam.data.read_dataset` reads, or ``"synthetic"``.
        images: the folder that the paths of a metadata folder are below.
        model: ``vgg16``, ``resnet50``, ``resnet50-se``, ``mobilenetv1``, ``googlenet`` or ``efficientnet-lite0``.
        pooling: ``gap``, ``tap``, ``gmp`` or ``lse``.
        tap_threshold: of ``tap``; None: the model's own.
        model_options: further arguments of the model: ``width``, ``large_feature_map``, ``last_stride``.
        weights: ``"imagenet"``, a file, or None for random ones.
        new_classifier: start the last layer afresh even where the weights have one.
        method: ``cam``, ``has``, ``adl``, ``cutmix``, ``acol``, ``spg``, ``danet``, ``weldon`` or ``wildcat``.
        method_options: its arguments.
        epochs: how often the training images are seen.
        batch_size: images that a step of the optimizer sees, in all processes together.
        accumulate: parts that a process computes its share of the batch in, one after the other.
        lr: learning rate of the backbone.
        classifier_ratio: of the last layer's learning rate, and that of a method's own branches, to ``lr``.
        momentum: of Nesterov's method.
        weight_decay: on every parameter.
        schedule: ``steps``, or ``cosine``: down to 0 along half a cosine (Loshchilov and Hutter, ICLR 2017, Eq. 5).
        decay_every: of ``steps``: epochs after which the rate is multiplied by ``decay_factor``, again and again;
            0: never.
        decay_factor: see there.
        warmup: epochs in which the rate rises to its full height, by the same amount every step.
        average: decay of the moving average of the weights, in [0, 1), which is what is evaluated and kept; 0: none.
        freeze_norm: leave the running statistics of batch normalization, and its parameters, as they are.
        resize: side in pixels that a training image is resized to before it is cropped.
        crop: side of the random crop, and of the whole image at evaluation.
        googlenet_resize: random crops of 8 to 100 percent of the area and 3/4 to 4/3 in shape, resized to ``crop``, in
            place of crops of that size: GoogLeNet's, which Choe et al. (2018) put beside HaS.
        keep_pictures: decode every picture once and keep it in memory, resize x resize x 3 bytes each.
        flip: mirror half of the images.
        hold_out: share of each class's training images that the metrics of every epoch come from.
        select: evaluate the last epoch, or the one with the best accuracy on the images held out.
        precision: of the computation; the weights are always float32.
        workers: processes that decode pictures; 0: the training's own.
        seed: settles weights, order, augmentation and hold-out.

    Raises:
        ConfigError: a value of the wrong type or out of range.

    Example:
        >>> TrainingConfig(data="synthetic", lr=0.1).learning_rate(15)
        0.010000000000000002
    """

    data: str
    images: str | None = None
    model: str = "resnet50"
    pooling: Literal["gap", "tap", "gmp", "lse"] = "tap"
    tap_threshold: float | None = None
    model_options: dict[str, Any] = field(default_factory=dict)
    weights: str | None = None
    new_classifier: bool = False
    method: str = "cam"
    method_options: dict[str, Any] = field(default_factory=dict)
    epochs: int = 50
    batch_size: int = 32
    accumulate: int = 1
    lr: float = 0.01
    classifier_ratio: float = 10.0
    momentum: float = 0.9
    weight_decay: float = 1e-4
    decay_every: int = 15
    decay_factor: float = 0.1
    schedule: Literal["steps", "cosine"] = "steps"
    warmup: int = 0
    average: float = 0.0
    freeze_norm: bool = False
    resize: int = 256
    crop: int = 224
    googlenet_resize: bool = False
    keep_pictures: bool = False
    flip: bool = True
    hold_out: float = 0.1
    select: Select = "last"
    precision: Precision = "32-true"
    workers: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        for name, hint in typing.get_type_hints(type(self)).items():
            object.__setattr__(self, name, _typed(name, getattr(self, name), hint))
        from_1, from_0 = ("epochs", "batch_size", "accumulate", "crop"), ("decay_every", "warmup", "workers", "seed")
        rates = ("lr", "classifier_ratio", "weight_decay", "decay_factor")
        for name in (*from_1, *from_0, *rates):
            low = 1 if name in from_1 else 0
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= low):
                raise ConfigError(f"{name} must be at least {low}, got {value!r}")
        for name in ("momentum", "hold_out", "average"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise ConfigError(f"{name} must lie in [0, 1), got {value!r}")
        if self.warmup and self.warmup >= self.epochs:
            raise ConfigError(f"warmup must be below epochs={self.epochs}, got {self.warmup}")
        if self.resize < self.crop:
            raise ConfigError(f"resize must be at least crop={self.crop}, got {self.resize}")
        if self.select == "best" and self.hold_out == 0:
            raise ConfigError("select='best' needs images to judge by, got hold_out=0")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> TrainingConfig:
        """Make one from a file's keys or a checkpoint's.

        Raises:
            ConfigError: an unknown or missing key, or a value that cannot be met.
        """
        known = {one.name: one for one in fields(cls)}
        for name in values:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
                raise ConfigError(f"unknown setting {name!r}; {hint}")
        for name, one in known.items():
            if one.default is MISSING and one.default_factory is MISSING and name not in values:
                raise ConfigError(f"{name} is missing")
        return cls(**values)

    def to_mapping(self) -> dict[str, Any]:
        """Return what :meth:`from_mapping` takes: strings, numbers, lists and dictionaries."""
        return asdict(self)

    def learning_rate(self, epoch: int, step: int = 0, steps: int = 1) -> float:
        """Return the backbone's learning rate.

        Args:
            epoch: counted from 0.
            step: of the epoch, counted from 0.
            steps: of an epoch.

        Example:
            >>> config = TrainingConfig(data="synthetic", lr=0.8, epochs=6, schedule="cosine", warmup=2)
            >>> [round(config.learning_rate(epoch, step, 2), 3) for epoch in range(3) for step in range(2)]
            [0.2, 0.4, 0.6, 0.8, 0.8, 0.77]
        """
        done = epoch + step / steps
        if done < self.warmup:
            return self.lr * (done + 1 / steps) / self.warmup
        if self.schedule == "cosine":
            return self.lr * (1 + math.cos(math.pi * (done - self.warmup) / (self.epochs - self.warmup))) / 2
        return self.lr * self.decay_factor ** (epoch // self.decay_every if self.decay_every else 0)


def read_config(path: str | os.PathLike[str]) -> dict[str, Any]:
    r"""Read the settings of a TOML (``.toml``) or YAML (``.yaml``, ``.yml``) file.

    Args:
        path: the file.

    Returns:
        Its keys and values, unchecked: :meth:`TrainingConfig.from_mapping` does that.

    Raises:
        ConfigError: another suffix, no such file, broken syntax, or not keys and values.
        ImportError: a YAML file without PyYAML, or a TOML file on Python 3.10 without tomli.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "birds.toml")
        ...     _ = path.write_text('data = "CUB_200_2011"\nlr = 0.003')
        ...     read_config(path)
        {'data': 'CUB_200_2011', 'lr': 0.003}
    """
    readers = {".toml": _read_toml, ".yaml": _read_yaml, ".yml": _read_yaml}
    suffix = Path(path).suffix.lower()
    if suffix not in readers:
        raise ConfigError(f"{os.fspath(path)}: expected a file that ends in {', '.join(readers)}")
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(_MOST_SIGNS + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{os.fspath(path)}: {error}") from error
    if len(text) > _MOST_SIGNS:
        raise ConfigError(f"{os.fspath(path)}: has more than the {_MOST_SIGNS} characters that settings may have")
    values = readers[suffix](path, text)
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ConfigError(f"{os.fspath(path)}: expected settings, a name and a value each")
    return values


def _read_toml(path: str | os.PathLike[str], text: str) -> Any:  # noqa: ANN401
    try:
        toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    except ImportError as error:
        raise ImportError('TOML on Python 3.10 needs tomli: pip install "fastcam[training]"') from error
    try:
        return toml.loads(text)
    # RecursionError: of tables within tables within tables.
    except (toml.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{os.fspath(path)}: {error}") from error


def _read_yaml(path: str | os.PathLike[str], text: str) -> Any:  # noqa: ANN401
    try:
        import yaml
    except ImportError as error:
        raise ImportError('YAML needs PyYAML: pip install "fastcam[training]"') from error
    try:
        _refuse_repetitions(yaml.compose(text, yaml.SafeLoader), set())
        return yaml.safe_load(text)
    # ValueError: a date that is none. RecursionError: lists within lists within lists.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{os.fspath(path)}: {' '.join(str(error).split())}") from error


def _refuse_repetitions(node: Any, seen: set[int]) -> None:  # noqa: ANN401
    """Refuse keys that stand twice, of which YAML's reader drops one, and aliases, by which a small file grows large.

    Args:
        node: of ``yaml.compose``; None for an empty file.
        seen: the nodes visited, by identity.
    """
    if node is None:
        return
    where = f"line {node.start_mark.line + 1}"
    if id(node) in seen:
        raise ValueError(f"an alias of {where}; settings are written out")
    seen.add(id(node))
    keys = set()
    for part in node.value if isinstance(node.value, list) else ():
        for one in part if isinstance(part, tuple) else (part,):
            _refuse_repetitions(one, seen)
        if isinstance(part, tuple):
            key = part[0].value
            if isinstance(key, str) and key in keys:
                raise ValueError(f"{key!r} stands twice, again in line {part[0].start_mark.line + 1}")
            keys.add(str(key))


def _typed(name: str, value: Any, hint: Any) -> Any:  # noqa: ANN401
    """Return the value as the annotation has it; whole numbers and texts such as YAML's 1e-4 count as floats."""
    options = get_args(hint)
    if get_origin(hint) is Literal:
        if value not in options:
            raise ConfigError(f"{name} must be one of {', '.join(map(repr, options))}, got {value!r}")
        return value
    if type(None) in options:
        return None if value is None else _typed(name, value, options[0])
    kind = get_origin(hint) or hint
    if kind is float and not isinstance(value, bool):
        try:
            return float(value)
        except (TypeError, ValueError):
            pass
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    words = {float: "a number", int: "a whole number", str: "a text", bool: "true or false", dict: "a table"}
    raise ConfigError(f"{name} must be {words[kind]}, got {value!r}")
