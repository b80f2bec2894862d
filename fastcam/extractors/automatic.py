"""Maps of any classifier, without names: what :class:`fastcam.Localizer` does where it is given none."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fastcam.activation import Index
from fastcam.extractors.attachment import Attachment, attach, state_of
from fastcam.extractors.check import HeadMismatchWarning, levels_to_caller
from fastcam.extractors.extraction import Extraction, LinearExtraction, check_choice, chosen_classes
from fastcam.extractors.extractor import checked_images
from fastcam.extractors.gradient import GRADIENT_METHODS, GradientMethod, gradient_extraction, watched
from fastcam.extractors.gradient_source import GradientSource, gradient_source
from fastcam.extractors.hooks import eager, first_tensor, listening, logits_of, submodule, unwrapped
from fastcam.extractors.layout import Layout
from fastcam.extractors.linear_rules import no_logits
from fastcam.extractors.linear_walk import NoLinearMapError
from fastcam.extractors.recording import Recording, record

__all__ = ["Automatic", "CamMethod", "GradientMapWarning"]

CamMethod = Literal["auto", "cam"] | GradientMethod


class GradientMapWarning(HeadMismatchWarning):
    """The network has no linear map, and its gradient is used in its place; or that is of no logits."""


class Automatic:
    """Finds where a network's maps come from at its first batch, and again where a folded weight may have changed.

    Args:
        model: any classifier.
        cam: ``"cam"``: the linear map, or an error that says why there is none; ``"auto"``: the same, or Grad-CAM with
            one :class:`GradientMapWarning`; or a method of :data:`fastcam.extractors.gradient.GRADIENT_METHODS`.
        features: the module whose output gradient maps are taken of; None: it is found.
        classes_at_once: how many classes' gradients one backward pass computes.
    """

    def __init__(
        self, model: nn.Module, cam: CamMethod = "auto", features: str | None = None, classes_at_once: int = 1
    ) -> None:
        self._model, self._cam, self._classes_at_once = model, cam, classes_at_once
        self._root = unwrapped(model)
        if features is not None:
            submodule(self._root, features, "features")
        self._named = features
        self._source: Attachment | GradientSource | None = None

    @property
    def known(self) -> bool:
        """Whether a batch was seen."""
        return self._source is not None

    @property
    def num_classes(self) -> int:
        """K, known from the first batch on."""
        if self._source is None:
            raise RuntimeError("the number of classes is known from the first batch on: call inspect(images) first")
        return self._source.classes

    def run(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run the model once: the logits (N, K), the features (N, C, h, w) and the weight (K, C) of a linear map."""
        checked_images(images)
        source, recording = self._search(images)
        if not isinstance(source, Attachment):
            raise ValueError(
                f"there is no linear map, because {source.reason}; extract(images).maps() has gradient maps"
            )
        logits, features = self._features(source, images, recording)
        return logits, features, source.weight

    def source(self, images: Tensor) -> Attachment | GradientSource:
        """Return what the maps of these images are made from.

        Raises:
            ValueError: there is nothing to make them from, or with ``cam="cam"`` no linear map; says why.
        """
        return self._search(images)[0]

    def _search(self, images: Tensor) -> tuple[Attachment | GradientSource, Recording | None]:
        """The source, and the pass that it was found in, if that was of exactly these images and just now."""
        source, recording = self._source, None
        # While a graph is traced the parameters have no memory: what was found before holds.
        traced = torch.compiler.is_compiling()
        if source is None or (not traced and isinstance(source, Attachment) and source.state != state_of(self._root)):
            with _autograd_works():
                source, recording = self._find(images)
            self._source = source
        return source, recording if recording is not None and images.shape[0] == 1 else None

    def extract(self, images: Tensor, index: Index | None = None, *, top_k: int | None = None) -> Extraction:
        """Run the model once: see :meth:`fastcam.extractors.Extractor.extract`."""
        check_choice(index, top_k)
        if self._named is None and isinstance(images, Tensor) and images.dim() in (3, 5):
            raise ValueError(
                f"images must be (N, 3, H, W), got shape {tuple(images.shape)}; for sound, video and volumes name "
                "features and classifier"
            )
        checked_images(images, axes=(2,) if self._named is None else (1, 2, 3))
        source, recording = self._search(images)
        size = tuple(images.shape[2:])
        if isinstance(source, Attachment):
            logits, features = self._features(source, images, recording)
            return LinearExtraction(logits, chosen_classes(logits, index, top_k), size, features, source.weight)
        self._check_mode()
        module, reads_input = self._module(source.features)
        with (
            _autograd_works(),
            torch.no_grad(),
            self._stem(source) as cut,
            watched(module, reads_input) as held,
            eager(),
        ):
            self._check_parameters()
            if recording is None:
                logits = logits_of(self._model(images.clone() if images.is_inference() else images), images.shape[0])
                grid = _aspect(cut, size)
            else:
                logits, grid, held[:] = recording.logits, recording.grid, [recording.tensor(source.features)]
                torch.set_grad_enabled(True)
            if not held:
                raise self._not_called(source)
            labels, at_once = chosen_classes(logits.detach(), index, top_k), self._classes_at_once
            try:
                return gradient_extraction(
                    logits, labels, size, held[0], source.layout, self._method(), grid=grid, classes_at_once=at_once
                )
            except ValueError as error:
                raise ValueError(f"no gradient map of features={source.features!r}: {error}") from None

    def _method(self) -> GradientMethod:
        return "grad-cam" if self._cam in ("auto", "cam") else self._cam  # type: ignore[return-value]

    def _check_mode(self) -> None:
        if any(part.training for part in self._root.modules()):
            raise ValueError(
                "the model is in training mode, in which an image has no map of its own: call model.eval()"
            )

    def _check_parameters(self) -> None:
        if any(one.is_inference() for one in [*self._root.parameters(), *self._root.buffers()]):
            raise ValueError(
                "the model's parameters were made in inference mode, in which autograd cannot follow them: "
                "load the model outside of torch.inference_mode()"
            )

    def _find(self, images: Tensor) -> tuple[Attachment | GradientSource, Recording | None]:
        self._check_mode()
        image, own = images[:1], True
        if len(image) == 0 or not bool(image.isfinite().all()):
            # Where maps come from does not depend on the images; any prove it.
            image, own = torch.randn((1, *images.shape[1:]), dtype=images.dtype, device=images.device), False
        if self._named is not None:
            self._check_parameters()
            if images.dim() != 4:
                return self._of_other_axes(image.clone(), self._named), None  # inference tensors cannot be followed
        recording = record(self._model, image)
        return self._source_in(recording, image), recording if own else None

    def _source_in(self, recording: Recording, image: Tensor) -> Attachment | GradientSource:
        reason = no_logits(recording.trace, recording.logits)
        if reason and self._cam in GRADIENT_METHODS:
            told = f"{self._cam} is defined of logits, and {reason}"
            warnings.warn(told, GradientMapWarning, stacklevel=levels_to_caller())
        if self._named is not None:
            return gradient_source(self._model, image, f"{self._cam} was asked for", self._named, recording)
        try:
            found = attach(self._model, image, recording)
        except NoLinearMapError as error:
            if self._cam == "cam":
                raise ValueError(f"no linear map: {error}; cam='auto' takes a gradient map") from None
            self._check_parameters()
            source = gradient_source(self._model, image, str(error), recording=recording)
            if self._cam == "auto":
                warnings.warn(
                    f"no linear map, because {error}: Grad-CAM at {source.features!r} is taken, which approximates"
                    f"{' and sees one branch' if source.beside else ''} "
                    "(cam='grad-cam' does so without this warning)",
                    GradientMapWarning,
                    stacklevel=levels_to_caller(),
                )
            return source
        if self._cam in GRADIENT_METHODS:
            reason = f"{self._cam} was asked for"
            return GradientSource(found.features, found.layout, reason, found.classes, found.stem)
        return found

    def _of_other_axes(self, images: Tensor, name: str) -> GradientSource:
        """Named features of sound, video or volumes, which have as many axes and their channels first."""
        module, reads_input = self._module(name)
        with torch.no_grad(), listening(module, reads_input) as heard, eager():
            classes = logits_of(self._model(images)).shape[1]
        tensor = first_tensor(heard[0]) if heard else None
        if tensor is None or tensor.dim() != images.dim() or tensor.shape[2:].numel() < 2:
            got = "nothing" if tensor is None else f"shape {tuple(tensor.shape)}"
            raise ValueError(f"features={name!r} gives no maps with positions along {images.dim() - 2} axes, got {got}")
        return GradientSource(name, Layout(tensor.dim(), 1), f"{self._cam} was asked for", classes)

    def _features(self, source: Attachment, images: Tensor, recording: Recording | None) -> tuple[Tensor, Tensor]:
        """Run the model once, unless it was: the logits (N, K) and the features (N, C, h, w)."""
        size = tuple(images.shape[2:])
        if recording is not None:
            features = recording.tensor(source.features).detach()
            return recording.logits.detach(), source.layout.planes(features, recording.grid)
        module, reads_input = self._module(source.features)
        with torch.no_grad(), self._stem(source) as cut, listening(module, reads_input) as heard, eager():
            logits = logits_of(self._model(images), images.shape[0])
        found = first_tensor(heard[0]) if heard else None
        if found is None:
            raise self._not_called(source)
        return logits, source.layout.planes(found, _aspect(cut, size))

    @staticmethod
    def _not_called(source: Attachment | GradientSource) -> RuntimeError:
        return RuntimeError(f"the module {source.features!r}, found at the first batch, was not called at this one")

    def _stem(self, source: Attachment | GradientSource) -> AbstractContextManager[list[Any]]:
        """Listen to what says the aspect of tokens' grid: networks may resize their images, each by another factor."""
        return listening(self._module(source.stem)[0], False) if source.stem else nullcontext([])

    def _module(self, name: str) -> tuple[nn.Module, bool]:
        return self._root.get_submodule(name.removesuffix(":input")), name.endswith(":input")


def _aspect(stem: list[Any], size: tuple[int, ...]) -> tuple[int, ...]:
    """The size of what a stem gave, where there is one."""
    given = first_tensor(stem[0]) if stem else None
    return size if given is None else tuple(given.shape[2:])


def _autograd_works() -> AbstractContextManager[object]:
    """Leave inference mode, in which autograd records nothing."""
    return torch.inference_mode(False)
