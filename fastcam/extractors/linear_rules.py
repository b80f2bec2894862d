"""How a part of the logits follows from the operator before it, one rule an operator.

A rule replaces a :class:`Term` by those of the operator's inputs, and adds what does not depend on the images to the
walk's constant. Rules only propose: :func:`fastcam.extractors.linear_map.linear_map` checks what comes of them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from fastcam.extractors.linear_reasons import POOLINGS, unknown_operator
from fastcam.extractors.linear_walk import ClassTokenError, NoLinearMapError, Pooled, Term, Walk
from fastcam.extractors.trace import Step, Trace

__all__ = ["no_logits", "replace"]


def replace(walk: Walk, term: Term) -> Iterable[Term]:
    """Return the terms that a term is the sum of, none where it is pooled features: those go to ``walk.found``.

    Raises:
        NoLinearMapError: the operator that made the term's tensor is not linear.
    """
    if not walk.trace.depends(term.tensor):
        raise NoLinearMapError("the logits do not depend on the images")
    if term.origin is None:
        raise NoLinearMapError("the images reach the logits without a pooling over positions")
    step = term.origin.step
    if term.tensor is walk.logits and (reason := no_logits(walk.trace, walk.logits)):
        raise NoLinearMapError(reason)
    rule = _RULES.get(step.name)
    if rule is None:
        raise unknown_operator(walk, term, step)
    return rule(walk, term, step)


def no_logits(trace: Trace, output: Tensor) -> str:
    """Say why a network's output is no logits but probabilities; empty where it is not known to be."""
    origin = trace.origin(output)
    kind = None if origin is None else _PROBABILITIES.get(origin.step.name)
    return "" if kind is None else f"the network returns {kind} and no logits: return what goes into it"


def _product(term: Term) -> str | None:
    return None if term.weight is None else "linear layers"


def _times(weight: Tensor | None, matrix: Tensor) -> Tensor:
    return matrix.double() if weight is None else weight @ matrix.double()


def _scaled(weight: Tensor | None, scale: Tensor) -> Tensor:
    return torch.diag(scale.double()) if weight is None else weight * scale.double()


def _view(walk: Walk, term: Term, step: Step) -> list[Term]:
    source = walk.the_only(step)
    if step.name == "slice" and source.dim() == 2 and step.given["dim"] % 2 == 1:
        return [_part(walk, term, source, slice(step.given["start"], step.given["end"], step.given["step"]))]
    if source.numel() != term.tensor.numel():
        if step.name in ("select", "index", "slice"):
            raise ClassTokenError("the classifier sees one of the tokens (a class token)")
        raise NoLinearMapError(f"the operator {step.name} changes how many values an image has")
    if source.dim() == 4 and term.tensor.dim() == 2 and source.shape[2:].numel() > 1:
        raise NoLinearMapError("the feature maps are flattened into the classifier, not pooled")
    if not torch.equal(walk.flat(source), walk.flat(term.tensor)):
        raise NoLinearMapError(f"the operator {step.name} reorders what the classifier sees")
    return [walk.follow(term, source)]


def _part(walk: Walk, term: Term, source: Tensor, columns: slice) -> Term:
    """Some of the columns of pooled features: the others have weight 0."""
    identity = torch.eye(source.shape[1], dtype=torch.float64, device=source.device)[columns]
    return walk.follow(term, source, weight=_times(term.weight, identity))


def _linear(walk: Walk, term: Term, step: Step) -> list[Term]:
    given = step.given
    inputs, matrix = (given["mat1"], given["mat2"]) if step.name == "addmm" else (given["self"], given["mat2"])
    if given.get("alpha", 1) != 1 or given.get("beta", 1) != 1 or walk.trace.depends(matrix):
        raise NoLinearMapError("a product of two tensors that depend on the image follows the features (attention)")
    if inputs.shape[0] != len(walk.logits):
        raise NoLinearMapError("a linear layer runs on single positions after the pooling")
    if step.name == "addmm":
        walk.add(term, given["self"].reshape(1, -1))
    return [walk.follow(term, inputs, _product(term), weight=_times(term.weight, matrix.T))]


def _convolution(walk: Walk, term: Term, step: Step) -> list[Term]:
    inputs, weight, bias = step.given["input"], step.given["weight"], step.given["bias"]
    if inputs.shape[2:].numel() != 1 or weight.shape[2:].numel() != 1 or step.given["groups"] != 1:
        raise NoLinearMapError("a convolution follows the pooling")
    if bias is not None:
        walk.add(term, bias)
    return [walk.follow(term, inputs, _product(term), weight=_times(term.weight, weight.flatten(1)))]


