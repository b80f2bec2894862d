"""Run lengths of masks: those of pycocotools, and what they are by hand."""

import dataclasses
import json

import numpy as np
import pytest
import torch

import fastcam
from fastcam.rle import decode, encode

MASKS = {
    "nothing": np.zeros((5, 7), bool),
    "everything": np.ones((5, 7), bool),
    "a pixel": np.arange(35).reshape(5, 7) == 0,
    "the last": np.arange(35).reshape(5, 7) == 34,
    "one pixel": np.ones((1, 1), bool),
    "a row": np.arange(9)[None] % 3 == 1,
    "a column": np.arange(9)[:, None] % 2 == 0,
    "checkered": np.indices((8, 9)).sum(0) % 2 == 1,
    "long runs": np.add.outer(np.arange(700), np.arange(900)) % 1000 > 400,
    "longest": np.arange(3000 * 2000).reshape(3000, 2000) > 5_999_000,
}


def random_masks():
    rng = np.random.default_rng(0)
    for share in (0.02, 0.3, 0.5, 0.9):
        yield rng.random((40, 33, 65)) < share


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of pycocotools' own lines
class TestBesidePycocotools:
    @pytest.fixture
    def coco(self):
        return pytest.importorskip("pycocotools.mask")

    @pytest.mark.parametrize("name", MASKS)
    def test_the_same_bytes(self, coco, name):
        mask = MASKS[name]
        (own,) = encode(torch.from_numpy(mask)[None])
        theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
        assert own == theirs
        np.testing.assert_array_equal(coco.decode(own), mask)

    def test_the_same_bytes_of_random_masks(self, coco):
        for masks in random_masks():
            theirs = coco.encode(np.asfortranarray(masks.transpose(1, 2, 0).astype(np.uint8)))
            assert encode(torch.from_numpy(masks)) == theirs
            np.testing.assert_array_equal(decode(theirs).numpy(), masks)

    def test_what_is_not_compressed_it_compresses_to_the_same(self, coco):
        for masks in random_masks():
            tensor = torch.from_numpy(masks)
            plain = [coco.frPyObjects(one, *one["size"]) for one in encode(tensor, compressed=False)]
            assert plain == encode(tensor)

    def test_of_results(self, coco):
        found = located(return_masks=True)
        np.testing.assert_array_equal(
            [coco.decode(one).astype(bool) for one in found.masks_as("rle")], found.masks.numpy()
        )


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("compressed", [True, False])
def test_there_and_back(name, compressed):
    mask = torch.from_numpy(MASKS[name])
    (rle,) = encode(mask[None], compressed=compressed)
    assert rle["size"] == list(mask.shape)
    if compressed:
        rle = json.loads(json.dumps(rle | {"counts": rle["counts"].decode()}))
    assert torch.equal(decode([rle])[0], mask)


def test_by_hand():
    """Columns 0, 1, 1 | 1, 1, 0 of 3 pixels; then numbers that take two characters, and a negative difference."""
    mask = torch.tensor([[0, 1], [1, 1], [1, 0]]).bool()
    assert encode(mask[None], compressed=False) == [{"size": [3, 2], "counts": [1, 4, 1]}]
    assert encode(mask[None]) == [{"size": [3, 2], "counts": b"141"}]
    # Runs 100, 5, 20, 3: the fourth is 3 - 5 = -2. 100 is 4 + 3 * 32: 48 + 32 + 4 = "T", 48 + 3 = "3"; 20 has bit 4
    # set, which would be a sign: 48 + 32 + 20 = "d" and "0"; -2 is 30 in five bits: 48 + 30 = "N".
    line = torch.zeros(128, dtype=torch.bool)
    line[100:105] = line[125:] = True
    assert encode(line[None, :, None]) == [{"size": [128, 1], "counts": b"T35d0N"}]


@pytest.mark.parametrize(
    ("rle", "message"),
    [
        ({"size": [2, 3], "counts": [2, 3]}, r"masks\[0\] must have run lengths of 6 pixels in all"),
        ({"size": [2, 3], "counts": [7, -1]}, r"masks\[0\] must have run lengths of 6 pixels in all"),
        ({"size": [2, 3], "counts": "T"}, r"masks\[0\] must have whole run lengths"),
        ({"size": [2, 3], "counts": " "}, r"masks\[0\] must have compressed run lengths"),
        ({"size": [2, 3], "counts": ""}, r"masks\[0\] must have run lengths of 6 pixels in all"),
        ({"size": [2, 3], "counts": "o" * 13 + "0"}, r"masks\[0\] must have run lengths of at most 64 bits"),
    ],
)
def test_what_is_no_mask_is_refused(rle, message):
    with pytest.raises(ValueError, match=message):
        decode([rle])


