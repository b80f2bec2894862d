"""The readable definition of every operation: oracle of the tests, and what runs where nothing faster exists."""

from fastcam.reference import activation, components, pooling

__all__ = ["activation", "components", "pooling"]
