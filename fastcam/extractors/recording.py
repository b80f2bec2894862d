"""One forward pass of a network with all that happened in it: :class:`Recording`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fastcam.extractors.hooks import Heard, eager, first_tensor, hearing_all, logits_of, unwrapped
from fastcam.extractors.trace import Trace

__all__ = ["Recording", "record"]


@dataclass(frozen=True, eq=False)
class Recording:
    """What one image did in a network.

    Attributes:
        root: the network, without the wrapper of ``torch.compile``.
        trace: every operator.
        heard: every call of a named module, in the order in which they ended.
        logits: (1, K); with a gradient function, unless parameters are inference tensors.
        stem: the first convolution, where it takes the picture; else empty.
        grid: (h, w) of what the stem gave, else of the image: maps and tokens have this aspect. The image's may be
            another, because networks resize what they get, and patches leave a border out.
    """

    root: nn.Module
    trace: Trace
    heard: list[Heard]
    logits: Tensor
    stem: str
    grid: tuple[int, int]

    def tensor(self, name: str) -> Tensor:
        """Return what the last call of a module gave, or with ``"name:input"`` was given.

        Raises:
            KeyError: nothing like that was heard.
        """
        module, _, reads_input = name.partition(":")
        for call in reversed(self.heard):
            if call.name == module:
                found = first_tensor(call.input if reads_input else call.output)
                if found is not None:
                    return found
        raise KeyError(name)


def record(model: nn.Module, images: Tensor) -> Recording:
    """Run a network on the first of some images, (N, 3, H, W), and keep every tensor.

    No other size is tried, which would be faster: there are networks that adapt themselves to it, for good.

    Example:
        >>> recording = record(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten()), torch.rand(2, 3, 4, 4))
        >>> recording.logits.shape, [call.name for call in recording.heard]
        (torch.Size([1, 32]), ['0', '1'])
    """
    root = unwrapped(model)
    with _recording(model), eager(), hearing_all(root) as heard:
        # No leaf, because networks may write into their input.
        image = images[:1].detach().clone()
        image = image.requires_grad_(torch.is_grad_enabled()).clone()
        with Trace(image) as trace:
            logits = logits_of(model(image), 1)
    return Recording(root, trace, heard, logits, *_stem(root, heard, image))


def _stem(root: nn.Module, heard: list[Heard], image: Tensor) -> tuple[str, tuple[int, int]]:
    """The first convolution, if the picture goes into it, and the size of what it gives."""
    calls = (one for one in heard if isinstance(root.get_submodule(one.name), nn.Conv2d))
    first = next(calls, None)
    if first is not None:
        taken, given = first_tensor(first.input), first_tensor(first.output)
        if taken is not None and given is not None and taken.shape[:2] == image.shape[:2]:
            rows, columns = given.shape[-2:]
            if taken.dim() == given.dim() == 4 and rows * columns > 1:
                return first.name, (rows, columns)
    return "", (image.shape[2], image.shape[3])


@contextmanager
def _recording(model: nn.Module) -> Iterator[None]:
    """Gradients are recorded too, where that can be: parameters made in inference mode refuse it."""
    possible = not any(one.is_inference() for one in (*model.parameters(), *model.buffers()))
    # Wrappers of distributed training would wait for a backward pass of all processes.
    apart: AbstractContextManager[object] = getattr(model, "no_sync", nullcontext)()
    with torch.inference_mode(False), torch.set_grad_enabled(possible), apart:
        yield
