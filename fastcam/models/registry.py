"""The models that come with fastcam, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fastcam.models.card import ModelCard
from fastcam.models.efficientnet import EFFICIENTNET_LITE0

__all__ = ["BUILTIN"]

BUILTIN: Mapping[str, ModelCard] = MappingProxyType({card.name: card for card in (EFFICIENTNET_LITE0,)})
"""Every built-in model's :class:`~fastcam.models.card.ModelCard` by its name."""