def _sum(walk: Walk, term: Term, step: Step) -> list[Term]:
    given = step.given
    first, second = given["self"], given["other"]
    signs = {"add": (1.0, 1.0), "sub": (1.0, -1.0), "rsub": (-1.0, 1.0)}[step.name]
    alpha = float(given["alpha"])
    factors = (signs[0] * (alpha if step.name == "rsub" else 1), signs[1] * (1 if step.name == "rsub" else alpha))
    both = walk.trace.depends(first) and walk.trace.depends(second)
    terms = []
    for value, factor in zip((first, second), factors, strict=True):
        if walk.trace.depends(value):
            if value.shape != term.tensor.shape:
                raise NoLinearMapError("a sum of tensors of different shapes follows the features")
            weight = term.weight
            if factor != 1:
                ones = torch.full((walk.flat(value).shape[1],), factor, device=value.device)
                weight = _scaled(weight, ones)
            terms.append(walk.follow(term, value, "sum of heads" if both else None, weight=weight))
        else:
            walk.add(term, factor * _values_of(walk, term, value))
    return terms


def _values_of(walk: Walk, term: Term, value: Tensor | float) -> Tensor:
    """A number or tensor beside a term's, as (N, D) float64."""
    wide = torch.as_tensor(value, dtype=torch.float64, device=term.tensor.device)
    return walk.flat(wide.expand(term.tensor.shape))


def _scale(walk: Walk, term: Term, step: Step) -> list[Term]:
    given, divides = step.given, step.name == "div"
    first, second = given["self"], given["other"]
    if given.get("rounding_mode") is not None or (divides and not walk.trace.depends(first)):
        raise NoLinearMapError("a division by the features follows them")
    if walk.trace.depends(first) and walk.trace.depends(second):
        return [_scaled_an_image(walk, term, first, second, divides)]
    inputs, other = (first, second) if walk.trace.depends(first) else (second, first)
    scale = _values_of(walk, term, other)
    scale = 1 / scale if divides else scale
    if not torch.equal(scale, scale[:1].expand_as(scale)):
        raise NoLinearMapError("a factor that differs from image to image follows the features")
    folded = None if bool((scale == scale[0, 0]).all()) else "scale"
    return [walk.follow(term, inputs, folded, weight=_scaled(term.weight, scale[0]))]


def _scaled_an_image(walk: Walk, term: Term, first: Tensor, second: Tensor, divides: bool) -> Term:
    """Both depend on the image, and one of them is one positive number an image: as in x / x.norm()."""
    for inputs, other in ((first, second),) if divides else ((first, second), (second, first)):
        if inputs.numel() == term.tensor.numel() and inputs is not other:
            number = walk.flat(other).double()
            if bool((number == number[:, :1]).all()) and _positive(walk, other) and walk.flat(inputs).shape[1] > 1:
                divisor = number[:, 0] if divides else 1 / number[:, 0]
                divisor = divisor if term.divisor is None else divisor * term.divisor
                return walk.follow(term, inputs, "a number an image", divisor=divisor)
    raise NoLinearMapError("a product of two tensors that depend on the image follows the features")


def _positive(walk: Walk, tensor: Tensor) -> bool:
    """Whether the operators that made a tensor leave it no other choice."""
    for _ in range(_LONGEST_FACTOR):
        origin = walk.trace.origin(tensor)
        if origin is None:
            return False
        step = origin.step
        if step.name in _POSITIVE:
            return bool((tensor > 0).all())
        if step.name == "add" and isinstance(step.given["other"], (int, float)) and step.given["other"] < 0:
            return False
        if step.name not in _VIEWS | _KEEP_THE_SIGN or origin.before is not None:
            return False
        tensor = walk.the_only(step)
    return False


def _batch_norm(walk: Walk, term: Term, step: Step) -> list[Term]:
    given = step.given
    if given.get("training"):
        raise NoLinearMapError("batch normalization in training mode follows the features")
    mean, variance = given["running_mean"].double(), given["running_var"].double()
    scale = (variance + given.get("eps", given.get("epsilon"))).rsqrt()
    if given["weight"] is not None:
        scale = scale * given["weight"].double()
    if walk.flat(given["input"]).shape[1] != len(scale):
        raise NoLinearMapError("batch normalization over positions follows the pooling")
    walk.add(term, (0 if given["bias"] is None else given["bias"].double()) - mean * scale)
    return [walk.follow(term, given["input"], "batch norm", weight=_scaled(term.weight, scale))]


def _layer_norm(walk: Walk, term: Term, step: Step) -> list[Term]:
    """Layer and RMS normalization of one vector an image: linear up to one positive number an image."""
    given, name = step.given, "rms norm" if "rms" in step.name else "layer norm"
    inputs = given["input"]
    values = walk.flat(inputs).double()
    over = given["HxW"] * given["C"] if step.name == "native_group_norm" else math.prod(given["normalized_shape"])
    if values.shape[1] != over or given.get("HxW", 1) != 1 or given.get("group", 1) != 1 or term.divisor is not None:
        raise NoLinearMapError(f"{name} of more than one vector an image follows the features")
    scale = torch.ones_like(values[0]) if given["weight"] is None else given["weight"].double().flatten()
    if given.get("bias") is not None:
        walk.add(term, given["bias"].flatten())
    weight = _scaled(term.weight, scale)
    eps = torch.finfo(inputs.dtype).eps if given["eps"] is None else given["eps"]
    if name == "rms norm":
        divisor = (values.square().mean(1) + eps).sqrt()
    else:
        # The mean of the vector leaves it, which is a projection, and so does the mean of each row of the weight.
        weight, divisor = weight - weight.mean(1, keepdim=True), (values.var(1, correction=0) + eps).sqrt()
    return [walk.follow(term, inputs, name, weight=weight, divisor=divisor)]


