"""What metrics take: arrays of every layout, scalars and lists of them, one channel, masks of every integer type."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from fastcam.metrics import (
    EnergyInBox,
    GTKnownLoc,
    MaskIoU,
    MaxBoxAcc,
    MaxBoxAccV2,
    MeanMaskIoU,
    PointingGame,
    PxAP,
    TopKAccuracy,
    TopKLoc,
    sweep,
)
from fastcam.metrics.ground_truth import GroundTruth


def frozen(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def backwards(array):
    """The same values through negative strides in every axis."""
    turn = (slice(None, None, -1),) * array.ndim
    return array[turn].copy()[turn]


WAYS = {
    "array": lambda a: a,
    "negative strides": backwards,
    "other byte order": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "read-only": frozen,
    "read-only backwards": lambda a: frozen(backwards(a)),
    "Fortran": np.asfortranarray,
    "wide": lambda a: a.astype(np.longdouble) if a.dtype.kind == "f" else a.astype("i8") if a.dtype.kind == "i" else a,
    "masked, nothing hidden": lambda a: np.ma.masked_array(a, np.zeros(a.shape, bool)),
    "tensor": torch.from_numpy,
    "list of arrays": lambda a: [backwards(one) for one in a],
    "list of tensors": lambda a: [torch.tensor(one) for one in a],
    "tuple of scalars or lists": lambda a: tuple(a.tolist()) if a.ndim > 1 else tuple(a),
    "one more channel": None,
}

RANDOM = np.random.default_rng(0)
N, SIZE = 5, (12, 15)
MAPS = RANDOM.random((N, *SIZE))
LOW = RANDOM.integers(0, 5, (N, 3, 2))
BOXES = np.concatenate((LOW, LOW + RANDOM.integers(1, 8, (N, 3, 2))), axis=2).astype(np.float64)
FOUND = BOXES[:, 0] + 0.25
MASKS = RANDOM.choice([0, 1, 255], (N, *SIZE), p=[0.5, 0.4, 0.1]).astype(np.uint8)
CORRECT = RANDOM.random((N, 2)) < 0.6
SCORES = RANDOM.random((N, 7)).astype(np.float32)
PREDICTED = (-SCORES).argsort(axis=1).astype(np.int32)
LABELS = PREDICTED[:, 1].astype(np.int16)

CALLS = {
    "MaxBoxAcc": (MaxBoxAcc, {"maps": MAPS, "boxes": BOXES, "correct": CORRECT}),
    "MaxBoxAccV2": (MaxBoxAccV2, {"maps": MAPS, "boxes": BOXES, "correct": CORRECT}),
    "PxAP": (PxAP, {"maps": MAPS, "masks": MASKS}),
    "MaskIoU": (lambda: MaskIoU(0.5), {"maps": MAPS, "masks": MASKS}),
    "MeanMaskIoU": (lambda: MeanMaskIoU(0.5), {"maps": MAPS, "masks": MASKS}),
    "PointingGame": (
        lambda: PointingGame(2, average="classes", num_classes=7),
        {"maps": MAPS, "boxes": BOXES, "labels": LABELS},
    ),
    "PointingGame of masks": (lambda: PointingGame(1, truth="masks"), {"maps": MAPS, "masks": MASKS}),
    "EnergyInBox": (EnergyInBox, {"maps": MAPS, "boxes": BOXES}),
    "EnergyInBox of masks": (lambda: EnergyInBox(truth="masks"), {"maps": MAPS, "masks": MASKS}),
    "GTKnownLoc": (lambda: GTKnownLoc(0.9), {"found": FOUND, "boxes": BOXES}),
    "TopKLoc": (
        lambda: TopKLoc(2, iou_threshold=0.2),
        {"found": BOXES + 0.25, "boxes": BOXES, "predicted": PREDICTED, "labels": LABELS},
    ),
    "TopKLoc of the true class": (
        lambda: TopKLoc(2, box="true", iou_threshold=0.2),
        {"found": FOUND, "boxes": BOXES, "predicted": PREDICTED, "labels": LABELS},
    ),
    "TopKAccuracy": (lambda: TopKAccuracy(2, num_classes=7), {"preds": SCORES, "target": LABELS}),
}


def states(make, given):
    metric = make()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metric.update(**given)
    return {name: state.tolist() for name, state in metric.metric_state.items()}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CALLS)
def test_every_array_is_taken_wherever_an_array_is(name, way):
    make, given = CALLS[name]
    wanted = states(make, {key: torch.from_numpy(np.array(value)) for key, value in given.items()})
    for key, value in given.items():
        if WAYS[way] is not None:
            changed = WAYS[way](value)
        elif key in ("maps", "masks"):
            changed = value[:, None]
        else:
            continue
        assert states(make, {**given, key: changed}) == wanted, key


@pytest.mark.parametrize("dtype", ["bool", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", ">i4"])
def test_masks_are_of_any_integer_type(dtype):
    plain = (MASKS == 1).astype(np.uint8)
    wanted = states(PxAP, {"maps": MAPS, "masks": plain})
    for masks in (plain.astype(dtype), plain.astype(dtype)[:, None]):
        assert states(PxAP, {"maps": MAPS, "masks": masks}) == wanted
    if dtype not in ("bool", "i1"):
        whole = states(PxAP, {"maps": MAPS, "masks": MASKS})
        assert states(PxAP, {"maps": MAPS, "masks": MASKS.astype(dtype)}) == whole


@pytest.mark.parametrize("value", [-1, 2, 254, 256, 257, 511, 2**32, 2**32 + 1])
def test_a_mask_is_looked_at_before_it_is_narrowed(value):
    masks = MASKS.astype(np.int64)
    masks[1, 2, 3] = value
    with pytest.raises(ValueError, match=rf"masks must hold 0, 1 and 255, got \[.*{value}"):
        PxAP().update(MAPS, masks)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "g"])
def test_maps_count_as_what_they_are(dtype):
    """In half precision as well, each value in its own bin: by NumPy's histogram."""
    maps = MAPS.astype(dtype)
    metric = PxAP(50)
    metric.update(maps[:, None], MASKS[:, None])
    edges = [*np.arange(0, 1, 1 / 50), 1, 2, 3]
    wanted = [np.histogram(maps[value == MASKS].astype(np.float64), edges)[0].tolist() for value in (0, 1)]
    assert metric.counts.tolist() == wanted


