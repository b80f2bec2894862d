"""The kernels compiled for GPUs that are not here, and what their machine code must look like.

By the Triton that is installed, and by that of PyTorch 2.11: the two lay out tiles by different rules.
"""

from __future__ import annotations

import pytest
from compiled_launches import assert_alike, assert_lean, compiled

SOME = "14x14 .*bfloat16|TAP .*7x7 NCHW bfloat16|(PAPER|AUTHORS) 224x224 alone|PAPER 14x14|one map"
MASKS = ["widen", "find_threshold", "_mask"]
OF_ONE_MAP = ["widen", "_begin", "_pass", "_end", "_conclude", "_mask"]

# Instructions and registers on sm_90, by both versions: what they take now, and a little.
BUDGETS = {
    "TAP forward, 7x7 NCHW bfloat16, _forward": (410, 40),
    "TAP forward, saving, 7x7 NCHW bfloat16, _forward": (330, 48),
    "TAP backward, 7x7 NCHW bfloat16, _backward": (340, 48),
    "TAP forward, 14x14 NCHW bfloat16, _forward": (550, 48),
    "TAP forward, saving, 14x14 NCHW bfloat16, _forward": (640, 56),
    "TAP backward, 14x14 NCHW bfloat16, _backward": (330, 40),
    "TAP forward, 14x14 NHWC bfloat16, _forward": (1050, 128),
    "TAP forward, saving, 14x14 NHWC bfloat16, _forward": (1210, 128),
    "TAP backward, 14x14 NHWC bfloat16, _backward": (550, 40),
    "cam, 14x14 NCHW bfloat16, _partial_sums": (580, 64),
    "cam, 14x14 NCHW bfloat16, _add_up": (240, 40),
    "cam, 14x14 NHWC bfloat16, _partial_sums": (630, 64),
    "cam, 14x14 NHWC bfloat16, _add_up": (240, 40),
    "masks, PAPER 224x224 alone, widen": (110, 40),
    "masks, PAPER 224x224 alone, find_threshold": (2440, 128),
    "masks, PAPER 224x224 alone, _mask": (310, 40),
    "masks, PAPER 14x14 alone, widen": (70, 24),
    "masks, PAPER 14x14 alone, find_threshold": (1100, 104),
    "masks, PAPER 14x14 alone, _mask": (260, 40),
    "masks, AUTHORS 224x224 alone, widen": (190, 40),
    "masks, AUTHORS 224x224 alone, find_threshold": (2150, 128),
    "masks, AUTHORS 224x224 alone, _mask": (430, 72),
    "masks, AUTHORS 4096x4096 alone, one map, widen": (190, 40),
    "masks, AUTHORS 4096x4096 alone, one map, _begin": (650, 128),
    "masks, AUTHORS 4096x4096 alone, one map, _pass": (1000, 128),
    "masks, AUTHORS 4096x4096 alone, one map, _end": (870, 128),
    "masks, AUTHORS 4096x4096 alone, one map, _conclude": (790, 48),
    "masks, AUTHORS 4096x4096 alone, one map, _mask": (430, 72),
}


@pytest.fixture(
    scope="module",
    params=[
        (90, False),
        (90, True),
        *(
            pytest.param((architecture, other), marks=pytest.mark.long)
            for architecture in (80, 100)
            for other in (False, True)
        ),
    ],
    ids=lambda param: f"sm_{param[0]}-{'3.6.0' if param[1] else 'installed'}",
)
def launches(request):
    """What is launched, for an architecture and by a compiler."""
    found = compiled(request.param[0], SOME, request.param[1])
    return {kind: [one for one in found if one["case"].startswith(kind)] for kind in ("TAP", "cam", "masks")}


def assert_in_budget(launch):
    if f"{launch['case']}, {launch['kernel']}" in BUDGETS:
        instructions, registers = BUDGETS[f"{launch['case']}, {launch['kernel']}"]
        assert launch["instructions"] <= instructions, launch
        assert launch["registers"] <= registers, launch


@pytest.mark.parametrize("other", [False, True], ids=["installed", "3.6.0"])
def test_instructions_and_registers(other):
    found = compiled(90, SOME, other)
    assert {f"{one['case']}, {one['kernel']}" for one in found} >= BUDGETS.keys()
    for launch in found:
        assert_in_budget(launch)


def test_both_compilers_make_the_same_of_a_kernel():
    assert_alike(compiled(90, SOME, False), compiled(90, SOME, True))


def test_pooling(launches):
    assert len(launches["TAP"]) == 9
    for launch in launches["TAP"]:
        assert_lean(launch)
        if "7x7" in launch["case"]:  # whose planes begin at any multiple of 2 bytes
            continue
        moved = launch["stores"] if "backward" in launch["case"] else launch["loads"]
        assert moved.get("64", 0) >= 14, launch  # bfloat16 planes of 196 values begin at multiples of 8 bytes
        # Instructions a value: more than about 13 take longer than the memory does.
        lanes = 32 * launch["warps"] * launch["programs"]
        assert launch["instructions"] * lanes <= 13 * 256 * 1024 * 196, launch


def test_the_weighted_sum(launches):
    assert [launch["kernel"] for launch in launches["cam"]] == ["_partial_sums", "_add_up"] * 2
    for launch in launches["cam"]:
        assert_lean(launch)
        wide = "64" if "NCHW" in launch["case"] and launch["kernel"] == "_partial_sums" else "128"
        assert launch["loads"].get(wide, 0) >= 4, launch


def test_masks(launches):
    assert [launch["kernel"] for launch in launches["masks"]] == MASKS * 3 + OF_ONE_MAP
    for launch in launches["masks"]:
        assert_lean(launch)
        # Maps equal the reference's bit for bit, which one rounding for two would break; other multiply-adds are those
        # that a division is made of.
        division = launch["kernel"] in ("find_threshold", "_conclude") and "AUTHORS" in launch["case"]
        assert launch["contractions"] == 0 or division, launch
        assert launch["kernel"] not in ("widen", "_mask") or "128" in launch["loads"] or "14x14" in launch["case"]


@pytest.mark.long
def test_everything_without_a_stack():
    found = compiled(90, "", False)
    for launch in (*found, *compiled(90, "", True)):
        assert_lean(launch, 255)
    assert_alike(found, compiled(90, "", True))
