"""From pictures to inputs, and boxes back."""

import numpy as np
import pytest
import torch
from PIL import Image

from fastcam import fitting
from fastcam.inputs import CROP, GEOMETRIES, RESIZE, Inputs


@pytest.mark.parametrize(
    ("inputs", "box", "size", "end", "wanted"),
    [
        (RESIZE, (60, 27, 385, 331), (335, 500), "exclusive", (26, 18, 172, 221)),
        (RESIZE, (111, 108, 441, 193), (375, 500), "inclusive", (49, 64, 197, 115)),
        (CROP, (60, 27, 385, 331), (335, 500), "exclusive", (14, 4, 180, 223)),
        (CROP, (60, 27, 384, 330), (335, 500), "inclusive", (14, 4, 180, 223)),
        (Inputs((10, 35)), (1, 2, 4, 3), (20, 10), "inclusive", (3, 1, 14, 1)),
    ],
)
def test_boxes_are_truncated_as_the_references_do(inputs, box, size, end, wanted):
    assert inputs.boxes(np.array([box], float), size, ends=end).tolist() == [list(wanted)]


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
    others = [Inputs((50, 50), (40, 30), fit="cover"), Inputs((60, 40), (33, 28), fit="cover", crop_offset="round")]
    for inputs in (*GEOMETRIES.values(), Inputs((50, 400), (40, 300)), *others):
        ((x0, y0, x1, y1),) = inputs.boxes(np.array([[100, 40, 140, 60]]), (100, 200), ends="exclusive")
        for moved in (inputs.picture(pixels)[..., 0] > 127, inputs.mask(inside) > 127):
            rows, columns = np.flatnonzero(moved.any(1)), np.flatnonzero(moved.any(0))
            found = [columns[0], rows[0], columns[-1], rows[-1]]
            assert np.abs(np.subtract(found, [x0, y0, x1, y1])).max() <= 2
            assert moved.shape == inputs.size


def test_back_to_the_picture():
    assert RESIZE.to_picture([[0, 0, 224, 224]], (335, 500)).tolist() == [[0, 0, 500, 335]]
    assert CROP.to_picture([[0, 0, 224, 112]], (512, 1024)).tolist() == [[64, 32, 960, 256]]


@pytest.mark.parametrize(
    "arguments",
    [((0, 224),), ((224,),), ((224.5, 224),), (("224", 224),), ((224, 224), (0, 3)), ((224, 224), (225, 224))],
)
def test_sizes_that_are_none(arguments):
    with pytest.raises(ValueError, match=r"resize must be|crop must"):
        Inputs(*arguments)


def test_normalization():
    inputs = Inputs((2, 3), mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 2.0))(np.full((2, 3, 3), 255, np.uint8))
    assert inputs.dtype == torch.float32
    assert torch.equal(inputs, torch.tensor([1.0, 3.0, 0.5])[:, None, None].expand(3, 2, 3))


def test_the_whole_picture_is_kept():
    picture = np.zeros((100, 300, 3), np.uint8)
    picture[:, :30], picture[:, -30:] = 255, 255
    small = Inputs((20, 20), mean=(0, 0, 0), std=(1, 1, 1))(picture)
    assert (small[:, :, [0, -1]] > 0.95).all()
    assert (small[:, :, 4:-4] < 0.05).all()


@pytest.mark.parametrize("how", ["bilinear", "bicubic"])
def test_shrinking_is_antialiased(how):
    checkerboard = (np.indices((200, 200)).sum(0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, axis=2)
    small = Inputs((50, 50), filter=how, mean=(0, 0, 0), std=(1, 1, 1))(checkerboard)
    assert (small - 0.5).abs().max() < 0.05


def test_the_filter_is_pillows():
    pixels = np.random.default_rng(0).integers(0, 256, (33, 50, 3), dtype=np.uint8)
    wanted = np.asarray(Image.fromarray(pixels).resize((20, 10), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(Inputs((10, 20), filter="bicubic").picture(pixels), wanted)


def test_one_picture_and_a_batch_are_the_same_bits():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 33, 50, 3), dtype=np.uint8)
    inputs = Inputs((20, 24))
    batch = inputs.normalized(torch.stack([inputs.tensor(one) for one in pixels]))
    assert torch.equal(batch, torch.stack([inputs(one) for one in pixels]))


def test_what_a_checkpoint_records_comes_back():
    inputs = Inputs((40, 30), (20, 10), "bicubic", (0.1, 0.2, 0.3), (1, 2, 3), "cover", "round", "bgr")
    assert Inputs.from_mapping(inputs.to_mapping()) == inputs


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mean": (0.5, 0.5)}, "mean must have three finite values"),
        ({"mean": (0.5, 0.5, "0")}, "mean must have three finite values"),
        ({"std": (1.0, 1.0, 0.0)}, "std must be positive"),
        ({"std": (1.0, 1.0, float("nan"))}, "std must have three finite values"),
        ({"filter": "wavelet"}, "filter must be one of 'nearest', .*'bilinear', .*'bicubic', .* got 'wavelet'"),
        ({"filter": 2}, "filter must be one of .* got 2"),
        ({"fit": "contain"}, "fit must be one of 'stretch', 'cover', got 'contain'"),
        ({"fit": "cover"}, "fit='cover' needs a crop"),
        ({"crop_offset": "ceil"}, "crop_offset must be one of 'floor', 'round', got 'ceil'"),
        ({"channels": "grb"}, "channels must be one of 'rgb', 'bgr', got 'grb'"),
    ],
)
def test_bad_fields(fields, message):
    with pytest.raises(ValueError, match=message):
        Inputs(**fields)


