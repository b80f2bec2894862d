"""Calls of the operators with arguments that do not fit, one after the other: ``hostile_calls.py SEED COUNT BUILD``.

Each call starts from arguments that fit and changes one, two or three of them. Every line says what comes next, then
what came of it, so that after a crash the last line names the call.
"""

# ruff: noqa: T201

from __future__ import annotations

import math
import random
import sys
import warnings

import numpy as np
import torch

from fastcam import PAPER
from fastcam.ops import activation, components, index, localization, masks, objects, pooling, score_maps, sweep  # noqa: F401
from fastcam.ops.components import all_components
from fastcam.ops.core import core
from fastcam.ops.trees import box_trees

DTYPES = [
    torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int8, torch.uint8,
    torch.uint16, torch.uint64, torch.bool, torch.complex64, torch.float8_e4m3fn,
]  # fmt: skip
LENGTHS = [0, 1, 2, 3, 5, 63, 64, 65, 130]
# None is so large that it is allowed and takes long: what exceeds 2^24 is refused.
INTEGERS = [
    *LENGTHS, -1, -2, -64, -(2**31), -(2**63), 2**24 + 1, 2**31 - 1, 2**31, 2**32, 2**32 + 1, 2**40, 2**63 - 1
]  # fmt: skip
NUMBERS = [0, -0.0, 0.5, 1, 2, 90, 100, 100.1, -1e9, 1e300, math.nan, math.inf, -math.inf]
WORDS = [
    "pixels",
    "polygon",
    "bilinear",
    "bicubic",
    "minmax",
    "none",
    "",
    "Pixels",
    "zeros",
    "image",
    "x" * 99,
    "é\0",
]
PROTOCOL = [(name, getattr(PAPER, name)) for name in PAPER.__dataclass_fields__]


def edges(count):
    return torch.from_numpy(np.append(np.arange(0, 1, 1 / count), [1.0, 2, 3]))


def bases():
    """Arguments that fit, by operator, as (name, value)."""
    features, weight, maps = torch.randn(3, 5, 4, 6), torch.randn(7, 5), torch.randn(3, 4, 6)
    classes = torch.tensor([0, 6, 2])
    scores, truth = torch.rand(3, 9, 70), torch.rand(4, 4, dtype=torch.float64).cumsum(1) * 9
    plain = (torch.rand(3, 9, 70) > 0.5).to(torch.uint8)
    packed = masks.pack(plain)
    sums = [("features", features), ("weight", weight), ("index", classes)]
    size, wanted = [("height", 9), ("width", 11)], [("with_maps", True), ("with_masks", True)]
    ops = torch.ops.fastcam
    planes = torch.randn(3, 5, 4, 6)
    pooled, bits = ops.tap_forward(planes, 0.1), ops.tap_keeping(planes, 0.1)
    of_masks = [("area", "pixels"), ("connectivity", 8)]
    return {
        "cam": (ops.cam.default, [*sums, ("clamp_negative", True)]),
        "localize": (ops.localize.default, [*sums, *size, *PROTOCOL, *wanted]),
        "locate": (ops.locate.default, [("maps", maps), *size, *PROTOCOL, *wanted]),
        "localize_all": (ops.localize_all.default, [*sums, *size, *PROTOCOL, *wanted]),
        "locate_all": (ops.locate_all.default, [("maps", maps), *size, *PROTOCOL, *wanted]),
        "binarize": (ops.binarize.default, [("maps", maps), *size, *PROTOCOL, ("with_maps", True)]),
        "largest": (ops.largest.default, [("masks", plain), ("width", 70), *of_masks]),
        "largest, packed": (ops.largest.default, [("masks", packed), ("width", 70), *of_masks]),
        "all_components": (all_components, [("masks", packed), ("width", 70), *of_masks]),
        "box_trees": (box_trees, [("levels", (scores * 255).to(torch.uint8))]),
        "sweep_levels": (
            ops.sweep_levels.default,
            [
                ("levels", (scores * 255).to(torch.uint8)),
                ("boxes", truth),
                ("ends", torch.tensor([1, 2, 4])),
                ("with_largest", True),
                ("with_any", True),
            ],
        ),
        "score_levels": (ops.score_levels.default, [("maps", scores), *[("height", 9), ("width", 70)], ("raw", False)]),
        "score_histogram": (
            ops.score_histogram.default,
            [("maps", scores), ("masks", plain), ("edges", edges(10)), ("raw", False)],
        ),
        "tap": (ops.tap.default, [("x", planes), ("threshold", 0.1)]),
        "tap_forward": (ops.tap_forward.default, [("x", planes), ("threshold", 0.1)]),
        "tap_keeping": (ops.tap_keeping.default, [("x", planes), ("threshold", 0.1)]),
        "tap_backward": (
            ops.tap_backward.default,
            [("grad", torch.randn(3, 5)), ("x", planes), ("cutoff", pooled[1]), ("count", pooled[2])],
        ),
        "tap_spread": (
            ops.tap_spread.default,
            [
                ("grad", torch.randn(3, 5)),
                ("divisor", bits[1]),
                ("kept", bits[2]),
                ("height", 4),
                ("width", 6),
                ("channels_last", False),
            ],
        ),
        "in_range": (ops.in_range.default, [("index", classes), ("classes", 7)]),
    }


