"""What an overlay shows, and what it leaves alone."""

import subprocess
import sys

import numpy as np
import pytest

from fastcam.draw import overlay

pytest.importorskip("cv2")

GREY = np.full((120, 160, 3), 128, np.uint8)


def changed(drawn, image=GREY):
    return (drawn != image).any(axis=2)


def test_nothing_to_draw_is_a_copy():
    drawn = overlay(GREY)
    assert np.array_equal(drawn, GREY)
    assert not np.shares_memory(drawn, GREY)


def test_the_picture_given_is_not_touched():
    image = GREY.copy()
    overlay(image, np.eye(4), [[10, 10, 90, 90]], ["cat"])
    assert np.array_equal(image, GREY)


def test_the_box_lies_inside_its_half_open_bounds():
    mask = changed(overlay(GREY, boxes=[[20, 30, 60, 90]]))
    rows, columns = np.nonzero(mask)
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (20, 30, 60, 90)
    assert not mask[40:80, 30:50].any()


def test_a_box_over_the_whole_picture_is_visible_on_every_side():
    mask = changed(overlay(GREY, boxes=[[0, 0, 160, 120]]))
    assert mask[0].all()
    assert mask[-1].all()
    assert mask[:, 0].all()
    assert mask[:, -1].all()


@pytest.mark.parametrize("box", [[0, 0, 0, 0], [50, 50, 50, 90], [200, 10, 300, 20], [60, 60, 50, 70]])
def test_an_empty_box_is_left_out_with_its_caption(box):
    assert not changed(overlay(GREY, boxes=[box], captions=["cat"])).any()


def test_a_box_beyond_the_border_is_cut_off():
    mask = changed(overlay(GREY, boxes=[[-30, 20, 400, 50]]))
    assert mask[20, :].all()
    assert mask[49, 0]
    assert not mask[60:].any()


def test_boxes_have_their_own_colours():
    drawn = overlay(GREY, boxes=[[10, 10, 50, 50], [60, 60, 100, 100]])
    assert not np.array_equal(drawn[10, 10], drawn[60, 60])


def test_the_first_box_and_its_caption_lie_above_the_others():
    box = [20, 40, 140, 100]
    first = overlay(GREY, boxes=[box], captions=["cat 0.77"])
    several = overlay(GREY, boxes=[box] * 3, captions=["cat 0.77", "do", "a"])
    assert np.array_equal(first, several)
    # What it does not cover is seen still.
    assert changed(overlay(GREY, boxes=[box, [0, 0, 160, 120]]))[0].all()


def test_heat_covers_in_proportion_and_cold_stays():
    heat = np.zeros((12, 16), np.float32)
    heat[:, 8:] = np.linspace(1, 7, 8)
    drawn = overlay(GREY, heat)
    assert not changed(drawn)[:, :70].any()
    distance = np.abs(drawn.astype(int) - GREY).sum(axis=2)[60]
    assert distance[155] > distance[100] > 0


def test_only_the_ratio_to_the_maximum_counts():
    heat = np.random.default_rng(0).random((7, 7)).astype(np.float32)
    assert np.array_equal(overlay(GREY, heat), overlay(GREY, heat * 64))


@pytest.mark.parametrize("factor", [2.0**-1000, 2.0**-160, 2.0**200, 2.0**1000])
def test_heat_that_float32_does_not_hold_is_scaled_too(factor):
    heat = np.random.default_rng(0).random((7, 7)) - 0.1
    assert np.array_equal(overlay(GREY, heat), overlay(GREY, heat * factor))
    heat[0, 0] = -1e308  # cold, however it compares with the maximum
    assert np.array_equal(overlay(GREY, heat.clip(0)), overlay(GREY, heat * min(factor, 1)))


@pytest.mark.parametrize("heat", [np.zeros((7, 7)), np.full((7, 7), -1.0), np.full((7, 7), np.nan)])
def test_no_heat_changes_nothing(heat):
    assert np.array_equal(overlay(GREY, heat), GREY)


def test_levels_are_heat_too():
    heat = np.zeros((12, 16), np.uint8)
    heat[6, 8] = 200
    assert changed(overlay(GREY, heat)).any()


def test_opacity():
    heat = np.ones((2, 2))
    assert np.array_equal(overlay(GREY, heat, opacity=0), GREY)
    assert not (overlay(GREY, heat, opacity=1) == 128).any()


@pytest.mark.parametrize("box", [[20, 60, 100, 100], [20, 0, 100, 100], [150, 60, 160, 100]])
def test_the_caption_lies_inside_the_picture(box):
    bare, named = overlay(GREY, boxes=[box]), overlay(GREY, boxes=[box], captions=["cat 0.77"])
    rows, columns = np.nonzero((bare != named).any(axis=2))
    assert len(rows) > 100
    assert columns.max() - columns.min() > 20
    assert (named < 60).all(axis=2).any()


def test_captions_are_reduced_to_ascii():
    box = [[10, 40, 150, 110]]
    plain = overlay(GREY, boxes=box, captions=["cafe"])
    assert np.array_equal(plain, overlay(GREY, boxes=box, captions=["café"]))
    assert np.array_equal(overlay(GREY, boxes=box, captions=["?"]), overlay(GREY, boxes=box, captions=["猫"]))


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 200, 3), (200, 3, 3)])
def test_tiny_pictures(shape):
    image = np.zeros(shape, np.uint8)
    drawn = overlay(image, np.ones((7, 7)), [[0, 0, shape[1], shape[0]]], ["a long caption"])
    assert drawn.shape == shape
    assert drawn.any()


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"image": GREY.astype(float)}, TypeError, "image must be uint8, got float64"),
        ({"image": GREY[..., 0]}, ValueError, r"image must be \(H, W, 3\), got shape \(120, 160\)"),
        ({"image": GREY[:0]}, ValueError, r"image must be \(H, W, 3\)"),
        ({"heat": np.zeros((1, 7, 7))}, ValueError, r"heat must be \(h, w\), got shape \(1, 7, 7\)"),
        ({"boxes": [1, 2, 3, 4]}, ValueError, r"boxes must be .*\(T, 4\), got shape \(4,\)"),
        ({"boxes": [[0, 0, np.nan, 1]]}, ValueError, "boxes must be finite"),
        ({"boxes": [[0, 0, 1, 1]], "captions": ["a", "b"]}, ValueError, r"one per box \(1\) or none, got 2"),
        ({"opacity": 1.5}, ValueError, r"opacity must lie in \[0, 1\], got 1\.5"),
    ],
)
def test_bad_input(kwargs, error, message):
    with pytest.raises(error, match=message):
        overlay(**{"image": GREY, **kwargs})


def test_without_opencv_the_error_says_what_to_install():
    code = (
        "import sys; sys.modules['cv2'] = None\n"
        "import numpy as np, fastcam.draw\n"
        "try: fastcam.draw.overlay(np.zeros((2, 2, 3), np.uint8))\n"
        "except ImportError as error: print(error)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert 'pip install "fastcam[cli]"' in printed
