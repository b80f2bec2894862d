"""What a walk from the logits back to pooled features holds: :class:`Term`, :class:`Pooled`, :class:`Walk`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import torch
from torch import Tensor

from fastcam.extractors.trace import Origin, Step, Trace

__all__ = ["ClassTokenError", "NoLinearMapError", "Pooled", "Term", "Walk"]


class NoLinearMapError(Exception):
    """The logits are no linear function of pooled features; the message names what stands in between."""


class ClassTokenError(NoLinearMapError):
    """The classifier sees a token in place of all."""


@dataclass(frozen=True, eq=False)
class Term:
    """A part of the logits: ``tensor.flatten(1) @ weight.T / divisor``.

    Attributes:
        tensor: (N, ...), D values an image.
        origin: where its values came from.
        weight: (K, D) float64; None: the identity.
        divisor: (N,) positive, float64; None: 1.
        folded: what the weight holds beside linear layers: ``"batch norm"``, ``"layer norm"``, ``"scale"``, ...
    """

    tensor: Tensor
    origin: Origin | None
    weight: Tensor | None = None
    divisor: Tensor | None = None
    folded: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Pooled:
    """A term that is a pooling of features over their positions.

    Attributes:
        term: the pooled values.
        features: what was pooled, (N, ...).
        channels: which of its dimensions are the channels; all others but the first are positions.
        pooling: ``"mean"``, ``"sum"``, ``"max"`` or ``"TAP"``.
        threshold: that of TAP.
    """

    term: Term
    features: Tensor
    channels: int
    pooling: str
    threshold: float = 0.0


@dataclass(eq=False)
class Walk:
    """Terms still to be replaced, and what was found.

    Attributes:
        trace: the recorded forward pass.
        logits: (N, K).
        constant: (N, K) float64, the sum of all that does not depend on the images.
        found: the pooled features that the walk ended at.
        pools_one_position: a pooling over a single position was passed.
    """

    trace: Trace
    logits: Tensor
    constant: Tensor = field(init=False)
    found: list[Pooled] = field(default_factory=list)
    pools_one_position: bool = False

    def __post_init__(self) -> None:
        self.constant = torch.zeros_like(self.logits, dtype=torch.float64)

    def follow(self, term: Term, tensor: Tensor, folded: str | None = None, **changes: object) -> Term:
        """Return the term of an input of the operator that made ``term``."""
        assert term.origin is not None
        origin = term.origin.before if tensor is term.tensor else self.trace.origin(tensor)
        all_folded = term.folded if folded is None or folded in term.folded else (*term.folded, folded)
        return dataclasses.replace(term, tensor=tensor, origin=origin, folded=all_folded, **changes)  # type: ignore[arg-type]

    def add(self, term: Term, constant: Tensor) -> None:
        """Add values that stand beside a term's, (D,) or (N, D), to the constant."""
        wide = constant.double().expand(len(self.logits), -1)
        through = wide if term.weight is None else wide @ term.weight.T
        self.constant = self.constant + (through if term.divisor is None else through / term.divisor[:, None])

    def flat(self, tensor: Tensor) -> Tensor:
        """Return a tensor as (N, D)."""
        count = len(self.logits)
        if tensor.dim() == 0 or tensor.shape[0] != count:
            raise NoLinearMapError("images and other dimensions mix between the pooled features and the logits")
        return tensor.reshape(count, -1)

    def the_only(self, step: Step) -> Tensor:
        """Return the one input that depends on the images."""
        inputs = {id(tensor): tensor for tensor in step.tensors if self.trace.depends(tensor)}
        if len(inputs) != 1:
            raise NoLinearMapError(f"{len(inputs)} inputs of the operator {step.name} depend on the images")
        return next(iter(inputs.values()))
