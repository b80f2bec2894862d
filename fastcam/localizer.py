"""Boxes from any classifier by two module names: :class:`Localizer`."""

from __future__ import annotations

import difflib
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from fastcam.activation import Index
from fastcam.head import HeadMismatchWarning, head_weight, mismatch
from fastcam.localization import Localization
from fastcam.logits import check_choice, localize_classes
from fastcam.protocol import PAPER, Protocol
from fastcam.sizes import Size

__all__ = ["Localizer"]


class Localizer:
    """Runs a classifier once and turns the features in front of its last layer into boxes.

    The map is the classifier's own (Eq. 1) where the model is features, a pooling over space, and one linear layer.
    The first batch is checked for that: the pooled features times the layer's weight plus its bias must give the
    logits, with the mean, any :class:`fastcam.TAP` or :class:`fastcam.pooling.LSE` in the model, or the maximum as the
    pooling. Where they do not, one :class:`fastcam.head.HeadMismatchWarning` says so. With the model in training mode
    a failed check proves nothing (dropout sits between the two); it is then put off, with a warning, to the first
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
        self._source = _submodule(root, name, "features")
        self._head = _submodule(root, classifier, "classifier")
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
        size: Size | Sequence[Size] | None = None,
        protocol: Protocol = PAPER,
        percentile: float | None = None,
        threshold: float | None = None,
        return_maps: bool = False,
        return_masks: bool = False,
    ) -> tuple[Tensor, Localization]:
        """Run the model once and localize one class, or several, in every image.

        Args:
            images: (N, 3, H, W), as the model wants them, on its device.
            index: the classes to localize: one for all images, or (N,), or (N, T), as numbers, a list or an integer
                tensor on any device. None: each image's top-1 class.
            top_k: instead of ``index``: each image's ``top_k`` classes, best first; the results are then (N, top_k).
            size: (H, W) of the maps in pixels, or one per image; None: that of ``images``.
            protocol: how a map becomes a box.
            percentile: in place of the protocol's.
            threshold: in place of the protocol's.
            return_maps: keep the maps, (N[, T], H, W).
            return_masks: keep the thresholded maps, (N[, T], H, W) bool.

        Returns:
            The logits (N, K) as the model gave them, and the :class:`fastcam.Localization`, whose ``scores`` are the
            float32 softmax of the logits at the classes. On CUDA a class out of range is not checked (that would
            wait for the device) and gives an empty box and a NaN score.

        Raises:
            TypeError: images that are no tensor, an index that is not integer, an output without logits.
            ValueError: shapes or ranges that do not fit; the message says which.
            RuntimeError: closed, or the forward pass never called a named module.
        """
        check_choice(index, top_k)
        with torch.no_grad():
            logits, features, weight = self._run(images)
            found = localize_classes(
                features,
                weight,
                logits,
                index,
                top_k=top_k,
                size=(images.shape[2], images.shape[3]) if size is None else size,
                protocol=protocol,
                percentile=percentile,
                threshold=threshold,
                return_maps=return_maps,
                return_masks=return_masks,
            )
            return logits, found

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
        if not isinstance(images, Tensor):
            raise TypeError(f"images must be a tensor (N, 3, H, W), got {type(images).__name__}")
        if images.dim() != 4:
            raise ValueError(f"images must be (N, 3, H, W), got shape {tuple(images.shape)}")
        with torch.no_grad():
            logits, features, received = self._forward(images)
            weight = head_weight(self._head, self._classifier_name)
            self._check_shapes(features, weight, logits, len(images))
            self._check_head(features, received, weight, logits)
        return logits, features, weight

    def _forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        assert self._model is not None
        with _listening(self._source, self._reads_input) as source, _listening(self._head, True) as head, _eager():
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
                    stacklevel=4,
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
                stacklevel=4,
            )


def _submodule(root: nn.Module, name: str, argument: str) -> nn.Module:
    try:
        if name:
            return root.get_submodule(name)
    except AttributeError:
        pass
    names = [known for known, _ in root.named_modules() if known]
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
    known = f"close to it: {', '.join(map(repr, close))}" if close else f"it has {', '.join(map(repr, names[:8]))}"
    raise ValueError(f"{argument}={name!r} is no module of {type(root).__name__}; {known if names else 'it has none'}")


@contextmanager
def _listening(module: nn.Module, reads_input: bool) -> Iterator[list[Any]]:
    """Yield a list that holds the module's last output, or first input of its last call, from this thread alone."""
    heard: list[Any] = []
    thread = threading.get_ident()

    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if threading.get_ident() == thread:
            heard[:] = [*args, *kwargs.values()][:1]

    def after(_: nn.Module, __: tuple[Any, ...], output: object) -> None:
        if threading.get_ident() == thread:
            heard[:] = [output]

    if reads_input:
        handle = module.register_forward_pre_hook(before, with_kwargs=True)
    else:
        handle = module.register_forward_hook(after)
    try:
        yield heard
    finally:
        handle.remove()


def _eager() -> AbstractContextManager[object]:
    # Nothing can be compiled before Dynamo is imported, and importing it takes longer than most forward passes.
    if "torch._dynamo" not in sys.modules:
        return nullcontext()
    stance: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return stance


def _logits(output: object) -> Tensor:
    logits = getattr(output, "logits", output)
    if not isinstance(logits, Tensor):
        raise TypeError(f"the model must return logits, or an object with .logits, got {type(output).__name__}")
    if logits.dim() == 4 and logits.shape[2:] == (1, 1):
        return logits.flatten(1)
    return logits