def changed_values(draw, tensor):
    """Other numbers in the same shape."""
    extreme = [0, 1, -1, 255, 2**31, -(2**63), 2**63 - 1] if not tensor.is_floating_point() else NUMBERS
    out = tensor.clone()
    for _ in range(draw.randint(1, 4)):
        if out.numel():
            value = draw.choice(extreme)
            place = out.view(-1)[draw.randrange(out.numel())]
            place.copy_(torch.tensor(value, dtype=torch.float64 if out.is_floating_point() else torch.int64))
    return out if draw.random() < 0.7 else out.flip(0)


def odd_kind(draw, tensor):
    """The same, in memory that is none, or not laid out as expected."""
    kind = draw.randrange(5)
    if kind == 0:
        return tensor.to("meta")
    if kind == 1:
        return tensor.to_sparse()
    if kind == 2:
        return torch._neg_view(tensor) if tensor.is_floating_point() else tensor
    if kind == 3:
        return torch.nested.as_nested_tensor([tensor, tensor])
    return tensor.expand(2**40, *tensor.shape[1:]) if tensor.ndim and tensor.shape[0] == 1 else tensor[:1]


def freed(arguments):
    """One tensor whose memory is gone: PyTorch's own operators would end the process."""
    for name in ("masks", "levels", "features", "maps", "x"):
        if core is not None and name in arguments:
            arguments[name] = arguments[name].clone()
            arguments[name].untyped_storage().resize_(0)
            return {name: arguments[name]}
    return {}


def changed_tensor(draw, tensor):
    kind = draw.choice([0, 1, 2, 3, 4, 5, 6, 7] if tensor.ndim > 1 else [0, 1, 2, 5, 6, 7])
    if kind == 0:
        return tensor.to(draw.choice(DTYPES))
    if kind == 1:
        shape = list(tensor.shape)
        shape[draw.randrange(len(shape))] = draw.choice(LENGTHS)
        return torch.ones(shape).to(tensor.dtype)
    if kind == 2:
        return torch.ones([draw.choice(LENGTHS[:6]) for _ in range(draw.randrange(6))]).to(tensor.dtype)
    if kind == 3:
        return tensor.repeat_interleave(2, -1)[..., ::2] if draw.random() < 0.5 else tensor.transpose(0, -1)
    if kind == 4:
        return torch.zeros(1).to(tensor.dtype).expand(*tensor.shape[:-1], draw.choice([2**31, 2**33, 2**40]))
    if kind == 5:
        return tensor[: draw.randrange(3)]
    if kind == 6:
        return odd_kind(draw, tensor)
    return changed_values(draw, tensor)


def changed(draw, value):
    if value is None or (isinstance(value, torch.Tensor) and draw.random() < 0.03):
        return None
    if isinstance(value, torch.Tensor):
        return changed_tensor(draw, value)
    if isinstance(value, bool):
        return not value
    return draw.choice(INTEGERS if isinstance(value, int) else WORDS if isinstance(value, str) else NUMBERS)


def main(seed, count, build):
    if core is not None and build != "-":
        core.choose_core(build)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1 + seed % 2)
    torch.manual_seed(seed)
    draw, operators = random.Random(seed), bases()
    for number in range(count):
        name = draw.choice(list(operators))
        call, base = operators[name]
        arguments = dict(base)
        if name == "cam" and draw.random() < 0.2:
            arguments |= {"weight": torch.randn(3, 5), "index": None}
        if name.startswith("score") and draw.random() < 0.5:
            arguments["raw"] = True
        several = draw.sample(list(arguments), min(draw.choice([1, 1, 2, 3]), len(arguments)))
        if draw.random() < 0.02 and name not in (
            "binarize",
            "in_range",
            "tap_keeping",
            "tap_spread",
        ):  # of those PyTorch reads the memory itself
            arguments |= freed(arguments)
            several = ["freed"]
        try:
            arguments |= {one: changed(draw, arguments[one]) for one in several if one in arguments}
        except (RuntimeError, NotImplementedError):  # PyTorch has no such tensor
            continue
        print(number, name, *several, flush=True)
        try:
            call(*arguments.values())
        except Exception as error:  # whatever it is, the process goes on
            text = str(error)
            by_name = any(one in text for one, _ in [*base, ("the first argument", None)])
            print(f"{'refused' if by_name else 'unnamed'} {type(error).__name__}: {text[:300]!r}", flush=True)
        else:
            print("done", flush=True)
    print("end", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