def test_rows_of_nan_fill_up_boxes_of_one_array():
    several = [BOXES[0], BOXES[1, :1], BOXES[2, :2]]
    padded = np.full((3, 4, 4), np.nan)
    for row, boxes in zip(padded, several, strict=True):
        row[: len(boxes)] = boxes
    wanted = GroundTruth(several, 3)
    for given in (padded, torch.from_numpy(padded), backwards(padded)):
        found = GroundTruth(given, 3)
        assert found.boxes.tolist() == wanted.boxes.tolist()
        assert found.ends.tolist() == [3, 4, 6]
    padded[1] = np.nan
    with pytest.raises(ValueError, match=r"boxes\[1\] must be \(G, 4\) with at least one box, got shape \(0, 4\)"):
        GroundTruth(padded, 3)
    padded[1, 0] = [0, 0, np.nan, 4]
    with pytest.raises(ValueError, match=r"boxes\[1\] must hold boxes with 0 <= x0"):
        GroundTruth(padded, 3)
    with pytest.raises(ValueError, match=r"boxes\[0\] must hold boxes with 0 <= x0"):
        GroundTruth([[[np.nan] * 4, [0, 0, 1, 1]]], 1)


def test_labels_of_one_image_or_none():
    for labels in (3, np.int64(3), torch.tensor(3), np.array(3), [3], [np.uint8(3)]):
        metric = TopKLoc(box="true")
        if isinstance(labels, int):
            with pytest.raises(TypeError, match=r"labels must be \(1,\) whole numbers, got int"):
                metric.update(FOUND[:1], BOXES[:1], predicted=[[3]], labels=labels)
            continue
        metric.update(FOUND[:1], BOXES[:1], predicted=[[3]], labels=labels)
        assert int(metric.images) == 1
    metric.update(FOUND[:0], [], predicted=PREDICTED[:0], labels=[])
    assert int(metric.images) == 1


