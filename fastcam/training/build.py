"""The network and the method that a configuration names."""

from __future__ import annotations

from collections.abc import Sequence

from fastcam.methods import Method, Recipe
from fastcam.models import Classifier, WeightsMismatchError
from fastcam.training.config import ConfigError, TrainingConfig

__all__ = ["build"]


def build(
    config: TrainingConfig, num_classes: int, *, classes: Sequence[str] | None = None
) -> tuple[Classifier, Method]:
    """Build them for a number of classes, the method attached to the model.

    Args:
        config: of the training.
        num_classes: K.
        classes: their names, by label, where the method may ask for them.

    Raises:
        ConfigError: an unknown name or option, a pair that is not defined, or weights that do not fit; the message
            says which.
    """
    try:
        return Recipe.of(config.to_mapping()).build(
            num_classes, weights=config.weights, new_classifier=config.new_classifier, classes=classes
        )
    except WeightsMismatchError as error:
        theirs = error.shapes.get("classifier.weight")
        if theirs is None:
            raise ConfigError(str(error)) from error
        raise ConfigError(
            f"{error.path} was trained for {theirs[1][0]} classes, the data has {num_classes}: "
            "choose other weights, or start the last layer afresh with new_classifier"
        ) from error
    except (TypeError, ValueError, OSError) as error:
        raise ConfigError(str(error)) from error
