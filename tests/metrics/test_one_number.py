"""One number beside each dictionary, in torchmetrics' own wrappers; NaN where nothing was counted; plots."""

from __future__ import annotations

import contextlib
import math

import pytest
import torch
from every_metric import EVERY, ONE, SEVERAL, batch, counted
from torchmetrics import MetricCollection
from torchmetrics.wrappers import BootStrapper, MetricTracker, MinMaxMetric

from fastcam.metrics import MaskIoU, MaxBoxAccScore, MaxBoxAccV2, PxAP, PxAPScore, TopKAccuracy


@pytest.mark.parametrize("name", SEVERAL)
def test_one_number_is_that_of_the_dictionary(name):
    make, numbers, score = SEVERAL[name]
    whole = counted(make(), batch(), batch(3, 1)).compute()
    for number in numbers:
        options = {"iou_thresholds": (0.3, 0.5)} if name == "V1" else {}
        one = counted(score(number, **options), batch(), batch(3, 1)).compute()
        assert one.shape == ()
        assert one == whole[number]
        assert 0 < one < 1


@pytest.mark.parametrize("make", ONE.values(), ids=ONE)
def test_trackers_and_extremes_take_them(make):
    tracker, extremes, alone = MetricTracker(make()), MinMaxMetric(make()), []
    for seed in range(3):
        given = batch(5, seed)
        tracker.increment()
        counted(tracker[-1], given)
        extremes.reset()
        counted(extremes._base_metric, given)
        alone.append(counted(make(), given).compute().item())
        found = extremes.compute()
        assert found["raw"].item() == alone[-1]
    assert tracker.compute_all().tolist() == alone
    best, step = tracker.best_metric(return_step=True)
    assert (best, step) == (max(alone), alone.index(max(alone)))


def test_a_tracker_takes_a_collection_of_them():
    tracker = MetricTracker(MetricCollection({name: make() for name, make in ONE.items()}))
    for seed in range(2):
        tracker.increment()
        tracker.update(**batch(5, seed))
    best = tracker.best_metric()
    for name, make in ONE.items():
        assert best[name] == max(counted(make(), batch(5, seed)).compute().item() for seed in range(2))


@pytest.mark.parametrize("make", ONE.values(), ids=ONE)
def test_bootstrapping_draws_images_with_all_that_is_theirs(make, monkeypatch):
    given = make()._filter_kwargs(**batch(8))
    draws = [torch.tensor([0, 0, 3, 7]), torch.tensor([5]), torch.tensor([1, 2, 4, 6, 6, 6, 7, 3, 2])]
    sampler = iter(draws)
    monkeypatch.setattr("torchmetrics.wrappers.bootstrapping._bootstrap_sampler", lambda *_, **__: next(sampler))
    found = BootStrapper(make(), num_bootstraps=len(draws), raw=True)
    found.update(**given)
    wanted = []
    for drawn in draws:
        metric = make()
        for i in drawn.tolist():
            metric.update(**{key: value if key == "size" else value[i : i + 1] for key, value in given.items()})
        wanted.append(metric.compute())
    assert found.compute()["raw"].tolist() == torch.stack(wanted).tolist()


@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
def test_before_the_first_image_and_after_reset_all_is_nan_with_a_warning(make):
    metric = make()
    for again in (False, True):
        if again:
            counted(metric, batch(2))
            metric.reset()
        with pytest.warns(UserWarning, match="before the ``update`` method") as told:
            found = metric.compute()
        assert len(told) == 1
        values = found if isinstance(found, dict) else {"": found}
        assert all(math.isnan(value.item()) for value in values.values())
    nothing = {key: value if key == "size" else value[:0] for key, value in batch(2).items()}
    if not isinstance(metric, TopKAccuracy | PxAP | PxAPScore | MaskIoU):
        values = counted(make(), nothing).compute()
        values = values if isinstance(values, dict) else {"": values}
        assert all(math.isnan(value.item()) for value in values.values())


