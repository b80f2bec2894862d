"""Prompts for SAM, against its own arithmetic written out: the frame of its picture, and masks made of its logits."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import fastcam


def blobs(size, centres, width=0.15):
    """A smooth map (H, W) with a peak of 1 at each centre (x, y), fractions of the size."""
    y, x = (torch.arange(length, dtype=torch.float64) / length for length in size)
    longest = max(size)
    maps = [
        torch.exp(
            -((x[None] - cx) ** 2 * (size[1] / longest) ** 2 + (y[:, None] - cy) ** 2 * (size[0] / longest) ** 2)
            / (2 * width**2)
        )
        for cx, cy in centres
    ]
    return torch.stack(maps).amax(0).float()


def located(maps, **changes):
    protocol = fastcam.PAPER.replace(percentile=100, **changes)
    size = maps.shape[-2:]
    return fastcam.localization.localize_maps(
        maps, torch.zeros(len(maps), dtype=torch.int64), size=size, protocol=protocol, return_maps=True
    )


def mask_of(logits, size):
    """What SAM's postprocess_masks makes of its low-resolution logits: the mask in the picture."""
    scale = 1024 / max(size)
    height, width = int(size[0] * scale + 0.5), int(size[1] * scale + 0.5)
    framed = F.interpolate(torch.from_numpy(logits)[None], (1024, 1024), mode="bilinear", align_corners=False)
    own = F.interpolate(framed[..., :height, :width], size, mode="bilinear", align_corners=False)
    return own[0, 0] > 0


@pytest.mark.parametrize("size", [(256, 256), (300, 451), (480, 64), (1024, 1024), (1500, 2000), (37, 53)])
def test_masks_lie_where_the_map_was_kept(size):
    heat = blobs(size, [(0.7, 0.4)])
    found = located(heat[None])
    ((prompt,),) = found.to_sam_prompts()
    assert prompt["mask_input"].shape == (1, 256, 256)
    assert prompt["mask_input"].dtype == np.float32
    kept, again = heat > 0.35 * heat.max(), mask_of(prompt["mask_input"], size)
    union = (kept | again).sum()
    # At the map's own resolution or 256 pixels, whichever is coarser, the border may move by a pixel.
    assert (kept & again).sum() / union > 0.93
    y, x = divmod(int(heat.argmax()), size[1])
    assert prompt["point_coords"].tolist() == [[x, y]]
    assert prompt["point_labels"].tolist() == [1]
    # The corners that segment_anything.utils.amg.batched_mask_to_box gives: the first and the last pixel.
    rows, columns = kept.any(1).nonzero().flatten(), kept.any(0).nonzero().flatten()
    assert prompt["box"].tolist() == [columns[0], rows[0], columns[-1], rows[-1]]


def test_logits_are_0_at_the_threshold_and_10_at_the_peak():
    # As large as the frame: reduced by means of 4x4 alone.
    heat = torch.zeros(1024, 1024)
    heat[512:516, 512:516], heat[0:8, 8:12] = 2.0, 1.2
    found = located(heat[None], threshold=0.5)
    ((prompt,),) = found.to_sam_prompts()
    logits = prompt["mask_input"][0]
    # 2 is the peak, 1 the threshold, 0 the minimum; the second region is kept and is not this box's.
    assert prompt["box"].tolist() == [8, 0, 11, 7]
    assert logits[0:2, 2] == pytest.approx(10)
    assert logits[128, 128] == -10
    assert (logits < 0).sum() == 256 * 256 - 2
    heat[100:104, 100:104] = 0.75
    found = dataclasses.replace(located(heat[None], threshold=0.5), boxes=torch.tensor([[0.0, 0, 1024, 1024]]))
    logits = found.to_sam_prompts()[0][0]["mask_input"][0]
    assert logits[25, 25] == pytest.approx(-2.5)
    assert logits[128, 128] == pytest.approx(10)
    assert logits[0, 2] == pytest.approx(2)


def test_what_is_padding_is_background():
    ((prompt,),) = located(torch.ones(1, 100, 50)).to_sam_prompts()
    logits = prompt["mask_input"][0]
    assert (logits[:, :128] == 10).all()
    assert (logits[:, 128:] == -10).all()


def test_each_box_of_a_map_has_its_own():
    heat = torch.zeros(2, 64, 64)
    heat[0, 4:10, 4:10], heat[0, 30:60, 20:50] = 1.0, 0.7
    found = located(heat, keep="all")
    prompts = found.to_sam_prompts()
    assert [len(one) for one in prompts] == [2, 0]
    assert [one["box"].tolist() for one in prompts[0]] == [[20, 30, 49, 59], [4, 4, 9, 9]]
    for one, (x0, y0, x1, y1) in zip(prompts[0], [(20, 30, 50, 60), (4, 4, 10, 10)], strict=True):
        expected = torch.zeros(64, 64, dtype=torch.bool)
        expected[y0:y1, x0:x1] = True
        assert torch.equal(mask_of(one["mask_input"], (64, 64)), expected)


def test_levels_and_several_classes():
    maps = torch.stack([blobs((40, 60), [(0.3, 0.3)]), blobs((40, 60), [(0.7, 0.6)])])[None]
    found = fastcam.localization.localize_maps(
        maps, torch.tensor([[0, 1]]), size=(40, 60), protocol=fastcam.WSOLEVAL.replace(threshold=0.5), return_maps=True
    )
    assert found.maps.dtype == torch.uint8
    (prompts,) = found.to_sam_prompts()
    assert [one["point_coords"].tolist() for one in prompts] == [[[18, 12]], [[42, 24]]]
    assert all(np.isfinite(one["mask_input"]).all() for one in prompts)


def test_maps_are_needed_and_that_of_each_box():
    heat = blobs((20, 20), [(0.5, 0.5)])[None]
    with pytest.raises(
        ValueError, match="to_sam_prompts needs the map of each box: a Localization with return_maps=True"
    ):
        dataclasses.replace(located(heat), maps=None).to_sam_prompts()
    several = fastcam.localization.localize_maps(
        heat.expand(2, 20, 20)[None],
        torch.tensor([[0, 1]]),
        size=(20, 20),
        protocol=fastcam.PAPER.replace(keep="all"),
        return_maps=True,
    )
    (single,) = fastcam.boxes_from_maps(heat, protocol=fastcam.PAPER.replace(keep="all")).image_boxes()
    (prompts,) = several.to_sam_prompts()
    assert len(prompts) == 2 * len(single.boxes)
    assert [one["box"].tolist() for one in prompts] == 2 * [
        [x0, y0, x1 - 1, y1 - 1] for x0, y0, x1, y1 in single.boxes.tolist()
    ]
    with pytest.raises(ValueError, match="of one class an image"):
        dataclasses.replace(several, place=None).to_sam_prompts()


def test_a_peak_that_is_infinite():
    heat = blobs((20, 20), [(0.5, 0.5)])
    heat[10, 10] = torch.inf
    found = dataclasses.replace(
        located(heat[None]), thresholds=torch.tensor([0.5]), boxes=torch.tensor([[5.0, 5, 15, 15]])
    )
    ((prompt,),) = dataclasses.replace(found, areas=torch.tensor([50])).to_sam_prompts()
    assert prompt["point_coords"].tolist() == [[10, 10]]
    assert np.isfinite(prompt["mask_input"]).all()
