"""Settings are part of the state: metrics that count differently stay apart, and states of others are not loaded."""

from __future__ import annotations

import copy
import io
import itertools
import pickle

import pytest
import torch
from torchmetrics import MetricCollection

from fastcam.metrics import (
    GTKnownLoc,
    MaxBoxAcc,
    MaxBoxAccScore,
    MaxBoxAccV2,
    MaxBoxAccV2Score,
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


# In each family the first batch is one that all metrics count alike.
BATCHES = {
    "swept": [
        {"maps": maps_of((2, 2, 20, 20)), "boxes": box(2, 2, 20, 20)},
        {"maps": maps_of((2, 2, 20, 20), (24, 24, 30, 30)), "boxes": box(24, 24, 30, 30)},
        {"maps": maps_of((2, 2, 20, 20), (1, 1, 25, 25)), "boxes": box(2, 2, 20, 29)},
    ],
    "pixels": [masked(2, 2, 20, 20), masked(0, 0, 25, 25), masked(5, 5, 30, 30)],
    "found": [found((0, 0, 10, 10), 3), found((0, 0, 10, 6), 3), found((0, 0, 10, 10), 4), found((0, 0, 8, 8), 5)],
    "classes": [scored(0), scored(1), scored(2)],
}
FAMILIES = {"swept": SWEPT, "pixels": PIXELS, "found": FOUND, "classes": CLASSES}


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


REFUSED = [
    (lambda: PxAP(50), lambda: PxAP(100), "num_thresholds is 100 here and 50 in the state"),
    (lambda: MaxBoxAcc(num_thresholds=50), lambda: MaxBoxAcc(num_thresholds=100), "num_thresholds is 100 here and 50"),
    (lambda: MaxBoxAcc((0.5,)), lambda: MaxBoxAcc((0.7,)), r"iou_thresholds is \[0.7\] here and \[0.5\] in the state"),
    (lambda: MaxBoxAcc((0.3, 0.5, 0.7)), MaxBoxAccV2, "multi_contour is True here and False in the state"),
    (lambda: GTKnownLoc(0.5), lambda: GTKnownLoc(0.7), "iou_threshold is 0.7 here and 0.5 in the state"),
    (GTKnownLoc, lambda: GTKnownLoc(inclusive=True), "inclusive is True here and False in the state"),
    (lambda: TopKLoc(1), lambda: TopKLoc(5), "k is 5 here and 1 in the state"),
    (TopKLoc, lambda: TopKLoc(box="true"), "box is 'true' here and 'predicted' in the state"),
    (GTKnownLoc, TopKLoc, "k is 1 here and unknown in the state"),
    (TopKLoc, GTKnownLoc, "k is unknown here and 1 in the state"),
    (lambda: TopKAccuracy(1, num_classes=9), lambda: TopKAccuracy(5, num_classes=9), "k is 5 here and 1 in the state"),
    (lambda: TopKAccuracy(num_classes=9), lambda: TopKAccuracy(num_classes=8), "num_classes is 8 here and 9 in the"),
    (
        lambda: TopKAccuracy(num_classes=9, ignore_index=0),
        lambda: TopKAccuracy(num_classes=9),
        "ignore_index is None here and 0 in the state",
    ),
]


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize(("saved", "here", "message"), REFUSED)
def test_a_state_of_other_settings_is_refused_and_changes_nothing(saved, here, message, within, strict):
    saved, here = saved(), here()
    states = torch.nn.ModuleDict({"metric": saved}) if within else saved
    module = torch.nn.ModuleDict({"metric": here}) if within else here
    before = {name: state.clone() for name, state in here.metric_state.items()}
    with pytest.raises(RuntimeError, match=f"{type(here).__name__}.*: {message}"):
        module.load_state_dict(states.state_dict(), strict=strict)
    assert all(torch.equal(state, before[name]) for name, state in here.metric_state.items())


def test_a_state_without_settings_is_taken_with_a_warning_if_it_fits():
    old = {"right": torch.tensor(3), "images": torch.tensor(4)}
    metric = GTKnownLoc()
    with pytest.warns(UserWarning, match="GTKnownLoc does not say with what settings .* {'iou_threshold': 0.5, "):
        metric.load_state_dict(old)
    assert (int(metric.right), int(metric.images)) == (3, 4)
    counts = PxAP(50).state_dict()
    del counts["settings_json"]
    with (
        pytest.warns(UserWarning, match="PxAP does not say"),
        pytest.raises(RuntimeError, match=r"counts is of shape \(2, 102\) here and of shape \(2, 52\) in the state"),
    ):
        PxAP(100).load_state_dict(counts)


def test_settings_that_cannot_be_read_are_refused():
    for broken in (torch.zeros(3, dtype=torch.uint8), torch.tensor(list(b"{}"), dtype=torch.uint8), 3, "text"):
        with pytest.raises(RuntimeError, match="the settings of the state cannot be read"):
            GTKnownLoc().load_state_dict({**GTKnownLoc().state_dict(), "settings_json": broken})


def test_what_was_loaded_is_not_counted_on():
    first = alone(GTKnownLoc, BATCHES["found"])
    state = first.state_dict()
    two = GTKnownLoc(), GTKnownLoc()
    for metric in two:
        metric.load_state_dict(state)
    two[0].update(BATCHES["found"][0]["found"], BATCHES["found"][0]["boxes"])
    assert (int(two[0].images), int(two[1].images), int(state["images"])) == (5, 4, 4)


def test_only_metrics_of_the_same_settings_merge():
    batches = BATCHES["found"]
    whole, one, two = (alone(GTKnownLoc, part) for part in (batches, batches[:1], batches[1:]))
    one.merge_state(two)
    assert one.metric_state.keys() == whole.metric_state.keys()
    assert all(torch.equal(state, whole.metric_state[name]) for name, state in one.metric_state.items())
    with pytest.raises(ValueError, match=r"iou_threshold is 0.5 here and 0.9 in the metric to be merged"):
        one.merge_state(alone(lambda: GTKnownLoc(0.9), batches))
    one.merge_state({"right": torch.tensor(1), "images": torch.tensor(2)})
    assert int(one.images) == len(batches) + 2


def test_settings_are_there_to_read():
    assert TopKLoc(2, iou_threshold=0.7).settings == {
        "k": 2, "box": "predicted", "iou_threshold": 0.7, "inclusive": False,
    }  # fmt: skip
