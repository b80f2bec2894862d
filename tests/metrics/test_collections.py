"""Metrics that count differently stay apart in collections, clones, pickles and checkpoints."""

from __future__ import annotations

import copy
import io
import itertools
import pickle

import pytest
import torch
from torchmetrics import MetricCollection

from fastcam.metrics import (
    EnergyInBox,
    GTKnownLoc,
    MaskIoU,
    MaxBoxAcc,
    MaxBoxAccScore,
    MaxBoxAccV2,
    MaxBoxAccV2Score,
    MeanMaskIoU,
    PointingGame,
    PxAP,
    PxAPScore,
    TopKAccuracy,
    TopKLoc,
)


class Strict(GTKnownLoc):
    """A user's own: the same states and settings, another way to count."""

    def update(self, found, boxes):
        super().update(found, boxes)
        self.right -= self.right


class Halved(MaxBoxAcc):
    def update(self, maps, boxes=None, *, size=None, correct=None):
        super().update(maps[:0], boxes[:0], size=size, correct=correct)


SWEPT = {
    "V1": MaxBoxAcc,
    "V1 at 0.3": lambda: MaxBoxAcc((0.3,)),
    "V1 at 0.9": lambda: MaxBoxAcc((0.9,)),
    "V1 at two": lambda: MaxBoxAcc((0.3, 0.5)),
    "V1 at two, turned": lambda: MaxBoxAcc((0.5, 0.3)),
    "V1 at almost 0.5": lambda: MaxBoxAcc((0.5000001,)),
    "V1, 50 thresholds": lambda: MaxBoxAcc(num_thresholds=50),
    "V1, 100 thresholds": lambda: MaxBoxAcc(num_thresholds=100),
    "any contour": lambda: MaxBoxAcc(multi_contour=True),
    "V1 of three": lambda: MaxBoxAcc((0.3, 0.5, 0.7)),
    "V2": MaxBoxAccV2,
    "V1 by size": lambda: MaxBoxAcc(size_limits=(0.1, 0.4)),
    "V1 by other sizes": lambda: MaxBoxAcc(size_limits=(0.02, 0.03)),
    "score": MaxBoxAccScore,
    "score at 0.9": lambda: MaxBoxAccScore(iou_thresholds=(0.9,)),
    "score at 0.7 of V2": lambda: MaxBoxAccV2Score("max_box_acc_70"),
    "score at 0.3 of V2": lambda: MaxBoxAccV2Score("max_box_acc_30"),
    "a user's": Halved,
}
PIXELS = {
    "PxAP": PxAP,
    "PxAP, 50 thresholds": lambda: PxAP(50),
    "PxAP, 10 thresholds": lambda: PxAP(10),
    "score": PxAPScore,
    "score, 10 thresholds": lambda: PxAPScore(num_thresholds=10),
    "peak": lambda: PxAPScore("peak_iou"),
    "IoU at 0.3": lambda: MaskIoU(0.3),
    "IoU at 0.6": lambda: MaskIoU(0.6),
    "mean IoU": MeanMaskIoU,
    "mean IoU at 0.3": lambda: MeanMaskIoU(0.3),
}
FOUND = {
    "known": GTKnownLoc,
    "known at 0.9": lambda: GTKnownLoc(0.9),
    "known at 0.62": lambda: GTKnownLoc(0.62),
    "known at 0.62, inclusive": lambda: GTKnownLoc(0.62, inclusive=True),
    "known, inclusive": lambda: GTKnownLoc(inclusive=True),
    "a user's": Strict,
    **{
        f"top {k} at {iou}{', inclusive' if inclusive else ''}": (
            lambda k=k, iou=iou, inclusive=inclusive: TopKLoc(k, box="true", iou_threshold=iou, inclusive=inclusive)
        )
        for k, iou, inclusive in itertools.product((1, 2), (0.5, 0.62, 0.9), (False, True))
    },
}
POINTS = {
    f"pointing at {tolerance}, {average}": (
        lambda tolerance=tolerance, average=average: PointingGame(tolerance, average=average, num_classes=4)
    )
    for tolerance, average in itertools.product((0, 3, 9), ("images", "classes"))
} | {
    "pointing, without classes": lambda: PointingGame(3),
    "pointing, inclusive": lambda: PointingGame(0, inclusive=True),
    "energy": EnergyInBox,
    "energy, inclusive": lambda: EnergyInBox(inclusive=True),
}
CLASSES = {
    f"top {k} of {classes}, ignoring {ignored}": (
        lambda k=k, classes=classes, ignored=ignored: TopKAccuracy(k, num_classes=classes, ignore_index=ignored)
    )
    for k, classes, ignored in itertools.product((1, 2, 3), (3,), (None, 0, 1))
}


def maps_of(*rectangles):
    maps = torch.zeros(1, 32, 32)
    for level, (x0, y0, x1, y1) in zip((1.0, 0.55, 0.27), rectangles, strict=False):
        maps[0, y0:y1, x0:x1] = level
    return maps


def box(*corners):
    return [torch.tensor([corners])]


def found(corners, label):
    return {
        "found": torch.tensor([corners], dtype=torch.float64),
        "boxes": box(0, 0, 10, 10),
        "predicted": torch.tensor([[3, 4]]),
        "labels": torch.tensor([label]),
    }


def scored(label):
    return {"preds": torch.tensor([[0.6, 0.3, 0.1]]), "target": torch.tensor([label])}


