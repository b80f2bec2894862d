"""Thresholded average pooling and the poolings it is compared with, each as a function and as a module."""

from __future__ import annotations

import math
from numbers import Real

import torch
from torch import Tensor, nn
from torch._jit_internal import is_scripting
from torch.overrides import handle_torch_function, has_torch_function_unary

from fastcam.ops import pooling as ops
from fastcam.ops.exporting import exports_to_onnx
from fastcam.ops.log_mean_exp import log_mean_exp
from fastcam.ops.pooling_derivatives import decompositions
from fastcam.reference.pooling import tap_forward

__all__ = ["GAP", "GMP", "LSE", "TAP", "decompositions", "gap", "gmp", "lse", "tap"]

_DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


def tap(x: Tensor, threshold: float, *, keepdim: bool = False) -> Tensor:
    r"""Thresholded average pooling (Eq. 4): the mean of the values above a fraction of their channel's maximum.

    .. math:: p_c = \frac{\sum_{ij} 1[F_{c,ij} > \tau_c] F_{c,ij}}{\sum_{ij} 1[F_{c,ij} > \tau_c]},
              \quad \tau_c = \theta \max_{ij} F_{c,ij}

    A channel that keeps nothing (no positive value) pools to 0. ``threshold=0`` is the mean over the positive values,
    not global average pooling. Half precision is computed in float32. The gradient is ``g / count`` where a value is
    kept and 0 elsewhere: nothing flows through the maximum, the threshold or the count.

    A NaN makes its channel NaN, value and gradient; +inf makes it +inf. (The paper's released code hides both as 0.)

    Args:
        x: (N, C, H, W), float16, bfloat16, float32 or float64; contiguous or channels_last.
        threshold: theta, in [0, 1). The paper uses 0.1 (VGG16, MobileNetV1) and 0.0 (ResNet50-SE, GoogleNet).
        keepdim: return (N, C, 1, 1).

    Returns:
        (N, C), of the input's dtype.

    Raises:
        TypeError: ``x`` is not a floating-point tensor, or ``threshold`` not a number.
        ValueError: ``x`` is not (N, C, H, W) with at least one position, or ``threshold`` lies outside [0, 1).

    Example:
        >>> import torch, fastcam
        >>> x = torch.tensor([[[[-1.0, 2.0], [0.5, 0.1]]]])
        >>> fastcam.tap(x, 0.1)
        tensor([[1.2500]])
    """
    if type(x) is not Tensor and has_torch_function_unary(x):  # as _is_handled, at less than a call
        return handle_torch_function(tap, (x,), x, threshold, keepdim=keepdim)
    _check_features(x)
    if type(threshold) is not float or not 0 <= threshold < 1:
        threshold = _checked_threshold(threshold)
    pooled: Tensor = tap_forward(x, threshold)[0] if exports_to_onnx(x) else ops.tap(x, threshold)
    return pooled[:, :, None, None] if keepdim else pooled


def gap(x: Tensor, *, keepdim: bool = False) -> Tensor:
    r"""Global average pooling (Eq. 1): the mean over all positions, as PyTorch computes it.

    .. math:: p_c = \frac{1}{HW} \sum_{ij} F_{c,ij}

    Args:
        x: (N, C, H, W), any of the dtypes of :func:`tap`.
        keepdim: return (N, C, 1, 1).

    Returns:
        (N, C), of the input's dtype.

    Raises:
        TypeError: ``x`` is not a floating-point tensor.
        ValueError: ``x`` is not (N, C, H, W) with at least one position.

    Example:
        >>> import torch
        >>> gap(torch.tensor([[[[-1.0, 2.0], [0.5, 0.1]]]]))
        tensor([[0.4000]])
    """
    if _is_handled(x):
        return handle_torch_function(gap, (x,), x, keepdim=keepdim)
    _check_features(x)
    return x.mean((2, 3), keepdim=keepdim)


