"""Box arithmetic, against the numbers of the evaluators in use."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import fastcam
from fastcam.boxes import paired_iou


def iou(a, b, **options):
    return fastcam.box_iou(torch.tensor([a]), torch.tensor([b]), **options).item()


@pytest.mark.parametrize(
    ("a", "b", "wanted"),
    [
        ((0, 0, 9, 9), (5, 5, 14, 14), 1 / 7),
        ((1, 2, 5, 6), (3, 1, 4, 5), 8 / 27),
        ((0, 0, 0, 0), (0, 0, 0, 0), 1),
        ((0, 0, 223, 223), (50, 50, 149, 149), 10000 / 50176),
        ((3, 4, 7, 8), (3, 4, 7, 8), 1),
        # The paper's code does not clamp the intersection, and gives 1.0 and 49.0 for these.
        ((0, 0, 9, 9), (20, 20, 29, 29), 0),
        ((0, 0, 9, 9), (24, 24, 33, 33), 0),
        ((0, 0, 9, 9), (10, 0, 19, 9), 0),
        ((0, 0, 9, 9), (9, 9, 18, 18), 1 / 199),
    ],
)
def test_inclusive_iou_of_the_evaluators(a, b, wanted):
    assert iou(a, b, inclusive=True) == iou(b, a, inclusive=True) == pytest.approx(wanted, abs=1e-15)


@pytest.mark.parametrize(
    ("a", "b", "wanted"),
    [
        ((0, 0, 10, 10), (5, 5, 15, 15), 1 / 7),
        ((0, 0, 10, 10), (10, 0, 20, 10), 0),
        ((0, 0, 10, 10), (20, 20, 30, 30), 0),
        ((0, 0, 0, 0), (0, 0, 0, 0), 0),
        ((0, 0, 0, 0), (0, 0, 4, 4), 0),
        ((2, 2, 6, 4), (2, 2, 6, 4), 1),
        ((0.5, 0, 1.5, 1), (1, 0, 2, 1), 1 / 3),
    ],
)
def test_half_open_iou(a, b, wanted):
    assert iou(a, b) == iou(b, a) == pytest.approx(wanted, abs=1e-15)


def test_every_pair_is_compared_in_float64():
    a, b = torch.rand(5, 4), torch.rand(3, 4)
    a[:, 2:] += a[:, :2]
    b[:, 2:] += b[:, :2]
    found = fastcam.box_iou(a, b)
    assert (found.shape, found.dtype) == ((5, 3), torch.float64)
    for i in range(5):
        for j in range(3):
            assert found[i, j] == fastcam.box_iou(a[i : i + 1], b[j : j + 1])[0, 0]
    assert fastcam.box_iou(a[:0], b).shape == (0, 3)


@pytest.mark.parametrize("inclusive", [False, True])
def test_paired_boxes_are_compared_with_their_own_images_alone(inclusive):
    a, b = torch.randint(0, 20, (3, 4)), torch.randint(0, 20, (3, 5, 4))
    a[:, 2:] += a[:, :2]
    b[..., 2:] += b[..., :2]
    found = paired_iou(a, b, inclusive=inclusive)
    assert (found.shape, found.dtype) == ((3, 5), torch.float64)
    for i in range(3):
        assert torch.equal(found[i], fastcam.box_iou(a[i : i + 1], b[i], inclusive=inclusive)[0])
    shared = paired_iou(a[:1], b, inclusive=inclusive)
    assert torch.equal(shared, paired_iou(a[:1].expand(3, 4), b, inclusive=inclusive))
    assert paired_iou(a[:0], b[:0], inclusive=inclusive).shape == (0, 5)
    assert paired_iou(a, b[:, :0], inclusive=inclusive).shape == (3, 0)


corner = st.integers(0, 12)
box = st.tuples(corner, corner, corner, corner).map(
    lambda c: (min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]), max(c[1], c[3]))
)


@given(box, box, st.booleans())
def test_iou_is_the_ratio_of_the_pixels_in_both_to_those_in_either(a, b, inclusive):
    painted = np.zeros((2, 14, 14), bool)
    for layer, (x0, y0, x1, y1) in zip(painted, (a, b), strict=True):
        layer[y0 : y1 + inclusive, x0 : x1 + inclusive] = True
    either = np.count_nonzero(painted[0] | painted[1])
    both = np.count_nonzero(painted[0] & painted[1])
    assert iou(a, b, inclusive=inclusive) == (both / either if either else 0)


@pytest.mark.parametrize(
    ("given", "image", "size", "wanted"),
    [
        ((60, 27, 385, 331), (335, 500), (224, 224), (26, 18, 172, 221)),
        ((111, 108, 441, 193), (375, 500), (224, 224), (49, 64, 197, 115)),
        ((1, 2, 4, 3), (20, 10), (10, 35), (3, 1, 14, 1)),
    ],
)
def test_ground_truth_resized_as_wsolevaluation_does(given, image, size, wanted):
    found = fastcam.resize_boxes(torch.tensor([given]), image, size)
    assert found.dtype == torch.int64
    assert found.tolist() == [list(wanted)]


def test_ground_truth_cropped_as_the_papers_code_does():
    # The box (60, 27, 385, 331) of the data set, whose last pixels are one less.
    assert fastcam.crop_boxes(torch.tensor([[60, 27, 384, 330]]), (335, 500)).tolist() == [[14, 4, 180, 223]]


def test_every_coordinate_is_truncated_as_the_references_truncate_it():
    # In another order of the same operations one coordinate in some thousands comes out one less.
    for length in (332, 374, 375, 388, 392, 428, 500, 506):
        x = np.arange(length, dtype=np.float64)
        boxes = torch.from_numpy(np.stack([x, x, x, x], axis=1))
        resized = fastcam.resize_boxes(boxes, (length, length), (224, 224))[:, 0].numpy()
        np.testing.assert_array_equal(resized, np.arange(length) * 224 // length)
        cropped = fastcam.crop_boxes(boxes, (length, length))[:, 2].numpy()
        wanted = [min(int(float(one) / float(length) * 256.0 - 16.0), 223) for one in x]
        np.testing.assert_array_equal(cropped, wanted)


def test_a_crop_clips_to_its_first_and_last_pixels():
    whole = torch.tensor([[0, 0, 255, 255], [100, 100, 120, 130], [0, 0, 10, 10]])
    found = fastcam.crop_boxes(whole, (256, 256))
    assert found.tolist() == [[0, 0, 223, 223], [84, 84, 104, 114], [0, 0, -6, -6]]


def test_a_crop_of_another_shape():
    found = fastcam.crop_boxes(torch.tensor([[50, 20, 149, 79]]), (100, 200), resize=(50, 400), crop=(40, 300))
    assert found.tolist() == [[50, 5, 248, 34]]


BAD = [
    (lambda: fastcam.box_iou(torch.ones(4), torch.ones(1, 4)), ValueError, r"a must be \(N, 4\), got shape \(4,\)"),
    (
        lambda: fastcam.box_iou(torch.ones(1, 4), torch.ones(4, 1)),
        ValueError,
        r"b must be \(N, 4\), got shape \(4, 1\)",
    ),
    (lambda: paired_iou(torch.ones(4), torch.ones(1, 1, 4)), ValueError, r"a must be \(N, 4\), got shape \(4,\)"),
    (lambda: paired_iou(torch.ones(1, 4), np.ones((1, 1, 4))), TypeError, "b must be a tensor .*, got ndarray"),
    (
        lambda: paired_iou(torch.ones(1, 4), torch.ones(1, 4)),
        ValueError,
        r"b must be \(N, G, 4\), got shape \(1, 4\)",
    ),
    (
        lambda: paired_iou(torch.ones(2, 4), torch.ones(3, 1, 4)),
        ValueError,
        r"a must be \(3, 4\) or \(1, 4\) for the 3 images of b, got shape \(2, 4\)",
    ),
    (lambda: fastcam.box_iou(np.ones((1, 4)), torch.ones(1, 4)), TypeError, "a must be a tensor.*, got ndarray"),
    (lambda: fastcam.box_iou(torch.ones(1, 4), [[0, 0, 1, 1]]), TypeError, "b must be a tensor.*, got list"),
    (
        lambda: fastcam.resize_boxes(torch.ones(1, 5), (8, 8), (4, 4)),
        ValueError,
        r"boxes must be \(N, 4\), got shape \(1, 5\)",
    ),
    (
        lambda: fastcam.resize_boxes(torch.ones(1, 4), (0, 8), (4, 4)),
        ValueError,
        r"image_size must be \(H, W\), each at least 1, got \(0, 8\)",
    ),
    (
        lambda: fastcam.resize_boxes(torch.ones(1, 4), (8, 8), (4, 4, 4)),
        ValueError,
        r"size must be \(H, W\), each at least 1, got \(4, 4, 4\)",
    ),
    (
        lambda: fastcam.resize_boxes(torch.ones(1, 4), (8, 8), (4, float("nan"))),
        TypeError,
        r"size must be \(H, W\), in whole pixels, got \(4, nan\)",
    ),
    *(
        (
            lambda crop=crop: fastcam.crop_boxes(torch.ones(1, 4), (8, 8), crop=crop),
            ValueError,
            r"crop must be \(H, W\), each at least 1, got",
        )
        for crop in ((0, 224), (224, -1))
    ),
    (
        lambda: fastcam.crop_boxes(torch.ones(1, 4), (8, 8), resize=(256, 256), crop=(300, 224)),
        ValueError,
        r"crop must fit in resize=\(256, 256\), got \(300, 224\)",
    ),
    (lambda: fastcam.crop_boxes(torch.ones(2), (8, 8)), ValueError, r"boxes must be \(N, 4\), got shape \(2,\)"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[message for *_, message in BAD])
def test_a_bad_argument_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


class TestDevices:
    """Boxes decide where the arithmetic takes place, whatever the default device is."""

    TRUTH = torch.tensor([[60, 27, 385, 331]])

    def calls(self, boxes):
        yield fastcam.resize_boxes(boxes, (335, 500), (224, 224))
        yield fastcam.crop_boxes(boxes, (335, 500))
        yield fastcam.box_iou(boxes, boxes)
        yield paired_iou(boxes, boxes[None])

    def test_a_default_device_changes_nothing(self):
        expected = list(self.calls(self.TRUTH))
        with torch.device("meta"):
            assert all(torch.equal(one, other) for one, other in zip(self.calls(self.TRUTH), expected, strict=True))

    def test_boxes_on_another_device(self):
        assert [one.device.type for one in self.calls(self.TRUTH.to("meta"))] == ["meta"] * 4

    def test_boxes_on_two_devices(self):
        for call in (lambda a, b: fastcam.box_iou(a, b), lambda a, b: paired_iou(a, b[None])):
            with pytest.raises(ValueError, match="a and b must be on one device, got cpu and meta"):
                call(self.TRUTH, self.TRUTH.to("meta"))


class TestSizesOfEachBox:
    BOXES = torch.tensor([[60, 27, 385, 331], [3, 5, 90, 77], [0, 0, 1, 1]])
    SIZES = torch.tensor([[335, 500], [80, 91], [2, 3]])

    @pytest.mark.parametrize("kind", [torch.Tensor.clone, torch.Tensor.numpy], ids=["tensor", "array"])
    def test_as_one_after_the_other(self, kind):
        for move in (lambda boxes, sizes: fastcam.resize_boxes(boxes, sizes, (224, 200)), fastcam.crop_boxes):
            alone = [move(box[None], tuple(size.tolist())) for box, size in zip(self.BOXES, self.SIZES, strict=True)]
            assert torch.equal(move(self.BOXES, kind(self.SIZES)), torch.cat(alone))

    @pytest.mark.parametrize(
        ("sizes", "why"),
        [
            (SIZES[:2], r"image_size must be \(H, W\) or \(3, 2\) in whole pixels, got torch.int64 of shape \(2, 2\)"),
            (SIZES.double(), r"in whole pixels, got torch.float64"),
            (SIZES * 0, r"image_size must be \(H, W\), each at least 1, got 0"),
        ],
    )
    def test_refused(self, sizes, why):
        with pytest.raises(ValueError, match=why):
            fastcam.crop_boxes(self.BOXES, sizes)