@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
def test_a_logger_takes_every_value(make):
    """What `log_dict` of Lightning asks for: single numbers, from `compute` and from `forward`."""
    metric = make()
    given = metric._filter_kwargs(**batch(4))
    for found in (metric(**given), metric.compute()):
        for value in found.values() if isinstance(found, dict) else [found]:
            assert value.shape == ()
            assert value.is_floating_point()


@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
def test_a_batch_that_is_refused_in_forward_changes_nothing(make):
    metric, other = make(), make()
    given = metric._filter_kwargs(**batch(4))
    bad = {key: value[:-1] if key in ("maps", "found", "preds") else value for key, value in given.items()}
    metric(**given)
    before = dict(metric.__dict__)
    with pytest.raises((ValueError, RuntimeError)):
        metric(**bad)
    assert {key for key, value in metric.__dict__.items() if value is not before.get(key)} <= metric._defaults.keys()
    metric(**given)
    counted(other, given, given)
    assert str(metric.compute()) == str(other.compute())
    assert all(torch.equal(value, getattr(other, name)) for name, value in metric.metric_state.items())


@pytest.mark.parametrize("score", [PxAP, PxAPScore])
def test_a_batch_without_object_pixels_is_counted_in_forward(score):
    maps, mask = torch.rand(2, 4, 4), torch.zeros(2, 4, 4, dtype=torch.bool)
    metric, whole = score(), score()
    mask[0, 1:3] = True
    for i in (1, 0, 1):
        told = pytest.warns(UserWarning, match=f"{score.__name__} has counted no object pixel")
        with told if i == 1 else contextlib.nullcontext():
            found = metric(maps[i : i + 1], mask[i : i + 1])
        value = found["pxap"] if isinstance(found, dict) else found
        assert value.isnan() == (i == 1)
    whole.update(maps[[0, 1, 1]], mask[[0, 1, 1]])
    assert metric.compute() == whole.compute()


def test_a_number_that_asks_for_the_class_needs_it():
    metric = MaxBoxAccScore("top1_max_box_acc")
    with pytest.raises(ValueError, match="correct must come with every batch"):
        metric.update(torch.rand(1, 4, 4), [[[0, 0, 2, 2]]])
    for make in (lambda: MaxBoxAccScore("max_box_acc_70"), lambda: MaxBoxAccScore("best_threshold_50")):
        with pytest.raises(
            ValueError, match="number must be one of 'max_box_acc', 'max_box_acc_50', 'top1_max_box_acc'"
        ):
            make()
    with pytest.raises(ValueError, match="number must be one of 'pxap', 'peak_iou', got 'precision'"):
        PxAPScore("precision")


@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
def test_every_metric_plots(make):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    metric = counted(make(), batch(4))
    _, axes = metric.plot()
    assert axes.lines
    several = [metric.compute(), metric.compute()]
    _, given = pyplot.subplots()
    for value in (several[0], several):
        other, same = metric.plot(value, given)
        assert same is given
        assert other is None
    pyplot.close("all")


def test_curves_are_what_is_drawn():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    metric = counted(MaxBoxAccV2(), batch(4))
    _, axes = metric.plot()
    drawn = {line.get_label(): line.get_ydata().tolist() for line in axes.lines}
    found = metric.compute(curves=True)
    assert drawn == {name.replace("curve_", "IoU "): value.tolist() for name, value in found.items() if "curve" in name}
    assert axes.lines[0].get_xdata().tolist() == metric.thresholds.tolist()
    pixels = counted(PxAP(10), batch(4))
    _, axes = pixels.plot()
    found = pixels.compute(curves=True)
    assert axes.lines[0].get_xdata().tolist() == found["recall"].tolist()
    assert axes.lines[0].get_ydata()[3:].tolist() == found["precision"][3:].tolist()
    pyplot.close("all")
