"""The pass over score maps, against the same protocol written with OpenCV."""

from pathlib import Path

import numpy as np
import pytest
from small_datasets import mask

cv2 = pytest.importorskip("cv2")
pytest.importorskip("torchmetrics")

import sweep_peers  # noqa: E402

from fastcam.data import Record, Split, read_mask  # noqa: E402
from fastcam.evaluation.at_threshold import boxes_at, mask_iou, masks_at  # noqa: E402
from fastcam.evaluation.numbers import chosen_thresholds, of_pass  # noqa: E402
from fastcam.evaluation.score_maps import ScoreMapError, ScoreMaps, writing_score_maps  # noqa: E402
from fastcam.evaluation.score_pass import evaluate_score_maps  # noqa: E402
from fastcam.evaluation.settings import Settings  # noqa: E402
from fastcam.evaluation.truth import ground_truth  # noqa: E402
from fastcam.inputs import Inputs  # noqa: E402

SMALL = Inputs((56, 56))
COUNT = 12
LEVELS = (0.3, 0.5, 0.7)


def records(count=COUNT, masks=()):
    rng = np.random.default_rng(0)
    found = []
    for number in range(count):
        corners = rng.integers(0, [60, 40], (1 + number % 3, 2))
        boxes = np.concatenate([corners, corners + rng.integers(15, 40, corners.shape)], axis=1).astype(float)
        found.append(Record(f"{number}.jpg", Path(f"{number}.jpg"), 0, boxes, (80, 100), masks=masks))
    return Split("toys", "test", tuple(found), ("cube",))


def heats(count=COUNT, sides=(5, 7)):
    rng = np.random.default_rng(1)
    return {f"{i}.jpg": rng.normal(size=(sides[i % 2], sides[i % 2])).astype(np.float32) for i in range(count)}


def saved(path, maps):
    with writing_score_maps(path) as writer:
        for name, values in maps.items():
            writer.write(name, values)
    return ScoreMaps(path)


def by_opencv(split, maps, size, multi_contour, thresholds):
    total = np.zeros((3, len(thresholds)), int)
    for record in split:
        truth = SMALL.boxes(record.boxes, record.size)
        scores = sweep_peers.normalized(maps[record.id], size)
        total += sweep_peers.hits(scores, truth, multi_contour=multi_contour, ious=LEVELS, thresholds=thresholds)
    return total


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("full", [False, True])
def test_counts_are_those_of_opencv(tmp_path, full, workers):
    split, maps = records(), heats()
    given = {name: sweep_peers.normalized(heat, (56, 56)) for name, heat in maps.items()} if full else maps
    settings = Settings(SMALL, num_thresholds=100, batch_size=5, workers=workers)
    ticks = []
    done = evaluate_score_maps(
        split, saved(tmp_path / "a.npz", given), ground_truth(split, SMALL), settings, on_progress=ticks.append
    )
    thresholds = np.arange(0, 1, 1 / 100)
    for metric, several in ((done.largest, False), (done.any, True)):
        np.testing.assert_array_equal(metric.right[0], by_opencv(split, maps, (56, 56), several, thresholds))
        assert int(metric.images) == COUNT
    assert done.used.all()
    assert sum(ticks) == COUNT


def test_reading_in_two_parts_gives_the_same_sums(tmp_path):
    split, maps = records(), saved(tmp_path / "a.npz", heats())
    truth, settings = ground_truth(split, SMALL), Settings(SMALL, num_thresholds=50, batch_size=4)
    whole = evaluate_score_maps(split, maps, truth, settings)
    first = evaluate_score_maps(split[:5], maps, truth[:5], settings)
    rest = evaluate_score_maps(split[5:], maps, truth[5:], settings)
    assert (first.any.right + rest.any.right).equal(whole.any.right)
    assert first.largest.images + rest.largest.images == whole.largest.images