def masked(*rectangle):
    mask = maps_of(rectangle).bool()
    return {"maps": maps_of((2, 2, 20, 20), (1, 1, 21, 21), (0, 0, 25, 25)) * 0.97, "masks": mask}


def pointed(x, y, label):
    maps = maps_of((0, 0, 30, 30), (10, 10, 20, 20)) * 0.5
    maps[0, y, x] = 1
    return {"maps": maps, "boxes": box(10, 10, 20, 20), "labels": torch.tensor([label])}


# In each family the first batch is one that all metrics count alike.
BATCHES = {
    "swept": [
        {"maps": maps_of((2, 2, 20, 20)), "boxes": box(2, 2, 20, 20)},
        {"maps": maps_of((2, 2, 20, 20), (24, 24, 30, 30)), "boxes": box(24, 24, 30, 30)},
        {"maps": maps_of((2, 2, 20, 20), (1, 1, 25, 25)), "boxes": box(2, 2, 20, 29)},
    ],
    "pixels": [masked(2, 2, 20, 20), masked(0, 0, 25, 25), masked(5, 5, 30, 30)],
    "found": [found((0, 0, 10, 10), 3), found((0, 0, 10, 6), 3), found((0, 0, 10, 10), 4), found((0, 0, 8, 8), 5)],
    "points": [pointed(12, 12, 1), pointed(20, 15, 1), pointed(15, 22, 3), pointed(2, 15, 0)],
    "classes": [scored(0), scored(1), scored(2)],
}
FAMILIES = {"swept": SWEPT, "pixels": PIXELS, "found": FOUND, "points": POINTS, "classes": CLASSES}


def value(metric):
    found = metric.compute()
    found = found if isinstance(found, dict) else {"": found}
    return {name: one.item() for name, one in found.items()}


def alone(make, batches):
    metric = make()
    for batch in batches:
        metric.update(**metric._filter_kwargs(**batch))
    return metric


@pytest.mark.filterwarnings("ignore:.*has counted no object pixel")
@pytest.mark.parametrize("family", FAMILIES)
def test_every_pair_stays_apart_in_a_collection(family):
    makers, batches = FAMILIES[family], BATCHES[family]
    wanted = {name: value(alone(make, batches)) for name, make in makers.items()}
    differing = 0
    for a, b in itertools.permutations(makers, 2):
        differing += str(wanted[a]) != str(wanted[b])
        collection = MetricCollection({"a": makers[a](), "b": makers[b]()})
        for batch in batches:
            collection.update(**batch)
        collection.compute()
        for key, name in (("a", a), ("b", b)):
            assert str(value(collection[key])) == str(wanted[name]), (a, b)
    # Where metrics could not be told apart, nothing would have been tried.
    assert differing >= 0.7 * len(makers) * (len(makers) - 1)


WAYS = {
    "as it is": lambda collection: collection,
    "a clone": lambda collection: collection.clone(),
    "a copy": copy.deepcopy,
    "pickled": lambda collection: pickle.loads(pickle.dumps(collection)),
    "reset": lambda collection: collection.reset() or collection,
    "loaded": lambda collection: loaded(collection),
}


def loaded(collection):
    stored = io.BytesIO()
    torch.save(collection.state_dict(), stored)
    stored.seek(0)
    other = collection.clone()
    other.reset()
    other.load_state_dict(torch.load(stored))
    return other


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("family", FAMILIES)
def test_all_stay_apart_after(family, way, first):
    """The way is gone before the first batch, when no groups are known yet, or after it."""
    makers, batches = FAMILIES[family], BATCHES[family]
    names = {f"m{i}": name for i, name in enumerate(makers)}
    collection = MetricCollection({key: makers[name]() for key, name in names.items()})
    for batch in batches[:first]:
        collection.update(**batch)
    collection = WAYS[way](collection)
    counted = batches[first:] if way == "reset" else batches
    for batch in batches[first:]:
        collection.update(**batch)
    for key, name in names.items():
        assert str(value(collection[key])) == str(value(alone(makers[name], counted))), name


def test_forward_in_a_collection_is_that_of_each():
    collection = MetricCollection({f"m{i}": make() for i, make in enumerate(FOUND.values())})
    for batch in BATCHES["found"]:
        now = collection(**batch)
        assert now == {f"m{i}": alone(make, [batch]).compute() for i, make in enumerate(FOUND.values())}
    for i, make in enumerate(FOUND.values()):
        assert collection[f"m{i}"].compute() == alone(make, BATCHES["found"]).compute()


def test_what_counts_alike_shares():
    collection = MetricCollection({"all": MaxBoxAcc(), "one": MaxBoxAccScore(), "50": MaxBoxAccScore("max_box_acc_50")})
    collection.update(**BATCHES["swept"][0])
    assert len(collection.compute_groups) == 1
    collection.update(**BATCHES["swept"][1])
    assert int(collection["one"].images) == 2
    assert collection["one"].compute() == collection["50"].compute() == collection["all"].compute()["max_box_acc"]


def test_every_metric_is_saved_whole():
    for family, makers in FAMILIES.items():
        for make in makers.values():
            metric = alone(make, BATCHES[family])
            assert set(metric.state_dict()) == set(metric.metric_state)
            other = make()
            other.load_state_dict(metric.state_dict())
            other._update_count = 1
            assert str(value(other)) == str(value(metric))
