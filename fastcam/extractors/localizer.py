"""Boxes from any classifier by two module names: :class:`Localizer`."""

from __future__ import annotations

import sys
import warnings
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn

import torch
from torch import Tensor, nn

from fastcam.activation import Index
from fastcam.extractors.check import HeadMismatchWarning, mismatch
from fastcam.extractors.extraction import LinearExtraction, LocalizeOptions, check_choice, chosen_classes
from fastcam.extractors.extractor import Extractor, checked_images
from fastcam.extractors.head import head_bias, head_layer, head_weight, is_quantized, is_sharded
from fastcam.extractors.hooks import before_calls, eager, listening, submodule
from fastcam.extractors.positions import one_position, where_positions_are
from fastcam.localization import Localization

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Localizer"]


class Localizer(Extractor):
    """Runs a classifier once and turns the features in front of its last layer into boxes.

    The map is the classifier's own (Eq. 1) where the model is features, a pooling over space, and one linear layer.
    The first batch is checked for that: the pooled features times the layer's weight plus its bias must give the
    logits, with the mean, any :class:`fastcam.TAP` or :class:`fastcam.pooling.LSE` in the model, or the maximum as the
    pooling. Where they do not, one :class:`fastcam.extractors.HeadMismatchWarning` says so. With the model in training
    mode a failed check proves nothing (dropout sits between the two); it is then put off, with a warning, to the first
    batch in eval mode.

    The hooks exist only while a call runs: in between the model carries none, can be pickled, copied and compiled,
    and no tensor is retained. Calls from several threads do not see each other's features. The train/eval mode and
    the parameters are never touched, and nothing is recorded for autograd.

    Names are those of ``model.named_modules()``. Where activations are functional, no module's output is what gets
    pooled: name the module that receives it as ``"name:input"``. A module called several times counts with its last
    call. An in-place operation that follows the named module changes the features along with it, so what is read is
    what the classifier sees: with torchvision's DenseNet, ``features="features"`` includes the ReLU after it.

    Features of one position are refused: the output of a global pooling explains the logits too, but its map is the
    whole image for every class. The error names the module whose output is pooled.

    Compiled models (``torch.compile(model)``, ``model.compile()``) are run in eager mode, since a graph traced before
    a hook was registered does not call it. To keep the compiled speed, compile the part that makes the features and
    hand its output to :func:`fastcam.localize`. ``nn.DataParallel`` is refused, because its replicas run on copies, and
    so are scripted and traced models, which call no hooks. ``DistributedDataParallel`` works, with names that begin
    with ``"module."``, and so does FSDP, where every process calls. The last layer may be wrapped or quantized; a
    quantized one's map is that of its dequantized weight.

    Args:
        model: any classifier whose output is its logits, (N, K), or an object with them as ``.logits``.
        features: the module whose output (or, with ``":input"``, first input) are the feature maps, (N, C, h, w).
        classifier: the last layer, a linear layer or a 1x1 convolution with weight (K, C).

    Raises:
        TypeError: model is not an ``nn.Module``, or a name is not a string.
        ValueError: a name that the model does not have, a classifier that is not linear, ``nn.DataParallel``, or a
            scripted model.

    Example:
        >>> import torch, fastcam
        >>> from collections import OrderedDict
        >>> _ = torch.manual_seed(0)
        >>> model = torch.nn.Sequential(
        ...     OrderedDict(
        ...         body=torch.nn.Conv2d(3, 8, 3, stride=4),
        ...         pool=fastcam.TAP(0.1),
        ...         fc=torch.nn.Linear(8, 5),
        ...     )
        ... )
        >>> with fastcam.Localizer(model, features="body", classifier="fc") as localizer:
        ...     logits, found = localizer(torch.rand(2, 3, 64, 48))
        >>> logits.shape, found.boxes.shape, found.scores.shape
        (torch.Size([2, 5]), torch.Size([2, 4]), torch.Size([2]))
    """

    def __init__(self, model: nn.Module, features: str = "layer4", classifier: str = "fc") -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
        if isinstance(model, nn.DataParallel):
            raise ValueError(
                "model is an nn.DataParallel, whose replicas run on copies that hooks do not reach; pass model.module"
            )
        if isinstance(model, torch.jit.ScriptModule):
            raise ValueError("model is scripted or traced and calls no hooks; pass the module that it was made from")
        for argument, given in (("features", features), ("classifier", classifier)):
            if not isinstance(given, str):
                raise TypeError(f"{argument} must be the name of a module, got {type(given).__name__}")
        name, _, part = features.partition(":")
        if part not in ("", "input"):
            raise ValueError(f"features={features!r}: after the colon only 'input' may stand, got {part!r}")
        # torch.compile wraps the module; the names and the hooks belong to what it wraps.
        self._root: nn.Module = getattr(model, "_orig_mod", model)
        self._source = submodule(self._root, name, "features")
        self._head = submodule(self._root, classifier, "classifier")
        # FSDP's flattened parameters have their shape during the forward pass alone.
        self._sharded = isinstance(head_layer(self._head), nn.Linear) and any(map(is_sharded, model.modules()))
        if not self._sharded:
            head_weight(self._head, classifier)
        self._model: nn.Module | None = model
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

    def __call__(
        self,
        images: Tensor,
        index: Index | None = None,
        *,
        top_k: int | None = None,
        **options: Unpack[LocalizeOptions],
    ) -> tuple[Tensor, Localization]:
        """Run the model once and localize one class, or several, in every image: see :meth:`Extractor.localize`.

        Raises:
            TypeError: images that are no tensor, an index that is not integer, an output without logits.
            ValueError: shapes or ranges that do not fit; the message says which.
            RuntimeError: closed, or the forward pass never called a named module.
        """
        return self.localize(images, index, top_k=top_k, **options)

    def extract(self, images: Tensor, index: Index | None = None, *, top_k: int | None = None) -> LinearExtraction:
        """Run the model once: see :meth:`Extractor.extract`."""
        check_choice(index, top_k)
        logits, features, weight = self._run(images)
        labels = chosen_classes(logits, index, top_k)
        return LinearExtraction(logits, labels, (images.shape[2], images.shape[3]), features, weight)

    def features(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run the model once and return what maps are made from: see :func:`fastcam.cam`.

        Args:
            images: (N, 3, H, W), as the model wants them, on its device.

        Returns:
            The logits (N, K), the feature maps (N, C, h, w) and the classifier's weight (K, C).

        Raises:
            TypeError: images that are no tensor, an output without logits.
            ValueError: shapes that do not fit; the message says which.
            RuntimeError: closed, or the forward pass never called a named module.
        """
        return self._run(images)

    def close(self) -> None:
        """Let go of the model; calls are refused from here on. Closing twice does nothing."""
        self._model = None
        self._source = self._head = self._root = nn.Identity()

    def __enter__(self) -> Localizer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self._model is None:
            raise RuntimeError("this Localizer is closed")
        checked_images(images)
        with torch.no_grad():
            logits, features, received, (weight, bias) = self._forward(images)
            self._check_shapes(features, weight, logits, len(images))
            if one_position(features.shape[2:], images.shape[2:]):
                self._refuse_one_position(images, received, weight, bias, logits)
            self._check_head(features, received, weight, bias, logits)
        return logits, features, weight

    def _forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor | None, tuple[Tensor, Tensor | None]]:
        """Run the model: its logits, the features, what the last layer received, and that layer's weight and bias."""
        assert self._model is not None
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
        return _logits(output), features.dequantize() if features.is_quantized else features, received, parameters[0]

    def _check_shapes(self, features: Tensor, weight: Tensor, logits: Tensor, count: int) -> None:
        channels, shape = weight.shape[1], tuple(features.shape)
        if features.dim() != 4 or shape[0] != count or shape[1] != channels:
            last = features.dim() == 4 and shape[3] == channels
            hint = "; its channels come last: name a module that permutes them, or add one" if last else ""
            raise ValueError(
                f"features={self._features_name!r} must give (N, C, h, w) with N={count} images and C={channels} "
                f"columns of the weight of classifier={self._classifier_name!r}, got shape {shape}{hint}"
            )
        if tuple(logits.shape) != (count, weight.shape[0]):
            raise ValueError(
                f"the model must return logits (N, K) with N={count} images and K={weight.shape[0]} rows of the weight "
                f"of classifier={self._classifier_name!r}, got shape {tuple(logits.shape)}"
            )

    def _refuse_one_position(
        self, images: Tensor, received: Tensor | None, weight: Tensor, bias: Tensor | None, logits: Tensor
    ) -> NoReturn:
        """Raise, with the name of the module whose output is pooled where it can be found."""

        def explains(features: Tensor) -> bool:
            return mismatch(self._root, features, received, weight, bias, logits) is None

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
            f"features={self._features_name!r} gives maps of one position, (1, 1) for images of "
            f"{tuple(images.shape[2:])}, and the box of every class would be the whole image; {advice}"
        )

    def _check_head(
        self, features: Tensor, received: Tensor | None, weight: Tensor, bias: Tensor | None, logits: Tensor
    ) -> None:
        assert self._model is not None
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
                    stacklevel=_levels_to_caller(),
                )
            self._told_put_off = True
            return
        self._checked = True
        if reason is not None:
            warnings.warn(
                f"{names}: the map is not that of this classifier. {reason[0].upper()}{reason[1:]}. Name the module "
                "whose output is pooled ('name:input' where only another module's input is), return plain logits, or "
                "give the model a head of pooling (fastcam.TAP) and one linear layer, and train that",
                HeadMismatchWarning,
                stacklevel=_levels_to_caller(),
            )


def _levels_to_caller() -> int:
    """How many frames up, counted from the caller of this, the code is that called fastcam."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals["__name__"].startswith("fastcam."):
        level, frame = level + 1, frame.f_back
    return level


def _logits(output: object) -> Tensor:
    logits = getattr(output, "logits", output)
    if not isinstance(logits, Tensor):
        raise TypeError(f"the model must return logits, or an object with .logits, got {type(output).__name__}")
    if logits.dim() == 4 and logits.shape[2:] == (1, 1):
        return logits.flatten(1)
    return logits
