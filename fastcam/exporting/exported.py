"""The module that is exported: a batch of images in, logits and maps or boxes out."""

from __future__ import annotations

import copy
import warnings
from typing import Final, Literal, get_args

import torch
from torch import Tensor, nn

from fastcam.exporting.errors import ExportError
from fastcam.extractors import Extraction, GradientExtraction, LinearExtraction, Localizer, RowExtraction
from fastcam.network import Network
from fastcam.padded import padded_boxes_from_maps
from fastcam.protocol import Protocol

__all__ = ["WHATS", "ExportedNetwork", "What"]

What = Literal["maps", "boxes"]
WHATS: Final[tuple[str, ...]] = get_args(What)


class ExportedNetwork(nn.Module):
    """A network from its input to logits and maps, or to logits and boxes, as one module that can be traced.

    Boxes are found by fastcam's operators as part of the graph; maps have an equivalent in PyTorch's own: see
    :func:`fastcam.exporting.programs.program_of`.

    Args:
        network: what :func:`fastcam.load` gave.
        protocol: how a map becomes a box.
        what: ``"maps"`` or ``"boxes"``.
        top_k: the classes of each image, best first; None: the first alone.

    Raises:
        ExportError: maps that take a backward pass, or all boxes without a number of rows.

    Example:
        >>> import fastcam
        >>> from fastcam.models import VGG16
        >>> network = fastcam.load(VGG16(num_classes=3, width=1 / 16), size=(64, 64), device="cpu")
        >>> logits, maps = ExportedNetwork(network, fastcam.PAPER, "maps")(torch.rand(2, 3, 64, 64))
        >>> logits.shape, maps.shape
        (torch.Size([2, 3]), torch.Size([2, 4, 4]))
    """

    def __init__(self, network: Network, protocol: Protocol, what: What, top_k: int | None = None) -> None:
        super().__init__()
        if what == "boxes" and protocol.keep == "all" and protocol.max_boxes is None:
            raise ExportError(
                "protocol", 'protocol must have max_boxes, the number of rows, with keep="all", got max_boxes=None'
            )
        self.model = network.model  # its parameters are this module's
        self.protocol, self.what, self.top_k = protocol, what, top_k
        self._extractor = copy.copy(network.extractor)
        floats = (one.dtype for one in network.model.parameters() if one.is_floating_point())
        self._input = ((2, 3, *network.inputs.size), next(floats, torch.float32), network.device)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Network and Localizer have said it
            # The first batch is checked for what its maps are made from: before the trace, which cannot look at values.
            found = self._extractor.extract(self.example(), top_k=top_k)
        # A localizer has the classifier's own maps, or those of a gradient.
        by_gradient = isinstance(network.extractor, Localizer) and not isinstance(found, LinearExtraction)
        if by_gradient or isinstance(found, (GradientExtraction, RowExtraction)):
            raise ExportError(
                "model_or_loaded",
                f"{network.name} has no class activation map of its own: its maps take a backward pass, which a graph "
                "for inference does not have; fastcam inspect says why",
            )

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of what :meth:`forward` returns."""
        if self.what == "maps":
            return "logits", "maps"
        return ("logits", "boxes") if self.protocol.keep == "largest" else ("logits", "boxes", "scores", "counts")

    def example(self) -> Tensor:
        """Return two images of noise, of the network's input size, dtype and device."""
        shape, dtype, device = self._input
        generator = torch.Generator("cpu").manual_seed(0)
        return torch.randn(shape, generator=generator, device="cpu").to(device, dtype)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return what :attr:`outputs` names.

        Args:
            images: (N, 3, H, W), normalized as the network's :class:`fastcam.inputs.Inputs` say.

        Returns:
            The logits (N, K), and maps (N, h, w) at the features' own size, or boxes (N, 4) float32: x0, y0, x1, y1 in
            pixels of the input. With ``top_k`` (N, T, h, w) and (N, T, 4). With ``keep="all"`` boxes are (N, R, 4),
            R being ``max_boxes``, followed by their scores (N, R) and by the numbers of rows that hold one (N,).
        """
        with torch.no_grad():
            found = self._extractor.extract(images, top_k=self.top_k)
            if self.what == "maps":
                return found.logits, found.maps(clamp_negative=self.protocol.clamp_negative)
            return (found.logits, *self._boxes(found))

    def _boxes(self, found: Extraction) -> tuple[Tensor, ...]:
        size = (found.size[0], found.size[1])
        if self.protocol.keep == "largest":
            return (found.localize(size=size, protocol=self.protocol).boxes,)
        maps = found.maps(clamp_negative=self.protocol.clamp_negative)
        every = padded_boxes_from_maps(maps.flatten(0, -3), size=size, protocol=self.protocol)
        return tuple(part.unflatten(0, found.labels.shape) for part in (every.boxes, every.scores, every.counts))