LEVELS = np.random.default_rng(0).integers(0, 256, (33, 50, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "picture",
    [
        LEVELS / 255,
        (LEVELS / 255).astype(np.float32),
        torch.from_numpy(LEVELS).permute(2, 0, 1),
        torch.from_numpy(LEVELS).permute(2, 0, 1) / 255,
        np.asfortranarray(LEVELS),
        LEVELS[::-1][::-1],
    ],
)
def test_a_picture_is_the_same_however_it_is_held(picture):
    wanted = np.asarray(Image.fromarray(LEVELS).resize((24, 20), Image.Resampling.BILINEAR)) / 255
    inputs = Inputs((20, 24), mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 2.0))
    wanted = (wanted - [0.5, 0.25, 0.0]) / [0.5, 0.25, 2.0]
    np.testing.assert_allclose(inputs(picture).permute(1, 2, 0).numpy(), wanted, atol=1e-6)


def test_grey_pictures_are_three_times_the_same_channel():
    grey = LEVELS[..., 0]
    wanted = np.asarray(Image.fromarray(grey).resize((24, 20), Image.Resampling.BILINEAR)) / 255
    inputs = Inputs((20, 24), mean=(0, 0, 0), std=(1, 1, 1))
    for picture in (grey, grey[..., None], grey / 255, torch.from_numpy(grey), torch.from_numpy(grey)[None]):
        np.testing.assert_allclose(inputs(picture).numpy(), np.stack([wanted] * 3), atol=1e-6)


@pytest.mark.parametrize(
    ("picture", "error", "message"),
    [
        (LEVELS.astype(np.float32), ValueError, r"must lie in \[0, 1\], got 0 to 255"),
        (LEVELS / 127.5 - 1, ValueError, r"must lie in \[0, 1\], got -1 to 1; normalized already"),
        (np.full((4, 4, 3), np.nan), ValueError, r"must lie in \[0, 1\], got nan to nan"),
        (LEVELS[None], ValueError, r"must be \(H, W, 3\) or \(H, W\), got shape \(1, 33, 50, 3\); several pictures"),
        (torch.zeros(2, 3, 4, 4), ValueError, r"\(3, H, W\), .*got shape \(2, 3, 4, 4\); several pictures"),
        (LEVELS.transpose(2, 0, 1), ValueError, r"got shape \(3, 33, 50\)"),
        (LEVELS.astype(np.int64), ValueError, "must be uint8, or floating point .* got int64"),
        ([[0, 1]], TypeError, "pixels must be an array or a tensor, got list"),
    ],
)
def test_what_is_no_picture(picture, error, message):
    with pytest.raises(error, match=message):
        RESIZE(picture)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_batch_in_floating_point_is_not_divided_again(dtype):
    images = torch.from_numpy(LEVELS[None]).permute(0, 3, 1, 2)
    inputs = Inputs((33, 50), mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 2.0))
    given = (images.double() / 255).to(dtype)
    wanted = (given.double() - torch.tensor([0.5, 0.25, 0.0])[:, None, None]) / torch.tensor([0.5, 0.25, 2.0])[
        :, None, None
    ]
    found = inputs.normalized(given)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), wanted, atol=1e-6, rtol=0)
    assert torch.equal(inputs.normalized(given[0]), found[0])


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (torch.full((1, 3, 2, 2), 255.0), ValueError, r"in floating point must lie in \[0, 1\], got 255 to 255"),
        (torch.full((1, 3, 2, 2), float("nan")), ValueError, r"must lie in \[0, 1\], got nan"),
        (torch.zeros(1, 3, 2, 2, dtype=torch.int64), TypeError, "images must be uint8, .* got torch.int64"),
        (torch.zeros(2, 2, 3, dtype=torch.uint8), ValueError, r"images must be \(N, 3, h, w\).*got shape \(2, 2, 3\)"),
        (torch.zeros(1, 1, 4, 4, dtype=torch.uint8), ValueError, r"images must be .*got shape \(1, 1, 4, 4\)"),
    ],
)
def test_what_is_no_batch(images, error, message):
    with pytest.raises(error, match=message):
        RESIZE.normalized(images)


