"""Which network, with which head, trained by which method: :class:`Recipe`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from torch import Tensor

from fastcam.methods.method import Method
from fastcam.methods.table import create_method, why_not
from fastcam.models import Classifier, create
from fastcam.safe_load import short

__all__ = ["Recipe"]

_PLAIN = (bool, int, float, str)
_FEW = 8


@dataclass(frozen=True)
class Recipe:
    """What a training's settings, and the checkpoint that it leaves, say of the network.

    All names are those that fastcam registers, and all values are plain; nothing that a recipe holds is imported or
    called.

    Attributes:
        model: one of :data:`fastcam.models.NETWORKS`.
        pooling: ``"gap"``, ``"tap"``, ``"gmp"`` or ``"lse"``.
        tap_threshold: of ``"tap"``; None: the model's own.
        model_options: further arguments of the model.
        method: one of :data:`fastcam.methods.METHODS`.
        method_options: its arguments.

    Raises:
        ValueError: a value of another type. Whether names and options exist is seen when it is built.
    """

    model: str
    pooling: str = "gap"
    tap_threshold: float | None = None
    model_options: Mapping[str, Any] = field(default_factory=dict)
    method: str = "cam"
    method_options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("model", "pooling", "method"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{name} must be a name, got {short(getattr(self, name))}")
        if self.tap_threshold is not None and type(self.tap_threshold) not in (int, float):
            raise ValueError(f"tap_threshold must be a number, got {short(self.tap_threshold)}")
        for name in ("model_options", "method_options"):
            options = getattr(self, name)
            if not isinstance(options, Mapping) or not all(isinstance(option, str) for option in options):
                raise ValueError(f"{name} must be a table, got {short(options)}")
            for option, value in options.items():
                if not _plain(value):
                    raise ValueError(f"{name}: {short(option)} must be a number, a text or a few, got {short(value)}")

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Recipe:
        """Take the recipe out of a training's settings, of which it is a part."""
        known = {one.name for one in fields(cls)}
        return cls(**{name: value for name, value in settings.items() if name in known})

    def build(
        self,
        num_classes: int,
        *,
        weights: str | os.PathLike[str] | None = None,
        new_classifier: bool = False,
        classes: Sequence[str] | None = None,
        method_state: Mapping[str, Tensor] | None = None,
    ) -> tuple[Classifier, Method]:
        """Build network and method for a number of classes, the method attached to the network.

        Args:
            num_classes: K.
            weights: see :func:`fastcam.models.create`.
            new_classifier: likewise.
            classes: their names, by label, of which a method may want to know more.
            method_state: the method's weights in a checkpoint, which tell that instead; they are not loaded.

        Raises:
            OSError: the weights cannot be read.
            TypeError: an option that the network or the method does not have.
            ValueError: an unknown name, an option out of range, a method that is not defined for the network, or
                weights that do not fit.

        Example:
            >>> model, method = Recipe("vgg16", "tap", model_options={"width": 1 / 16}, method="has").build(5)
            >>> model.pool, method
            (TAP(threshold=0.1, keepdim=False), HaS(patch=32, drop_rate=0.5))
        """
        reason = why_not(self.method, self.model)
        if reason:
            raise ValueError(f"method {self.method!r} is not defined for model {self.model!r}: {reason}")
        threshold = {} if self.tap_threshold is None else {"tap_threshold": self.tap_threshold}
        model = create(
            self.model,
            num_classes=num_classes,
            pooling=self.pooling,  # type: ignore[arg-type]
            weights=weights,
            new_classifier=new_classifier,
            **threshold,
            **self.model_options,
        )
        method = create_method(self.method, **self.method_options)
        if classes is not None:
            method.name_classes(classes)
        if method_state is not None:
            method.expect(method_state)
        method.attach(model)
        return model, method


def _plain(value: object) -> bool:
    """Whether an option's value is one that a constructor can check: a number, a text, or a few of them."""
    if isinstance(value, (list, tuple)):
        return len(value) <= _FEW and all(type(one) in _PLAIN for one in value)
    return type(value) in _PLAIN and not (isinstance(value, str) and len(value) > 1000)