def gmp(x: Tensor, *, keepdim: bool = False) -> Tensor:
    r"""Global max pooling (Oquab et al., CVPR 2015): the largest value.

    .. math:: p_c = \max_{ij} F_{c,ij}

    The gradient goes to the maximum; where several positions tie, in equal shares.

    Args:
        x: (N, C, H, W), any of the dtypes of :func:`tap`.
        keepdim: return (N, C, 1, 1).

    Returns:
        (N, C), of the input's dtype.

    Raises:
        TypeError: ``x`` is not a floating-point tensor.
        ValueError: ``x`` is not (N, C, H, W) with at least one position.

    Example:
        >>> import torch
        >>> gmp(torch.tensor([[[[-1.0, 2.0], [0.5, 0.1]]]]))
        tensor([[2.]])
    """
    if _is_handled(x):
        return handle_torch_function(gmp, (x,), x, keepdim=keepdim)
    _check_features(x)
    return x.amax((2, 3), keepdim=keepdim)


def lse(x: Tensor, r: float = 5.0, *, keepdim: bool = False) -> Tensor:
    r"""Log-sum-exp pooling (Pinheiro and Collobert, CVPR 2015): a smooth maximum.

    .. math:: p_c = \frac{1}{r} \log \Bigl( \frac{1}{HW} \sum_{ij} \exp(r F_{c,ij}) \Bigr)

    It lies between the mean (r towards 0) and the maximum (r towards infinity), and never overflows: the maximum is
    taken out of the exponential. Half precision is computed in float32.

    Args:
        x: (N, C, H, W), any of the dtypes of :func:`tap`.
        r: the sharpness, positive and finite.
        keepdim: return (N, C, 1, 1).

    Returns:
        (N, C), of the input's dtype.

    Raises:
        TypeError: ``x`` is not a floating-point tensor, or ``r`` not a number.
        ValueError: ``x`` is not (N, C, H, W) with at least one position, or ``r`` is not positive and finite.

    Example:
        >>> import torch
        >>> lse(torch.tensor([[[[-1.0, 2.0], [0.5, 0.1]]]]), r=5.0)
        tensor([[1.7229]])
    """
    if _is_handled(x):
        return handle_torch_function(lse, (x,), x, r, keepdim=keepdim)
    _check_features(x)
    pooled = log_mean_exp(x if x.dtype == torch.float64 else x.float(), _checked_sharpness(r)).to(x.dtype)
    return pooled if keepdim else pooled[:, :, 0, 0]


class _Pooling(nn.Module):
    def __init__(self, keepdim: bool = False) -> None:
        super().__init__()
        self.keepdim = keepdim

    def extra_repr(self) -> str:
        """Return the arguments, for the module's repr."""
        return f"keepdim={self.keepdim}"


class TAP(_Pooling):
    """Thresholded average pooling (Eq. 4) in the place of ``nn.AdaptiveAvgPool2d(1)``; see :func:`tap`.

    The default, (N, C), fits a network that flattens next; ``keepdim=True`` gives (N, C, 1, 1) for the others. A
    network that was trained with global average pooling must be trained again: its classifier expects other values.

    Args:
        threshold: theta, in [0, 1).
        keepdim: return (N, C, 1, 1).

    Raises:
        TypeError: ``threshold`` is not a number.
        ValueError: ``threshold`` lies outside [0, 1).

    Shape:
        (N, C, H, W) to (N, C), or (N, C, 1, 1) with ``keepdim``.

    Example:
        >>> import torch, fastcam
        >>> fastcam.TAP(threshold=0.1, keepdim=True)
        TAP(threshold=0.1, keepdim=True)
        >>> fastcam.TAP(threshold=0.1)(torch.rand(2, 8, 14, 14)).shape
        torch.Size([2, 8])
    """

    def __init__(self, threshold: float, keepdim: bool = False) -> None:
        super().__init__(keepdim)
        self.threshold = _checked_threshold(threshold)

    def forward(self, x: Tensor) -> Tensor:
        """Pool (N, C, H, W) to (N, C), or (N, C, 1, 1) with ``keepdim``."""
        if is_scripting():  # TorchScript has no keyword-only arguments
            pooled: Tensor = torch.ops.fastcam.tap(x, self.threshold)
            return pooled[:, :, None, None] if self.keepdim else pooled
        return tap(x, self.threshold, keepdim=self.keepdim)

    def extra_repr(self) -> str:
        """Return the arguments, for the module's repr."""
        return f"threshold={self.threshold}, {super().extra_repr()}"


