"""The network and the method that a configuration names."""

from __future__ import annotations

from fastcam.models import Classifier, WeightsMismatchError, create
from fastcam.training.config import ConfigError, TrainingConfig
from fastcam.training.methods import Method, create_method, why_not

__all__ = ["build"]


def build(config: TrainingConfig, num_classes: int) -> tuple[Classifier, Method]:
    """Build them for a number of classes, the method attached to the model.

    Raises:
        ConfigError: an unknown name or option, a pair that is not defined, or weights that do not fit; the message
            says which.
    """
    reason = why_not(config.method, config.model)
    if reason:
        raise ConfigError(f"method {config.method!r} is not defined for model {config.model!r}: {reason}")
    try:
        model = create(
            config.model,
            num_classes=num_classes,
            pooling=config.pooling,
            weights=config.weights,
            new_classifier=config.new_classifier,
            **({} if config.tap_threshold is None else {"tap_threshold": config.tap_threshold}),
            **config.model_options,
        )
        method = create_method(config.method, **config.method_options)
        method.attach(model)
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
    return model, method
