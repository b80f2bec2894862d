"""The readable definition of every operation: the tests compare with it, and it runs where nothing faster does."""

from fastcam.reference import (
    activation,
    components,
    gradient,
    masks,
    normalization,
    percentile,
    pooling,
    resize,
    score_maps,
    sweep,
)

__all__ = [
    "activation",
    "components",
    "gradient",
    "masks",
    "normalization",
    "percentile",
    "pooling",
    "resize",
    "score_maps",
    "sweep",
]