def test_an_empty_batch():
    assert RESIZE.normalized(torch.zeros(0, 3, 4, 4)).shape == (0, 3, 4, 4)


class TestCovering:
    """A picture keeps its aspect, and the middle is taken."""

    # The longer edges of a square are cut (torchvision's Resize), those of other rectangles rounded (timm's
    # ResizeKeepRatio); by hand: 32 * 61 / 45 = 43.4, 40 * 45 / 61 = 29.5 against 24, so that the ratio is 45 / 24.
    @pytest.mark.parametrize(
        ("size", "resize", "wanted"),
        [
            ((45, 61), (32, 32), (32, 43)),
            ((61, 45), (32, 32), (43, 32)),
            ((50, 50), (32, 32), (32, 32)),
            ((3, 8), (9, 9), (9, 24)),
            ((45, 61), (24, 40), (30, 40)),
            ((45, 61), (40, 24), (40, 54)),
        ],
    )
    def test_sizes(self, size, resize, wanted):
        inputs = Inputs(resize, (8, 8), fit="cover", filter="bicubic", crop_offset="round")
        pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
        whole = np.asarray(Image.fromarray(pixels).resize(wanted[::-1], Image.Resampling.BICUBIC))
        top, left = round((wanted[0] - 8) / 2), round((wanted[1] - 8) / 2)
        np.testing.assert_array_equal(inputs.picture(pixels), whole[top : top + 8, left : left + 8])

    def test_an_odd_rest_is_rounded_down_or_to_even(self):
        pixels = np.arange(27, dtype=np.uint8)[:, None].repeat(29, axis=1)
        for rounding, first in (("floor", 1), ("round", 2)):  # of 3 / 2
            inputs = Inputs((27, 29), (24, 24), crop_offset=rounding)
            assert inputs.picture(pixels)[0, 0, 0] == first

    def test_boxes_go_there_and_back(self):
        inputs = Inputs((100, 100), (80, 80), fit="cover")
        # 200x400 becomes 100x200, of which rows 10 to 90 and columns 60 to 140 are kept.
        assert inputs.boxes(np.array([[140.0, 40, 240, 160]]), (200, 400), ends="exclusive").tolist() == [
            [10, 10, 59, 69]
        ]
        assert inputs.to_picture(np.array([10, 10, 60, 70]), (200, 400)).tolist() == [140, 40, 240, 160]

    def test_channels_may_be_turned_around(self):
        pixels = np.zeros((2, 2, 3), np.uint8)
        pixels[..., 0] = 255
        given = Inputs((2, 2), mean=(0.5, 0, 0), std=(0.25, 1, 1), channels="bgr")(pixels)
        assert given[:, 0, 0].tolist() == [0, 0, 2]

    @pytest.mark.parametrize("how", ["nearest", "box", "hamming", "lanczos"])
    def test_pillows_other_filters(self, how):
        pixels = np.random.default_rng(0).integers(0, 256, (33, 50, 3), dtype=np.uint8)
        wanted = np.asarray(Image.fromarray(pixels).resize((20, 10), Image.Resampling[how.upper()]))
        np.testing.assert_array_equal(Inputs((10, 20), filter=how).picture(pixels), wanted)

    def test_a_long_strip_is_not_made_as_a_whole(self, monkeypatch):
        pixels = np.random.default_rng(0).integers(0, 256, (30, 90, 3), dtype=np.uint8)
        inputs = Inputs((40, 40), (32, 32), fit="cover")
        whole = inputs.picture(pixels)
        monkeypatch.setattr(fitting, "_LARGE", 1)
        assert np.abs(inputs.picture(pixels).astype(int) - whole).max() <= 1
        monkeypatch.undo()
        # 256 rows would be 256 x 15,360,000.
        assert Inputs((256, 256), (224, 224), fit="cover").picture(np.zeros((1, 60000, 3), np.uint8)).shape == (
            224,
            224,
            3,
        )

    def test_a_map_lies_over_the_picture_where_the_crop_was(self):
        inputs = Inputs((100, 100), (80, 80), fit="cover")
        heat = inputs.placed((200, 400)).over_picture(np.ones((20, 20), np.float32))
        assert heat.shape == (100, 200)
        assert (heat[10:90, 60:140] == 1).all()
        assert heat.sum() == 80 * 80
        strip = inputs.placed((1, 1_000_000)).over_picture(np.ones((20, 20), np.float32))
        assert strip.shape == (1, 1_000_000)
        assert strip.sum() == 1
        whole = np.ones((3, 4))
        assert RESIZE.placed((9, 9)).over_picture(whole) is whole
