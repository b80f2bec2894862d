"""The two evaluation geometries."""

import numpy as np
import pytest
from PIL import Image

from fastcam.data import CROP, GEOMETRIES, RESIZE, Geometry


@pytest.mark.parametrize(
    ("geometry", "box", "size", "end", "wanted"),
    [
        (RESIZE, (60, 27, 385, 331), (335, 500), "exclusive", (26, 18, 172, 221)),
        (RESIZE, (111, 108, 441, 193), (375, 500), "inclusive", (49, 64, 197, 115)),
        (CROP, (60, 27, 385, 331), (335, 500), "exclusive", (14, 4, 180, 223)),
        (CROP, (60, 27, 384, 330), (335, 500), "inclusive", (14, 4, 180, 223)),
        (Geometry((10, 35)), (1, 2, 4, 3), (20, 10), "inclusive", (3, 1, 14, 1)),
    ],
)
def test_boxes_are_truncated_as_the_references_do(geometry, box, size, end, wanted):
    assert geometry.boxes(np.array([box], float), size, box_end=end).tolist() == [list(wanted)]


def test_no_boxes():
    assert RESIZE.boxes(np.zeros((0, 4)), (8, 8)).shape == (0, 4)


def test_pictures_are_resized_as_pillow_does_and_cropped_at_the_centre():
    pixels = np.random.default_rng(0).integers(0, 256, (333, 500, 3), dtype=np.uint8)
    whole = np.asarray(Image.fromarray(pixels).resize((256, 256), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(CROP.picture(pixels), whole[16:240, 16:240])
    direct = np.asarray(Image.fromarray(pixels).resize((224, 224), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(RESIZE.picture(pixels), direct)


def test_pictures_masks_and_boxes_stay_together():
    pixels, inside = np.zeros((100, 200, 3), np.uint8), np.zeros((100, 200), np.uint8)
    pixels[40:60, 100:140] = inside[40:60, 100:140] = 255
    for geometry in (*GEOMETRIES.values(), Geometry((50, 400), (40, 300))):
        ((x0, y0, x1, y1),) = geometry.boxes(np.array([[100, 40, 140, 60]]), (100, 200), box_end="exclusive")
        for moved in (geometry.picture(pixels)[..., 0] > 127, geometry.mask(inside) > 127):
            rows, columns = np.flatnonzero(moved.any(1)), np.flatnonzero(moved.any(0))
            found = [columns[0], rows[0], columns[-1], rows[-1]]
            assert np.abs(np.subtract(found, [x0, y0, x1, y1])).max() <= 2
            assert moved.shape == geometry.size


def test_back_to_the_picture():
    assert RESIZE.to_picture([[0, 0, 224, 224]], (335, 500)).tolist() == [[0, 0, 500, 335]]
    assert CROP.to_picture([[0, 0, 224, 112]], (512, 1024)).tolist() == [[64, 32, 960, 256]]


@pytest.mark.parametrize("arguments", [((0, 224),), ((224,),), ((224, 224), (0, 3)), ((224, 224), (225, 224))])
def test_sizes_that_are_none(arguments):
    with pytest.raises(ValueError, match=r"resize must be|crop must"):
        Geometry(*arguments)