def test_other_things_are_refused():
    with pytest.raises(TypeError, match=r"masks\[1\] must be run lengths"):
        decode([{"size": [1, 1], "counts": [1]}, "rle"])
    with pytest.raises(ValueError, match=r"of one size, got \[\(1, 1\), \(1, 2\)\]"):
        decode([{"size": [1, 1], "counts": [1]}, {"size": [1, 2], "counts": [2]}])


def located(index=(0, 1, 0), size=(20, 70), **options):
    features = torch.rand(3, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    weight = torch.rand(2, 4, generator=torch.Generator().manual_seed(1))
    return fastcam.localize(features, weight, list(index), size=size, **options)


class TestMasksOfResults:
    @pytest.mark.parametrize("keep", ["largest", "all"])
    def test_every_form_holds_the_same_pixels(self, keep):
        found = located(protocol=fastcam.PAPER.replace(keep=keep), return_masks=True)
        assert found.masks_as("bool") is found.masks
        packed = found.masks_as("packed")
        assert isinstance(packed, fastcam.PackedMasks)
        assert torch.equal(packed.unpack(), found.masks)
        assert torch.equal(decode(found.masks_as("rle")), found.masks)
        assert torch.equal(found[1].masks_as("packed").unpack(), found.masks[1:2])
        assert torch.equal(decode([found[1].masks_as("rle")]), found.masks[1:2])

    def test_several_classes_and_sizes_are_lists_of_one_an_image(self):
        several = located([[0, 1]] * 3, return_masks=True)
        assert [len(one) for one in several.masks_as("packed")] == [2, 2, 2]
        for form in (
            [one.unpack() for one in several.masks_as("packed")],
            [decode(one) for one in several.masks_as("rle")],
        ):
            assert torch.equal(torch.stack(form), several.masks)
        sizes = [(20, 70), (5, 5), (64, 65)]
        ragged = located(size=sizes, return_masks=True)
        for mask, packed, rle in zip(ragged.masks, ragged.masks_as("packed"), ragged.masks_as("rle"), strict=True):
            assert torch.equal(packed.unpack()[0], mask)
            assert torch.equal(decode([rle])[0], mask)

    def test_a_form_that_does_not_exist_and_masks_that_are_not_there(self):
        with pytest.raises(ValueError, match="form must be one of 'bool', 'packed', 'rle', got 'polygon'"):
            located(return_masks=True).masks_as("polygon")
        with pytest.raises(ValueError, match="masks_as needs masks, got a result without: return_masks=True"):
            located().masks_as("rle")

    def test_of_no_images(self):
        none = located(return_masks=True)[:0]
        assert none.masks_as("rle") == []
        assert len(none.masks_as("packed")) == 0
        assert dataclasses.replace(none, masks=[]).masks_as("packed") == []


class TestMasksAsTruth:
    """Packed masks and run lengths are taken where masks are."""

    MASKS = torch.from_numpy(np.stack([MASKS["a pixel"], MASKS["everything"], np.arange(35).reshape(5, 7) % 3 == 0]))

    def forms(self):
        as_json = [one | {"counts": one["counts"].decode()} for one in encode(self.MASKS)]
        return [fastcam.PackedMasks.pack(self.MASKS), encode(self.MASKS), as_json, encode(self.MASKS, compressed=False)]

    def test_boxes(self):
        wanted = fastcam.boxes_from_masks(self.MASKS, keep="all")
        for form in self.forms():
            found = fastcam.boxes_from_masks(form, keep="all")
            assert torch.equal(found.boxes, wanted.boxes)
            assert torch.equal(found.image, wanted.image)
        assert fastcam.boxes_from_masks(encode(self.MASKS)[0]).boxes.tolist() == [[0, 0, 1, 1]]

    def test_pixel_average_precision(self):
        metrics = pytest.importorskip("fastcam.metrics", exc_type=ImportError)
        maps = torch.rand(3, 5, 7, generator=torch.Generator().manual_seed(0))
        wanted = metrics.PxAP()
        wanted.update(maps, self.MASKS)
        for form in self.forms():
            metric = metrics.PxAP()
            metric.update(maps, form)
            assert metric.compute() == wanted.compute()
        with pytest.raises(ValueError, match="masks must be"):
            metric.update(maps[:2], self.forms()[1])
