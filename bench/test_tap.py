"""Thresholded average pooling, beside PyTorch, eager and compiled; average pooling is the floor."""

from __future__ import annotations

import warnings
from itertools import cycle

import pytest
import torch
import torch.nn.functional as F
from maps import features
from row import Contender, Row

import fastcam

THRESHOLD = 0.1
SIZES = [(2048, 7), (1024, 14), (512, 14), (512, 28)]
FLOAT = torch.float32
PLAIN = torch.contiguous_format
GRID = [
    *[("smooth", 64, shape, FLOAT, PLAIN) for shape in SIZES],
    *[("smooth", n, (1024, 14), FLOAT, PLAIN) for n in (1, 16, 256)],
    ("noisy", 64, (1024, 14), FLOAT, PLAIN),
    ("smooth", 64, (1024, 14), FLOAT, torch.channels_last),
    *[("smooth", 64, (1024, 14), dtype, PLAIN) for dtype in (torch.bfloat16, torch.float16)],
    ("smooth", 1, (1, 1), FLOAT, PLAIN),  # what a call costs
]
EVERYTHING = [
    (data, n, shape, FLOAT, layout)
    for data in ("smooth", "noisy")
    for n in (1, 16, 64, 256)
    for shape in SIZES
    for layout in (PLAIN, torch.channels_last)
]
CASES = GRID + [pytest.param(*case, marks=pytest.mark.long) for case in EVERYTHING if case not in GRID]


def formula(x):
    """Eq. 4 in PyTorch's words; of the ways to write it, the fastest that was found, eager as well as compiled."""
    values = x.detach()
    kept = (values > THRESHOLD * values.amax((2, 3), keepdim=True)).to(x.dtype)
    return (x * kept).sum((2, 3)) / kept.sum((2, 3)).clamp(min=1)


def average(x):
    return F.adaptive_avg_pool2d(x, 1).flatten(1)


def ours(x):
    return fastcam.tap(x, THRESHOLD)


def with_backward(pool, grad):
    return lambda x: torch.autograd.grad(pool(x), x, grad)[0]


def compiled(pool, sample):
    """The formula compiled for this very input, or None where there is no compiler."""
    torch._dynamo.reset()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fused = torch.compile(formula, dynamic=False)
            pool(fused)(sample)
    except Exception as error:
        print(f"torch.compile failed: {error}")
        return None
    return pool(fused)


def assert_close(function, x, wanted):
    """Of float32 the same to rounding; half precision decides some values at the threshold otherwise."""
    if x.dtype == FLOAT:
        torch.testing.assert_close(function(x), wanted, rtol=1e-4, atol=1e-5)
    else:
        off = (function(x).float() - wanted.float()).abs() > 0.02 * wanted.float().abs() + 1e-3
        assert off.float().mean() < 0.01


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "forward+backward"])
@pytest.mark.parametrize(("data", "images", "shape", "dtype", "layout"), CASES)
def test_tap(data, images, shape, dtype, layout, backward, measured):
    channels, side = shape
    made = features(data, images, channels, side, dtype)
    batches = [x.contiguous(memory_format=layout).requires_grad_(backward) for x in made]
    grad = torch.rand(images, channels, generator=torch.Generator().manual_seed(3)).to(dtype)

    def whole(pool):
        return with_backward(pool, grad) if backward else pool

    contenders = {"fastcam": whole(ours), "PyTorch, eager": whole(formula)}
    fused = compiled(whole, batches[0])
    if fused is not None:
        contenders["PyTorch, compiled"] = fused
    wanted = contenders["fastcam"](batches[0])
    for function in contenders.values():
        assert_close(function, batches[0], wanted)
    turn = cycle(batches)
    roles = {"fastcam": "fastcam", "adaptive_avg_pool2d": "floor"}
    entrants = [
        Contender(name, roles.get(name, "peer"), lambda function=function: function(next(turn)))
        for name, function in (contenders | {"adaptive_avg_pool2d": whole(average)}).items()
    ]
    what = "TAP forward + backward" if backward else "TAP forward"
    dtype_name = str(dtype).removeprefix("torch.")
    kind = dtype_name if layout == PLAIN else f"{dtype_name}, channels_last"
    note = "" if fused is not None else "torch.compile failed"
    measured(Row("tap", what, data, f"{side}x{side}x{channels}", images, entrants, dtype=kind, note=note))
