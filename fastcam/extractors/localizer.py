"""Boxes from any classifier by two module names: :class:`Localizer`."""

from __future__ import annotations

import sys
import warnings
from types import TracebackType
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from fastcam.activation import Index
from fastcam.extractors.check import HeadMismatchWarning, head_weight, mismatch
from fastcam.extractors.extraction import LinearExtraction, LocalizeOptions, check_choice, chosen_classes
from fastcam.extractors.extractor import Extractor, checked_images
from fastcam.extractors.hooks import eager, listening, submodule
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

    Compiled models (``torch.compile(model)``, ``model.compile()``) are run in eager mode, since a graph traced before
    a hook was registered does not call it. To keep the compiled speed, compile the part that makes the features and
    hand its output to :func:`fastcam.localize`. ``nn.DataParallel`` is refused, because its replicas run on copies;
    ``DistributedDataParallel`` works, with names that begin with ``"module."``.

    Args:
        model: any classifier whose output is its logits, (N, K), or an object with them as ``.logits``.
        features: the module whose output (or, with ``":input"``, first input) are the feature maps, (N, C, h, w).
        classifier: the last layer, a linear layer or a 1x1 convolution with weight (K, C).

    Raises:
        TypeError: model is not an ``nn.Module``, or a name is not a string.
        ValueError: a name that the model does not have, a classifier that is not linear, or ``nn.DataParallel``.

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
        for argument, given in (("features", features), ("classifier", classifier)):
            if not isinstance(given, str):
                raise TypeError(f"{argument} must be the name of a module, got {type(given).__name__}")
        name, _, part = features.partition(":")
        if part not in ("", "input"):
            raise ValueError(f"features={features!r}: after the colon only 'input' may stand, got {part!r}")
        # torch.compile wraps the module; the names and the hooks belong to what it wraps.
        root = getattr(model, "_orig_mod", model)
        self._source = submodule(root, name, "features")
        self._head = submodule(root, classifier, "classifier")
        head_weight(self._head, classifier)
        self._model: nn.Module | None = model
        self._reads_input = part == "input"
        self._features_name, self._classifier_name = features, classifier
        self._checked = self._told_put_off = False

    @property
    def num_classes(self) -> int:
        """K, the number of classes of the classifier."""
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
        self._source = self._head = nn.Identity()

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
            logits, features, received = self._forward(images)
            weight = head_weight(self._head, self._classifier_name)
            self._check_shapes(features, weight, logits, len(images))
            self._check_head(features, received, weight, logits)
        return logits, features, weight

    def _forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        assert self._model is not None
        with listening(self._source, self._reads_input) as source, listening(self._head, True) as head, eager():
            output = self._model(images)
        if not source:
            raise RuntimeError(
                f"features={self._features_name!r} was not called by the model's forward pass, so there are no feature "
                "maps; scripted or exported models do not call hooks: pass the original module"
            )
        features, received = source[0], head[0] if head and isinstance(head[0], Tensor) else None
        if not isinstance(features, Tensor):
            raise TypeError(
                f"features={self._features_name!r} must give a tensor (N, C, h, w), got {type(features).__name__}"
            )
        return _logits(output), features, received

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

    def _check_head(self, features: Tensor, received: Tensor | None, weight: Tensor, logits: Tensor) -> None:
        assert self._model is not None
        if self._checked or logits.numel() == 0 or not bool(logits.isfinite().all()):
            return
        reason = mismatch(self._model, features, received, weight, getattr(self._head, "bias", None), logits)
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
