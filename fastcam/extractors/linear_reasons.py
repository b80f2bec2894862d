"""Why there is no linear map, in words: what stands between the logits and the positions of the picture."""

from __future__ import annotations

from fastcam.extractors.linear_walk import ClassTokenError, NoLinearMapError, Term, Walk
from fastcam.extractors.trace import Step

__all__ = ["POOLINGS", "unknown_operator"]

POOLINGS = {
    "mean": "mean", "sum": "sum", "amax": "max", "max": "max", "_adaptive_avg_pool2d": "mean", "avg_pool2d": "mean",
    "adaptive_max_pool2d": "max", "max_pool2d_with_indices": "max", "tap": "TAP", "tap_forward": "TAP",
}  # fmt: skip
_HIDDEN = {
    *("relu", "gelu", "silu", "hardswish", "hardtanh", "tanh", "sigmoid", "leaky_relu", "elu", "prelu", "celu", "selu"),
    *("_prelu_kernel", "mish", "hardsigmoid", "softplus", "clamp", "clamp_min", "pow", "exp", "_log_softmax"),
}
_ATTENTION = {
    *("bmm", "baddbmm", "_softmax", "_scaled_dot_product_attention_math", "_scaled_dot_product_efficient_attention"),
    *("_scaled_dot_product_flash_attention", "_scaled_dot_product_flash_attention_for_cpu"),
}
_SPLITS = {"split", "split_with_sizes", "chunk", "unbind"}
_OTHERS = {
    **dict.fromkeys(_SPLITS, "the features are split after the pooling"),
    "native_dropout": "the model is in training mode (dropout)",
    "stack": "several outputs are stacked",
}
_FARTHEST = 100  # operators to look back from a hidden layer


def unknown_operator(walk: Walk, term: Term, step: Step) -> NoLinearMapError:
    """Return the error for an operator that is not linear."""
    if step.name in _ATTENTION:
        return NoLinearMapError("attention follows the features")
    if step.name in _HIDDEN:
        return NoLinearMapError(
            f"a hidden layer stands between {_before(walk, term, step)} and the logits ({step.name})"
        )
    if step.name in _SPLITS and term.tensor.dim() == 3 and 1 in term.tensor.shape[1:]:
        return ClassTokenError("the classifier sees one of the tokens (a class token)")
    return NoLinearMapError(_OTHERS.get(step.name, f"the operator {step.name} follows the features"))


def _before(walk: Walk, term: Term, step: Step) -> str:
    """What the hidden layer works on: the first pooling, choice of a token or attention that is met going back."""
    tensor, origin = term.tensor, term.origin
    for _ in range(_FARTHEST):
        if step.name in _ATTENTION:
            return "what attention pools"
        inputs = [one for one in step.tensors if walk.trace.depends(one)]
        if not inputs:
            break
        # Of a sum or a product the later input: the other passes the hidden layer by.
        source = inputs[-1]
        smaller = source.numel() > tensor.numel()
        if smaller and step.name in POOLINGS:
            return "the pooled features"
        if smaller and step.name in ("select", "slice", "index"):
            return "a class token"
        several = source.dim() > 2 and source.shape[1:].numel() > max(source.shape[1:])
        if several and tensor.dim() == 2 and source.numel() == tensor.numel():
            return "the flattened feature maps"
        origin = (origin.before if origin is not None else None) if source is tensor else walk.trace.origin(source)
        if origin is None:
            break
        tensor, step = source, origin.step
    return "the features"
