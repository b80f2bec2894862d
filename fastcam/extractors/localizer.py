"""Boxes from any classifier: :class:`Localizer`."""

from __future__ import annotations

import copy
from types import TracebackType
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn

from fastcam.activation import Index
from fastcam.extractors.attachment import Attachment
from fastcam.extractors.automatic import Automatic, CamMethod
from fastcam.extractors.extraction import Extraction, LinearExtraction, LocalizeOptions, check_choice, chosen_classes
from fastcam.extractors.extractor import Extractor
from fastcam.extractors.gradient import GRADIENT_METHODS
from fastcam.extractors.gradient_source import GradientSource
from fastcam.extractors.named import NamedModules, UnexplainedError
from fastcam.localization import Localization

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["CAM_METHODS", "Localizer"]

CAM_METHODS: Final[tuple[str, ...]] = ("auto", "cam", *GRADIENT_METHODS)
"""What ``cam`` may be."""


class Localizer(Extractor):
    """Runs a classifier once and turns its class activation maps into boxes.

    Without names, the first batch finds where the maps come from: the recorded operators are followed from the logits
    back through what is linear for a given image (linear layers, batch, layer and RMS normalization, scales) to a
    pooling over positions, in maps of any layout or in tokens. It counts only where pooled features times that weight
    give the logits. Where no linear map exists (a hidden layer behind the pooling, a class token, attention pooling),
    Grad-CAM at the last features whose positions all reach the logits is taken, and one
    :class:`fastcam.extractors.GradientMapWarning` says why; ``cam`` chooses. The model must be in eval mode.
    :meth:`inspect` says what was found.

    With names, the map is the classifier's own (Eq. 1) where the model is features, a pooling over space, and one
    linear layer. The first batch is checked for that: the pooled features times the layer's weight plus its bias must
    give the logits, with the mean, any :class:`fastcam.TAP` or :class:`fastcam.pooling.LSE` in the model, or the
    maximum as the pooling. Where they do not, one :class:`fastcam.extractors.HeadMismatchWarning` says so. With the
    model in training mode a failed check proves nothing (dropout sits between the two); it is then put off, with a
    warning, to the first batch in eval mode.

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
        features: the module whose output (or, with ``":input"``, first input) are the feature maps, (N, C, h, w);
            ``"layer4"`` where only the classifier is named.
        classifier: the last layer, a linear layer or a 1x1 convolution with weight (K, C); ``"fc"`` where only the
            features are named.
        cam: ``"auto"``: see above; ``"cam"``: the linear map or an error; or a gradient map by one of ``"grad-cam"``,
            ``"grad-cam++"``, ``"xgrad-cam"``, ``"layer-cam"``, ``"hires-cam"``, at the named features or those found.
        classes_at_once: of gradient maps of several classes an image: how many of them one backward pass serves. It
            takes as many times the memory, and fewer launches on a GPU; on a CPU it is not faster.

    Raises:
        TypeError: model is not an ``nn.Module``, a name is not a string, or ``classes_at_once`` is no int.
        ValueError: a name that the model does not have, a classifier that is not linear, ``nn.DataParallel``, a
            scripted model, a ``cam`` that is none of these, or ``classes_at_once`` below 1.

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
        >>> with fastcam.Localizer(model.eval()) as localizer:
        ...     logits, found = localizer(torch.rand(2, 3, 64, 48))
        >>> logits.shape, found.boxes.shape, found.scores.shape
        (torch.Size([2, 5]), torch.Size([2, 4]), torch.Size([2]))
    """

    def __init__(
        self,
        model: nn.Module,
        features: str | None = None,
        classifier: str | None = None,
        *,
        cam: CamMethod = "auto",
        classes_at_once: int = 1,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
        if isinstance(model, nn.DataParallel):
            raise ValueError(
                "model is an nn.DataParallel, whose replicas run on copies that hooks do not reach; pass model.module"
            )
        if isinstance(model, torch.jit.ScriptModule):
            raise ValueError("model is scripted or traced and calls no hooks; pass the module that it was made from")
        if cam not in CAM_METHODS:
            raise ValueError(f"cam must be 'auto', 'cam' or one of {', '.join(GRADIENT_METHODS)}, got {cam!r}")
        if isinstance(classes_at_once, bool) or not isinstance(classes_at_once, int):
            raise TypeError(f"classes_at_once must be an int, got {classes_at_once!r}")
        if classes_at_once < 1:
            raise ValueError(f"classes_at_once must be at least 1, got {classes_at_once}")
        self._model: nn.Module | None = model
        self._cam: CamMethod = cam
        self._names: tuple[str, str] | None = None
        self._classes_at_once = classes_at_once
        self._source: NamedModules | Automatic
        if cam in GRADIENT_METHODS:
            if classifier is not None:
                raise ValueError(f"cam={cam!r} takes no classifier, got classifier={classifier!r}")
            self._source = Automatic(model, cam, features, classes_at_once)
        elif features is not None or classifier is not None:
            self._names = ("layer4" if features is None else features, "fc" if classifier is None else classifier)
            self._source = NamedModules(model, *self._names)
        else:
            self._source = _guessed(model) or Automatic(model, cam, None, classes_at_once)

    @property
    def num_classes(self) -> int:
        """K, the number of classes; without names it is known from the first batch on.

        Raises:
            RuntimeError: closed, or not known yet.
        """
        return self._open().num_classes

    @property
    def names(self) -> tuple[str, str] | None:
        """The features and the classifier that were named by hand; None where they are found."""
        return self._names

    @property
    def method(self) -> str:
        """The gradient method that is used where the map is none of the classifier's own."""
        return "grad-cam" if self._cam in ("auto", "cam") else self._cam

    @property
    def needs_search(self) -> bool:
        """Whether where the maps come from is still to be found, by the first batch or :meth:`inspect`."""
        source = self._open()
        return isinstance(source, Automatic) and not source.known

    def inspect(self, images: Tensor) -> Attachment | GradientSource:
        """Find what the maps of images are made from, and use it from now on; its ``str`` is one line.

        Raises:
            ValueError: there is nothing to make maps from; the message says why.
            RuntimeError: closed.
        """
        source = self._open()
        # One that searches knows the features that were named for gradient maps.
        return (source if isinstance(source, Automatic) else self._search()).source(images)

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

    def extract(self, images: Tensor, index: Index | None = None, *, top_k: int | None = None) -> Extraction:
        """Run the model once: see :meth:`Extractor.extract`."""
        check_choice(index, top_k)
        source = self._open()
        if isinstance(source, NamedModules):
            try:
                logits, features, weight = source.run(images)
            except UnexplainedError:
                source = self._search()
            else:
                labels = chosen_classes(logits, index, top_k)
                return LinearExtraction(logits, labels, tuple(images.shape[2:]), features, weight)
        return source.extract(images, index, top_k=top_k)

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
        try:
            return self._open().run(images)
        except UnexplainedError:
            return self._search().run(images)

    def close(self) -> None:
        """Let go of the model; calls are refused from here on. Closing twice does nothing."""
        self._model = None
        self._source = Automatic(nn.Identity())

    def __copy__(self) -> Localizer:
        """A localizer of the same model, that checks its own first batch."""
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__, _source=copy.copy(self._source))
        return other

    def __enter__(self) -> Localizer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> NamedModules | Automatic:
        if self._model is None:
            raise RuntimeError("this Localizer is closed")
        return self._source

    def _search(self) -> Automatic:
        self._open()
        assert self._model is not None
        self._names = None
        automatic = self._source = Automatic(self._model, self._cam, None, self._classes_at_once)
        return automatic


def _guessed(model: nn.Module) -> NamedModules | None:
    """ResNet's names, where a model has them: then nothing has to be searched for."""
    try:
        return NamedModules(model, "layer4", "fc", guessed=True)
    except ValueError:
        return None
