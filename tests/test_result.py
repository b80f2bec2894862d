"""What localization finds, in the forms that other libraries take."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

import fastcam

FEATURES = torch.rand(3, 5, 6, 7, generator=torch.Generator().manual_seed(0)) - 0.3
WEIGHT = torch.randn(4, 5, generator=torch.Generator().manual_seed(1))
INDEX = [[2, 0], [3, 3], [1, 0]]


def test_coco_results_and_torchmetrics_hold_the_same_boxes():
    found = fastcam.localize(FEATURES, WEIGHT, INDEX, size=(20, 31))
    detections = found.to_torchmetrics()
    assert [list(one) for one in detections] == [["boxes", "scores", "labels"]] * 3
    results = found.to_coco(image_ids=[10, 20, 30], category_ids={0: 100, 1: 101, 2: 102, 3: 103})
    assert [one["image_id"] for one in results] == [10, 10, 20, 20, 30, 30]
    assert [one["category_id"] for one in results] == [102, 100, 103, 103, 101, 100]
    boxes = torch.cat([one["boxes"] for one in detections]).tolist()
    assert [one["bbox"] for one in results] == [[x0, y0, x1 - x0, y1 - y0] for x0, y0, x1, y1 in boxes]
    scored = dataclasses.replace(found, scores=torch.arange(6.0).reshape(3, 2))
    assert [one["score"] for one in scored.to_coco()] == [0, 1, 2, 3, 4, 5]
    assert torch.cat([one["scores"] for one in scored.to_torchmetrics()]).tolist() == [0, 1, 2, 3, 4, 5]


def test_coco_results_need_labels_and_as_many_ids():
    found = fastcam.localize(FEATURES, WEIGHT[:3], size=(20, 31))
    with pytest.raises(ValueError, match="to_coco needs labels"):
        found.to_coco()
    found = fastcam.localize(FEATURES, WEIGHT, 0, size=(20, 31))
    with pytest.raises(ValueError, match="image_ids must have the length of the 3 images, got 2"):
        found.to_coco(image_ids=[1, 2])


def heat(*images, size=16):
    """Maps of 0 with a rectangle of 1 each; of None nothing."""
    maps = torch.zeros(len(images), size, size)
    for one, box in zip(maps, images, strict=True):
        if box is not None:
            one[box[1] : box[3], box[0] : box[2]] = 1
    return maps


class TestNothingFound:
    def test_is_no_detection(self):
        found = fastcam.boxes_from_maps(heat((3, 2, 9, 8), None, (0, 0, 1, 1)))
        found = dataclasses.replace(found, labels=torch.tensor([1, 1, 2]), scores=torch.tensor([0.6, 0.9, 0.7]))
        assert found.is_empty.tolist() == [False, True, False]
        first, second, third = found.to_torchmetrics()
        assert first["boxes"].tolist() == [[3, 2, 9, 8]]
        assert [tuple(second[key].shape) for key in ("boxes", "scores", "labels")] == [(0, 4), (0,), (0,)]
        assert (third["boxes"].tolist(), third["labels"].tolist()) == ([[0, 0, 1, 1]], [2])
        assert [one["image_id"] for one in found.to_coco([5, 6, 7])] == [5, 7]

    def test_of_several_classes_the_others_stay(self):
        maps = torch.stack([heat((3, 2, 9, 8), None), heat(None, None), heat(None, (1, 1, 4, 4))])
        labels, scores = torch.tensor([[4, 5], [6, 7], [8, 9]]), torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.3, 0.25]])
        found = fastcam.localization.localize_maps(maps, labels, size=(16, 16))
        found = dataclasses.replace(found, scores=scores)
        assert found.is_empty.tolist() == [[False, True], [True, True], [True, False]]
        results = found.to_coco(category_ids={4: 40, 9: 90})
        assert [(one["image_id"], one["category_id"]) for one in results] == [(0, 40), (2, 90)]
        assert [one["labels"].tolist() for one in found.to_torchmetrics()] == [[4], [], [9]]

    def test_where_the_protocol_says_so_the_whole_image_was_found(self):
        found = fastcam.boxes_from_maps(heat(None), protocol=fastcam.AUTHORS)
        assert found.boxes.tolist() == [[0, 0, 16, 16]]
        assert not found.is_empty.any()

    def test_a_pixel_has_no_polygon_area_and_is_found(self):
        found = fastcam.boxes_from_maps(heat((0, 0, 1, 1)), protocol=fastcam.WSOLEVAL)
        assert found.areas.tolist() == [0]
        assert not found.is_empty.any()

    def test_average_precision(self):
        detection = pytest.importorskip("torchmetrics.detection", exc_type=ImportError)
        pytest.importorskip("torchvision", exc_type=ImportError)
        pytest.importorskip("pycocotools", exc_type=ImportError)
        if not hasattr(detection, "MeanAveragePrecision"):
            pytest.skip("torchmetrics was imported where torchvision was not to be found")
        found = fastcam.boxes_from_maps(heat((3, 2, 9, 8), None))
        found = dataclasses.replace(found, labels=torch.tensor([1, 1]), scores=torch.tensor([0.6, 0.9]))
        truth = [
            {"boxes": torch.tensor([box]), "labels": torch.tensor([1])} for box in ([3.0, 2, 9, 8], [4.0, 4, 9, 9])
        ]
        metric = detection.MeanAveragePrecision()
        metric.update(found.to_torchmetrics(), truth)
        # One of two objects is found, without a false alarm: precision 1 up to a recall of 0.5, 51 of 101 points.
        assert float(metric.compute()["map"]) == pytest.approx(51 / 101)


class TestIds:
    @pytest.fixture
    def found(self):
        return fastcam.localize(FEATURES[:2], WEIGHT, [1, 2], size=(32, 32))

    @pytest.mark.parametrize(
        "ids",
        [
            np.array([7, 9]),
            np.array([9, 7], np.uint16)[::-1],
            np.array([7, 9], ">i4"),
            [np.int64(7), np.int8(9)],
            torch.tensor([7, 9]),
            [torch.tensor(7), torch.tensor(9)],
            (7, 9),
            range(7, 11, 2),
        ],
        ids=lambda ids: type(ids).__name__,
    )
    def test_are_plain_numbers(self, found, ids):
        assert [one["image_id"] for one in json.loads(json.dumps(found.to_coco(ids)))] == [7, 9]

    @pytest.mark.parametrize(
        "categories",
        [
            np.array([10, 20, 30]),
            torch.tensor([10, 20, 30]),
            dict(enumerate(np.array([10, 20, 30]))),
            {np.int64(1): 20, np.int64(2): torch.tensor(30)},
            {1: np.uint8(20), 2: np.uint8(30)},
        ],
        ids=["array", "tensor", "values", "keys", "bytes"],
    )
    def test_categories_likewise(self, found, categories):
        text = json.dumps(found.to_coco(None, categories))
        assert [one["category_id"] for one in json.loads(text)] == [20, 30]

    def test_strings_stay(self, found):
        assert [one["image_id"] for one in found.to_coco(["a", np.str_("b")])] == ["a", "b"]

    @pytest.mark.parametrize("ids", [[7.0, 9.0], np.array([7.5, 9]), [None, 3], [True, False], "ab", 7, [[7], [9]]])
    def test_others_are_refused(self, found, ids):
        with pytest.raises(TypeError, match="image_ids must be"):
            found.to_coco(ids)

    @pytest.mark.parametrize("categories", [{1: 10}, [10, 20], np.array([10, 20]), {}])
    def test_a_label_without_a_category_is_named(self, found, categories):
        with pytest.raises(ValueError, match=r"category_ids must have an id for each label, got none for label [12]"):
            found.to_coco(category_ids=categories)

    def test_a_label_below_zero_is_no_index_from_the_end(self, found):
        odd = dataclasses.replace(found, labels=torch.tensor([-1, 0]))
        with pytest.raises(ValueError, match="got none for label -1"):
            odd.to_coco(category_ids=[10, 20])

    def test_a_score_that_is_not_a_number_is_null(self, found):
        odd = dataclasses.replace(found, scores=torch.tensor([torch.nan, 0.5]))
        assert [one["score"] for one in odd.to_coco()] == [None, 0.5]


FIELDS = ("boxes", "areas", "thresholds", "labels", "scores", "maps", "masks")


def whole(classes=1, sizes=None):
    """Five images, every field filled."""
    features = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    index = [[0, 1][:classes]] * 5 if classes > 1 else [0, 1, 0, 1, 0]
    size = sizes or (9, 7)
    found = fastcam.localize(features, WEIGHT[:2, :3], index, size=size, return_maps=True, return_masks=True)
    return dataclasses.replace(found, scores=torch.rand(found.areas.shape))


RAGGED = [(9, 7), (8, 8), (9, 7), (3, 12), (1, 1)]
KINDS = [(1, None), (2, None), (1, RAGGED), (2, RAGGED)]


def same(one, other):
    if isinstance(one, list) or isinstance(other, list):
        return len(one) == len(other) and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    return torch.equal(one, other)


@pytest.mark.parametrize(("classes", "sizes"), KINDS, ids=["one", "two", "ragged", "ragged-two"])
class TestHandling:
    @pytest.mark.parametrize("number", [0, 3, -1, -5, np.int64(2), torch.tensor(4)])
    def test_one_image(self, classes, sizes, number):
        found = whole(classes, sizes)
        one = found[number]
        for name in FIELDS:
            assert torch.equal(getattr(one, name), getattr(found, name)[int(number)]), name
        assert len(one) == 1

    @pytest.mark.parametrize("part", [slice(1, 3), slice(None), slice(None, None, 2), slice(-2, None), slice(4, 1)])
    def test_a_slice(self, classes, sizes, part):
        found = whole(classes, sizes)
        for name in FIELDS:
            assert same(getattr(found[part], name), getattr(found, name)[part]), name

    @pytest.mark.parametrize(
        ("rows", "numbers"),
        [
            (slice(None, None, -1), [4, 3, 2, 1, 0]),
            ([2, 0, -1, 2], [2, 0, 4, 2]),
            (np.array([4, 1], np.uint8), [4, 1]),
            (torch.tensor([3, -5]), [3, 0]),
            ([], []),
            ([True, False, False, True, False], [0, 3]),
            (np.array([False] * 5), []),
            (torch.tensor([True] * 4 + [False]), [0, 1, 2, 3]),
            (range(1, 3), [1, 2]),
        ],
    )
    def test_numbers_and_masks(self, classes, sizes, rows, numbers):
        found = whole(classes, sizes)
        for name in FIELDS:
            field = getattr(found, name)
            expected = [field[i] for i in numbers]
            assert len(getattr(found[rows], name)) == len(numbers)
            assert all(torch.equal(a, b) for a, b in zip(getattr(found[rows], name), expected, strict=True)), name

    def test_image_by_image_and_joined_again(self, classes, sizes):
        found = whole(classes, sizes)
        for parts in (list(found), [found[:2], found[2], found[3:3], found[3:]], [found]):
            again = fastcam.Localization.cat(parts)
            assert all(same(getattr(again, name), getattr(found, name)) for name in FIELDS)
            assert not again.single

    def test_one_image_is_exported_as_one(self, classes, sizes):
        found = whole(classes, sizes)
        assert [entry for i, one in enumerate(found) for entry in one.to_coco([i])] == found.to_coco()
        assert [one.to_torchmetrics()[0]["boxes"].tolist() for one in found] == [
            one["boxes"].tolist() for one in found.to_torchmetrics()
        ]

    def test_arrays(self, classes, sizes):
        found = whole(classes, sizes)
        arrays = found.numpy()
        assert list(arrays) == list(FIELDS)
        np.testing.assert_array_equal(arrays["boxes"], np.array(found.boxes.tolist()))
        for mine, theirs in zip(arrays["maps"], found.maps, strict=True):
            assert isinstance(mine, np.ndarray)
            assert mine.tolist() == theirs.tolist()

    def test_another_device(self, classes, sizes):
        away = whole(classes, sizes).to("meta")
        for name in FIELDS:
            field = getattr(away, name)
            assert all(one.device.type == "meta" for one in (field if isinstance(field, list) else [field]))
        assert [one.dtype for one in (away.boxes, away.labels)] == [torch.float32, torch.int64]

    def test_it_says_what_it_is_in_a_line(self, classes, sizes):
        found = whole(classes, sizes)
        assert repr(found).startswith(f"Localization(5 images{' of 2 classes' if classes == 2 else ''}, boxes (5, ")
        assert repr(found[1]).startswith("Localization(1 image")
        assert len(repr(found)) < 120
        assert "maps" in repr(found)


class TestWrongHandling:
    @pytest.mark.parametrize("number", [5, -6, [0, 5], [True] * 4, torch.tensor([], dtype=torch.bool)])
    def test_out_of_range(self, number):
        with pytest.raises(IndexError, match=r"out of range: there are 5|length of the 5 images"):
            whole()[number]

    @pytest.mark.parametrize("number", [1.0, "a", None, ..., (0, 1), [0.5], True, torch.tensor([[0]]), [[0], [1, 2]]])
    def test_no_index(self, number):
        with pytest.raises(TypeError, match="must be a number, a slice, numbers or a mask"):
            whole()[number]

    @pytest.mark.parametrize("device", [torch.float64, None, True, 1.5])
    def test_no_device(self, device):
        with pytest.raises(TypeError, match="device must be"):
            whole().to(device)

    @pytest.mark.parametrize(
        ("other", "message"),
        [
            (lambda one: dataclasses.replace(one, labels=None), "got labels in some of them only"),
            (lambda one: dataclasses.replace(one, maps=None), "got maps in some of them only"),
            (
                lambda one: dataclasses.replace(one, areas=one.areas.double()),
                "got areas of torch.float64 and",
            ),
            (lambda one: one.to("meta"), "one device, got boxes of cpu and meta"),
            (lambda _: whole(2), r"same number of classes, got boxes of shapes \(5, 4\) and \(5, 2, 4\)"),
        ],
    )
    def test_results_that_do_not_fit(self, other, message):
        with pytest.raises(ValueError, match=message):
            fastcam.Localization.cat([whole(), other(whole())])

    def test_no_results(self):
        with pytest.raises(ValueError, match="at least one Localization"):
            fastcam.Localization.cat([])
        with pytest.raises(TypeError, match="must be Localizations, got dict"):
            fastcam.Localization.cat([whole(), {}])