def _concatenation(walk: Walk, term: Term, step: Step) -> list[Term]:
    parts, dim = step.given["tensors"], step.given["dim"] % term.tensor.dim()
    columns = walk.flat(term.tensor).shape[1]
    if dim != 1 or term.tensor.shape[1] != columns:
        raise NoLinearMapError("a concatenation of positions follows the features")
    weight = torch.eye(columns, dtype=torch.float64, device=term.tensor.device) if term.weight is None else term.weight
    terms, start = [], 0
    for part in parts:
        of_part = dataclasses.replace(term, weight=weight[:, start : start + part.shape[1]])
        start += part.shape[1]
        if walk.trace.depends(part):
            terms.append(walk.follow(of_part, part, "concatenation"))
        else:
            walk.add(of_part, walk.flat(part))
    return terms


def _pooling(walk: Walk, term: Term, step: Step) -> list[Term]:
    source = walk.the_only(step)
    dims = step.given.get("dim", [source.dim() - 2, source.dim() - 1])
    dims = list(range(source.dim())) if dims is None else [dims] if isinstance(dims, int) else list(dims)
    positions = sorted(dim % source.dim() for dim in dims)
    rest = [dim for dim in range(1, source.dim()) if dim not in positions]
    if positions == [0] and step.name in ("mean", "sum"):
        return _mean_of_heads(walk, term, source, step.name)
    if 0 in positions or source.shape[0] != len(walk.logits):
        raise NoLinearMapError("images are pooled together")
    if source.numel() == term.tensor.numel():
        walk.pools_one_position = True
        return [walk.follow(term, source)]
    if len(rest) != 1 or term.tensor.numel() != source.shape[0] * source.shape[rest[0]]:
        raise NoLinearMapError("the features are pooled to more than one position")
    threshold = float(step.given.get("threshold", 0.0))
    walk.found.append(Pooled(term, source, rest[0], POOLINGS[step.name], threshold))
    return []


def _mean_of_heads(walk: Walk, term: Term, source: Tensor, name: str) -> list[Term]:
    """Logits of several heads, stacked in a new first dimension, and their mean or sum."""
    origin = walk.trace.origin(source)
    if origin is None or origin.step.name != "stack" or origin.step.given["dim"] != 0:
        raise NoLinearMapError("images are pooled together")
    heads = origin.step.given["tensors"]
    factor = torch.full((walk.flat(term.tensor).shape[1],), 1 / len(heads) if name == "mean" else 1.0)
    shared = dataclasses.replace(term, weight=_scaled(term.weight, factor.to(source.device)))
    terms = []
    for head in heads:
        if walk.trace.depends(head):
            terms.append(walk.follow(shared, head, "sum of heads"))
        else:
            walk.add(shared, walk.flat(head))
    return terms


_VIEWS = {
    *("view", "_unsafe_view", "reshape", "_reshape_alias", "flatten", "unflatten", "unsqueeze", "squeeze", "expand"),
    *("permute", "transpose", "t", "movedim", "as_strided", "slice", "select", "index"),
    *("alias", "detach", "clone", "copy", "_to_copy", "contiguous", "lift_fresh", "dropout"),
}
_POSITIVE = {"sqrt", "rsqrt", "linalg_vector_norm", "norm", "exp", "sigmoid", "softplus", "abs"}
_KEEP_THE_SIGN = {"add", "clamp_min", "clamp", "reciprocal"}
_LONGEST_FACTOR = 12  # operators from a norm to the division by it
_RULES: dict[str, Callable[[Walk, Term, Step], Iterable[Term]]] = {
    **dict.fromkeys(_VIEWS, _view),
    **dict.fromkeys(POOLINGS, _pooling),
    **dict.fromkeys(("addmm", "mm"), _linear),
    **dict.fromkeys(("add", "sub", "rsub"), _sum),
    **dict.fromkeys(("mul", "div"), _scale),
    **dict.fromkeys(("native_batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm"), _batch_norm),
    **dict.fromkeys(("native_layer_norm", "_fused_rms_norm", "native_group_norm"), _layer_norm),
    "convolution": _convolution,
    "cat": _concatenation,
}
_PROBABILITIES = {"_softmax": "a softmax", "_log_softmax": "a log-softmax", "sigmoid": "a sigmoid"}
