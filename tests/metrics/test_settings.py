"""Settings are part of the state: states that were counted with others are not loaded, merged or added."""

from __future__ import annotations

import pytest
import torch
from every_metric import counted

from fastcam.metrics import GTKnownLoc, MaxBoxAcc, MaxBoxAccV2, PxAP, TopKAccuracy, TopKLoc


def found(*corners):
    return {"found": torch.tensor([corners], dtype=torch.float64), "boxes": [torch.tensor([[0, 0, 10, 10]])]}


BATCHES = [found(0, 0, 10, 10), found(0, 0, 10, 6), found(0, 0, 10, 4), found(0, 0, 8, 8)]


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
    first = counted(GTKnownLoc(), *BATCHES)
    state = first.state_dict()
    two = GTKnownLoc(), GTKnownLoc()
    for metric in two:
        metric.load_state_dict(state)
    two[0].update(BATCHES[0]["found"], BATCHES[0]["boxes"])
    assert (int(two[0].images), int(two[1].images), int(state["images"])) == (5, 4, 4)


def test_only_metrics_of_the_same_settings_merge():
    batches = BATCHES
    whole, one, two = (counted(GTKnownLoc(), *part) for part in (batches, batches[:1], batches[1:]))
    one.merge_state(two)
    assert one.metric_state.keys() == whole.metric_state.keys()
    assert all(torch.equal(state, whole.metric_state[name]) for name, state in one.metric_state.items())
    with pytest.raises(ValueError, match=r"iou_threshold is 0.5 here and 0.9 in the metric to be merged"):
        one.merge_state(counted(GTKnownLoc(0.9), *batches))
    one.merge_state({"right": torch.tensor(1), "images": torch.tensor(2)})
    assert int(one.images) == len(batches) + 2


def test_settings_are_there_to_read():
    assert TopKLoc(2, iou_threshold=0.7).settings == {
        "k": 2, "box": "predicted", "iou_threshold": 0.7, "inclusive": False,
    }  # fmt: skip


@pytest.mark.parametrize(("other", "error"), [(0.5, None), (0.7, "metrics of different settings cannot be added")])
def test_only_processes_of_the_same_settings_are_added(other, error):
    there = counted(GTKnownLoc(other), *BATCHES)
    names = iter(there.metric_state)

    def gathered(state, group):
        assert group is None
        return [state, there.metric_state[next(names)]]

    synced = {"dist_sync_fn": gathered, "distributed_available_fn": lambda: True}
    here = counted(GTKnownLoc(**synced), *BATCHES[:2])
    if error is None:
        assert here.compute().item() == (2 + int(there.right)) / 6
    else:
        with pytest.raises(ValueError, match=error):
            here.compute()