class GAP(_Pooling):
    """Global average pooling (Eq. 1), (N, C, H, W) to (N, C); see :func:`gap`.

    Args:
        keepdim: return (N, C, 1, 1).

    Example:
        >>> import torch
        >>> GAP()(torch.ones(2, 8, 14, 14)).shape
        torch.Size([2, 8])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Pool (N, C, H, W) to (N, C), or (N, C, 1, 1) with ``keepdim``."""
        return gap(x, keepdim=self.keepdim)


class GMP(_Pooling):
    """Global max pooling, (N, C, H, W) to (N, C); see :func:`gmp`.

    Args:
        keepdim: return (N, C, 1, 1).

    Example:
        >>> import torch
        >>> GMP()(torch.ones(2, 8, 14, 14)).shape
        torch.Size([2, 8])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Pool (N, C, H, W) to (N, C), or (N, C, 1, 1) with ``keepdim``."""
        return gmp(x, keepdim=self.keepdim)


class LSE(_Pooling):
    """Log-sum-exp pooling, (N, C, H, W) to (N, C); see :func:`lse`.

    Args:
        r: the sharpness, positive and finite.
        keepdim: return (N, C, 1, 1).

    Raises:
        TypeError: ``r`` is not a number.
        ValueError: ``r`` is not positive and finite.

    Example:
        >>> import torch
        >>> LSE(r=8)(torch.ones(2, 8, 14, 14)).shape
        torch.Size([2, 8])
    """

    def __init__(self, r: float = 5.0, keepdim: bool = False) -> None:
        super().__init__(keepdim)
        self.r = _checked_sharpness(r)

    def forward(self, x: Tensor) -> Tensor:
        """Pool (N, C, H, W) to (N, C), or (N, C, 1, 1) with ``keepdim``."""
        return lse(x, self.r, keepdim=self.keepdim)

    def extra_repr(self) -> str:
        """Return the arguments, for the module's repr."""
        return f"r={self.r}, {super().extra_repr()}"


def _is_handled(x: object) -> bool:
    """Whether a class of its own says what becomes of a call: the proxies of ``torch.fx``, subclasses of tensors."""
    return type(x) is not Tensor and has_torch_function_unary(x)


def _check_features(x: object) -> None:
    if not isinstance(x, Tensor) or x.dtype not in _DTYPES:
        kind = f"a tensor of {x.dtype}" if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"x must be a tensor of float16, bfloat16, float32 or float64, got {kind}")
    if x.layout is not torch.strided or x.is_nested:
        kind = "a nested tensor" if x.is_nested else f"a tensor of the layout {x.layout}; x.to_dense() gives one"
        raise TypeError(f"x must be a dense tensor (N, C, H, W), got {kind}")
    shape: tuple[object, ...] = x.shape
    # A tracer of TorchScript has tensors for sizes, and would take a comparison for a part of the network.
    if len(shape) != 4 or (type(shape[2]) is not Tensor and (shape[2] == 0 or shape[3] == 0)):
        raise ValueError(f"x must be (N, C, H, W) with H and W at least 1, got shape {tuple(shape)}")


def _checked_sharpness(r: object) -> float:
    if isinstance(r, bool) or not isinstance(r, Real):
        raise TypeError(f"r must be a positive number, got {r!r}")
    value = float(r)
    if not 0 < value < math.inf:
        raise ValueError(f"r must be positive and finite, got {r!r}")
    return value


def _checked_threshold(threshold: object) -> float:
    if isinstance(threshold, bool) or not isinstance(threshold, Real):
        raise TypeError(f"threshold must be a number in [0, 1), got {threshold!r}")
    value = float(threshold)
    if math.isnan(value) or not 0 <= value < 1:
        raise ValueError(f"threshold must lie in [0, 1), got {threshold!r}")
    return value
