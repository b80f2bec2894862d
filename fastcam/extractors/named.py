"""Features and classifier by two module names, checked against the logits: :class:`NamedModules`."""

from __future__ import annotations

import warnings
from typing import NoReturn

import torch
from torch import Tensor, nn

from fastcam.extractors.check import HeadMismatchWarning, levels_to_caller, mismatch
from fastcam.extractors.extractor import checked_images
from fastcam.extractors.head import head_bias, head_layer, head_weight, is_quantized, is_sharded
from fastcam.extractors.hooks import before_calls, eager, listening, logits_of, submodule, unwrapped
from fastcam.extractors.positions import one_position, where_positions_are

__all__ = ["NamedModules", "UnexplainedError"]

_FEATURES = {3: "(N, C, l)", 4: "(N, C, h, w)", 5: "(N, C, d, h, w)"}  # by their dimensions


class UnexplainedError(Exception):
    """The modules that were guessed do not explain the logits."""


class NamedModules:
    """A classifier whose features and last layer were named by hand; the arguments are those of ``Localizer``.

    Its first batch is checked: the pooled features times the layer's weight plus its bias must give the logits.

    Args:
        model: the classifier.
        features: the module whose output or input is pooled.
        classifier: the last layer.
        guessed: nobody named them, so that a mismatch is an :class:`UnexplainedError` and no warning.
    """

    def __init__(self, model: nn.Module, features: str, classifier: str, *, guessed: bool = False) -> None:
        for argument, given in (("features", features), ("classifier", classifier)):
            if not isinstance(given, str):
                raise TypeError(f"{argument} must be the name of a module, got {type(given).__name__}")
        name, _, part = features.partition(":")
        if part not in ("", "input"):
            raise ValueError(f"features={features!r}: after the colon only 'input' may stand, got {part!r}")
        self._root = unwrapped(model)
        self._source = submodule(self._root, name, "features")
        self._head = submodule(self._root, classifier, "classifier")
        # FSDP's flattened parameters have their shape during the forward pass alone.
        self._sharded = isinstance(head_layer(self._head), nn.Linear) and any(map(is_sharded, model.modules()))
        if not self._sharded:
            head_weight(self._head, classifier)
        self._model, self._guessed = model, guessed
        self._reads_input = part == "input"
        self._features_name, self._classifier_name = features, classifier
        self._checked = self._told_put_off = False

    @property
    def num_classes(self) -> int:
        """K, the number of classes of the classifier."""
        layer = head_layer(self._head)
        if self._sharded and isinstance(layer, nn.Linear):
            return layer.out_features
        return head_weight(self._head, self._classifier_name).shape[0]

    def run(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run the model once: the logits (N, K), the features (N, C, h, w) and the weight (K, C).

        Images and features may have one axis of positions or three in place of two.
        """
        checked_images(images, axes=(1, 2, 3))
        with torch.no_grad():
            logits, features, received, (weight, bias) = self._forward(images)
            try:
                self._check_shapes(features, weight, logits, images)
            except ValueError as error:
                raise UnexplainedError(str(error)) if self._guessed else error from None
            if one_position(features.shape[2:], images.shape[2:]):
                if self._guessed:
                    raise UnexplainedError("the features have one position")
                self._refuse_one_position(images, features, received, (weight, bias), logits)
            self._check_head(features, received, weight, bias, logits)
        return logits, features, weight

    def _forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor | None, tuple[Tensor, Tensor | None]]:
        """Run the model: its logits, the features, what the last layer received, and that layer's weight and bias."""
        parameters: list[tuple[Tensor, Tensor | None]] = []

        def keep_parameters() -> None:
            bias = head_bias(self._head)
            weight = head_weight(self._head, self._classifier_name).clone()
            parameters[:] = [(weight, None if bias is None else bias.clone())]

        with (
            listening(self._source, self._reads_input) as source,
            listening(self._head, True) as head,
            before_calls(head_layer(self._head), keep_parameters if self._sharded else None),
            eager(),
        ):
            output = self._model(images)
        if not source:
            raise RuntimeError(
                f"features={self._features_name!r} was not called by the model's forward pass, so there are no feature "
                "maps; scripted or exported modules do not call hooks: name one around them, or pass the original model"
            )
        features, received = source[0], head[0] if head and isinstance(head[0], Tensor) else None
        if not isinstance(features, Tensor):
            raise TypeError(
                f"features={self._features_name!r} must give a tensor (N, C, h, w), got {type(features).__name__}"
            )
        if not parameters:
            parameters = [(head_weight(self._head, self._classifier_name), head_bias(self._head))]
        if received is not None and received.is_quantized:
            received = received.dequantize()
        return logits_of(output), features.dequantize() if features.is_quantized else features, received, parameters[0]

    def _check_shapes(self, features: Tensor, weight: Tensor, logits: Tensor, images: Tensor) -> None:
        count, channels, shape = images.shape[0], weight.shape[1], tuple(features.shape)
        if features.dim() not in _FEATURES or shape[:2] != (count, channels):
            last = features.dim() > 3 and shape[-1] == channels
            hint = "; its channels come last: name a module that permutes them, or add one" if last else ""
            hint += "; a single image is images[None]" if images.dim() == 3 else ""
            raise ValueError(
                f"features={self._features_name!r} must give {_FEATURES[images.dim()]} with N={count} images and "
                f"C={channels} columns of the weight of classifier={self._classifier_name!r}, got shape {shape}{hint}"
            )
        if tuple(logits.shape) != (count, weight.shape[0]):
            raise ValueError(
                f"the model must return logits (N, K) with N={count} images and K={weight.shape[0]} rows of the weight "
                f"of classifier={self._classifier_name!r}, got shape {tuple(logits.shape)}"
            )

    def _refuse_one_position(
        self,
        images: Tensor,
        features: Tensor,
        received: Tensor | None,
        parameters: tuple[Tensor, Tensor | None],
        logits: Tensor,
    ) -> NoReturn:
        """Raise, with the name of the module whose output is pooled where it can be found."""
        weight, bias = parameters

        def explains(maps: Tensor) -> bool:
            return mismatch(self._root, maps, received, weight, bias, logits) is None

        exact, last = None, "this layer has no more"
        # A run in training mode would change the statistics of batch normalization.
        if not any(part.training for part in self._root.modules()):
            exact, last = where_positions_are(self._root, images, weight.shape[1], explains)
        advice = f"name the module whose output is pooled: features={exact!r}"
        if exact is None:
            advice = (
                f"{last}, which is not what classifier={self._classifier_name!r} pools: use larger images, a smaller "
                "stride, or a head of pooling and one linear layer"
            )
        raise ValueError(
            f"features={self._features_name!r} gives maps of one position, {tuple(features.shape[2:])} for images of "
            f"{tuple(images.shape[2:])}, and the box of every class would be the whole image; {advice}"
        )

    def _check_head(
        self, features: Tensor, received: Tensor | None, weight: Tensor, bias: Tensor | None, logits: Tensor
    ) -> None:
        if self._checked or logits.numel() == 0 or not bool(logits.isfinite().all()):
            return
        quantized = is_quantized(self._head)
        reason = mismatch(self._model, features, received, weight, bias, logits, quantized=quantized)
        names = f"Localizer(features={self._features_name!r}, classifier={self._classifier_name!r})"
        if reason is not None and any(part.training for part in self._model.modules()):
            if not self._told_put_off:
                warnings.warn(
                    f"{names}: not checked, because the model is in training mode, where dropout alone explains that "
                    f"{reason}. Call model.eval() first; the check is repeated until then",
                    HeadMismatchWarning,
                    stacklevel=levels_to_caller(),
                )
            self._told_put_off = True
            return
        self._checked = True
        if reason is not None and self._guessed:
            raise UnexplainedError(reason)
        if reason is not None:
            warnings.warn(
                f"{names}: the map is not that of this classifier. {reason[0].upper()}{reason[1:]}. Name the module "
                "whose output is pooled ('name:input' where only another module's input is), return plain logits, or "
                "give the model a head of pooling (fastcam.TAP) and one linear layer, and train that",
                HeadMismatchWarning,
                stacklevel=levels_to_caller(),
            )