HIDING = np.ma.masked_array(MAPS, MAPS > 0.9)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("maps", HIDING, r"maps must hold a value everywhere, .*: call .filled\(value\)"),
        ("maps", list(HIDING), r"maps\[0\] must hold a value everywhere"),
        ("maps", torch.from_numpy(MAPS).to_sparse(), r"maps must be a dense tensor, got a sparse one"),
        ("maps", torch.from_numpy(MAPS).to("meta"), "maps must hold values"),
        ("maps", torch.from_numpy(MAPS).float().to_mkldnn(), "maps must be a dense tensor, got one in mkldnn's"),
        ("maps", torch.from_numpy(MAPS).to(torch.complex128), "maps must be of a floating-point type"),
        ("maps", torch.from_numpy(MAPS).to(torch.float8_e5m2), "maps must be of a floating-point type"),
        ("maps", {"maps": MAPS}, "maps must be score maps .*, got dict"),
        ("maps", None, "maps must be score maps .*, got NoneType"),
        ("boxes", np.ma.masked_array(BOXES, BOXES > 9), "boxes must hold a value everywhere"),
        ("boxes", list(np.ma.masked_array(BOXES, BOXES > 9)), r"boxes\[\d\] must hold a value everywhere"),
        ("boxes", torch.from_numpy(BOXES).to_sparse(), "boxes must be a dense tensor"),
        ("boxes", torch.from_numpy(BOXES).to(torch.complex128), r"boxes\[0\] must hold pixels, got torch.complex128"),
        ("boxes", ["a"] * N, r"boxes\[0\] must be \(G, 4\), got str"),
        ("boxes", dict.fromkeys(range(N)), r"boxes\[0\] must be \(G, 4\), got int"),
        ("correct", torch.from_numpy(CORRECT).to_sparse(), "correct must be a dense tensor"),
        ("correct", np.ma.masked_array(CORRECT, CORRECT), "correct must hold a value everywhere"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*sparse:UserWarning", "ignore:.*beta:UserWarning")
def test_what_is_no_array_of_values_is_refused(key, value, message):
    metric = MaxBoxAcc()
    with pytest.raises(TypeError, match=message):
        metric.update(**{**CALLS["MaxBoxAcc"][1], key: value})
    assert int(metric.images) == 0


def test_numbers_of_numpy_make_metrics():
    made = (
        MaxBoxAcc(np.array([0.3, 0.5]), np.bool_(True), np.int32(20)),
        TopKLoc(np.int64(2), iou_threshold=np.float64(0.5)),
    )
    assert made[0].settings == {"iou_thresholds": [0.3, 0.5], "multi_contour": True, "num_thresholds": 20}
    assert made[1].settings["k"] == 2
    assert TopKAccuracy(np.int64(2), num_classes=np.int16(5)).settings["num_classes"] == 5
    with pytest.raises(TypeError, match=r"iou_thresholds must be distinct numbers in \(0, 1\], at least one, got 0.5"):
        MaxBoxAcc(0.5)
    for wrong in (True, np.bool_(True), 2.0, "2", 0):
        with pytest.raises(ValueError, match="k must be a whole number, at least 1, got"):
            TopKLoc(wrong)


def test_a_sweep_takes_one_channel():
    one, two = sweep(MAPS[:, None], BOXES), sweep(MAPS, BOXES)
    assert torch.equal(one.iou, two.iou)
    with pytest.raises(ValueError, match=r"maps must be \(N, h, w\) or \(N, 1, h, w\) .* \(5, 2, 12, 15\)"):
        sweep(np.stack((MAPS, MAPS), 1), BOXES)