def test_boxes_at_a_threshold_are_those_that_were_counted(tmp_path):
    split, maps = records(), saved(tmp_path / "a.npz", heats())
    truth, settings = ground_truth(split, SMALL), Settings(SMALL, num_thresholds=100, batch_size=5)
    done = evaluate_score_maps(split, maps, truth, settings)
    chosen = chosen_thresholds(done, "test")
    pair = done.largest.thresholds[chosen.largest[1]], done.any.thresholds[chosen.any[1]]
    found = {one.number: one for one in boxes_at(split, maps, truth, settings, pair)}
    assert sorted(found) == list(range(COUNT))
    numbers = of_pass(done)
    assert np.mean([one.iou >= 0.5 for one in found.values()]) == numbers["max_box_acc_50"].value
    assert np.mean([one.iou_of_any >= 0.5 for one in found.values()]) == numbers["max_box_acc_v2_50"].value
    for number, one in found.items():
        scores = sweep_peers.normalized(heats()[f"{number}.jpg"], (56, 56))
        levels = sweep_peers.levels_of(scores)
        assert one.box == sweep_peers.boxes_above(levels, int(pair[0] * levels.max()), False)[0]
        assert one.iou == sweep_peers.inclusive_iou(np.array([one.box]), truth[number]).max()


def test_masks(tmp_path):
    path = mask(tmp_path / "m.png", (80, 100), (10, 10, 70, 50))
    ignored = mask(tmp_path / "i.png", (80, 100), (60, 0, 100, 80))
    split = Split(
        "toys", "test", tuple(Record(f"{i}.jpg", Path("x"), 0, masks=(path,), ignore=ignored) for i in range(6)), ("x",)
    )
    maps = heats(6)
    settings = Settings(SMALL, num_thresholds=100, batch_size=4)
    truth = ground_truth(split, SMALL)
    done = evaluate_score_maps(split, saved(tmp_path / "a.npz", maps), truth, settings)
    thresholds = np.arange(0, 1, 1 / 100)
    scores = [sweep_peers.normalized(maps[record.id], (56, 56)) for record in split]
    wanted = sum(sweep_peers.pixels(one, read_mask(split[0], SMALL), thresholds) for one in scores)
    np.testing.assert_array_equal(done.pixels.counts, wanted)
    assert done.largest is None
    numbers = of_pass(done)
    inside, seen = read_mask(split[0], SMALL) == 1, read_mask(split[0], SMALL) != 255
    at = numbers["peak_iou"].threshold
    kept = np.stack(scores) >= at
    assert numbers["peak_iou"].value == (kept & inside).sum() / ((kept & seen) | inside).sum()
    assert numbers["peak_iou"].value == mask_iou(done.pixels, at) == float(done.pixels.compute()["peak_iou"])
    each = dict(masks_at(split, ScoreMaps(tmp_path / "a.npz"), truth, settings, at))
    assert each[3] == (kept[3] & inside).sum() / ((kept[3] & seen) | inside).sum()


class TestSkipping:
    def test_an_error_is_raised_or_counted(self, tmp_path):
        split = records(6)
        maps = heats(6)
        del maps["1.jpg"]
        maps["4.jpg"] = np.full((3, 3), np.nan)
        read = saved(tmp_path / "a.npz", maps)
        truth = ground_truth(split, SMALL)
        for workers in (0, 1):
            settings = Settings(SMALL, num_thresholds=10, batch_size=2, workers=workers)
            with pytest.raises(ScoreMapError, match=r"a\.npz\[1\.jpg\]: no such score map"):
                evaluate_score_maps(split, read, truth, settings)
            skipped = []
            done = evaluate_score_maps(split, read, truth, settings, on_skipped=skipped.append)
            assert [str(error).partition("[")[2][:5] for error in skipped] == ["1.jpg", "4.jpg"]
            assert done.used.tolist() == [True, False, True, True, False, True]
            assert int(done.largest.images) == 4

    def test_records_without_truth_are_left_out(self, tmp_path):
        split = records(4)
        truth = ground_truth(split, SMALL).only(np.arange(4) != 2)
        done = evaluate_score_maps(
            split, saved(tmp_path / "a.npz", heats(4)), truth, Settings(SMALL, num_thresholds=10)
        )
        assert done.used.tolist() == [True, True, False, True]


def test_correct_classes_split_the_counts(tmp_path):
    split, maps = records(), saved(tmp_path / "a.npz", heats())
    truth, settings = ground_truth(split, SMALL), Settings(SMALL, num_thresholds=20, batch_size=5)
    correct = np.array([[i % 4 == 0, i % 2 == 0] for i in range(COUNT)])
    done = evaluate_score_maps(split, maps, truth, settings, correct=correct)
    for variant in (1, 2):
        part = [number for number in range(COUNT) if correct[number, variant - 1]]
        alone = Split("toys", "test", tuple(split[number] for number in part), ("cube",))
        expected = evaluate_score_maps(alone, maps, [truth[number] for number in part], settings)
        assert done.any.right[variant].equal(expected.any.right[0])
