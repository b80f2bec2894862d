"""Whether the Triton kernels run on a device. They are imported on the first use there: triton takes a second."""

from __future__ import annotations

import functools
import warnings

import torch

__all__ = ["kernels_run_on"]

_OLDEST = (8, 0)  # of what Triton compiles for


@functools.cache
def kernels_run_on(device: torch.device) -> bool:
    """Whether ``fastcam.kernels`` can be launched on the device; where not, says why, once."""
    try:
        import fastcam.kernels.activation
        import fastcam.kernels.components
        import fastcam.kernels.masks
        import fastcam.kernels.objects
        import fastcam.kernels.pooling  # noqa: F401
    except ImportError as error:
        return _no(device, f"triton cannot be imported ({error}): pip install triton")
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < _OLDEST:
        name, capability = torch.cuda.get_device_name(device), torch.cuda.get_device_capability(device)
        return _no(device, f"{name} is sm_{capability[0]}{capability[1]}, and they need sm_80")
    return True


def _no(device: torch.device, why: str) -> bool:
    message = f"fastcam's operators run as plain PyTorch on {device}, many times slower than their kernels: {why}"
    warnings.warn(message, RuntimeWarning, stacklevel=3)
    return False
