import numpy as np
import pytest
import torch
from PIL import Image

from fastcam.inputs import Inputs
from fastcam.training.batches import Augmentation, Order, resized_crops


def order(batch_size=8, parts=1, rank=0, processes=1, count=40, seed=0):
    return Order(count, batch_size, parts=parts, rank=rank, processes=processes, seed=seed)


def test_every_image_once_an_epoch_and_in_a_new_order():
    one = order()
    first = [number for batch in one for number in batch]
    assert sorted(first) == list(range(40))
    one.epoch = 1
    second = [number for batch in one for number in batch]
    assert sorted(second) == sorted(first)
    assert second != first


def test_what_does_not_fill_a_batch_waits():
    assert len(order(count=47)) == 5
    assert len({number for batch in order(count=47) for number in batch}) == 40


@pytest.mark.parametrize(("processes", "parts"), [(2, 1), (1, 4), (2, 2), (4, 2)])
def test_processes_and_parts_slice_the_same_batches(processes, parts):
    whole = list(order())
    several = [list(order(parts=parts, rank=rank, processes=processes)) for rank in range(processes)]
    for step, batch in enumerate(whole):
        shares = [some[step * parts + part] for some in several for part in range(parts)]
        assert [number for share in shares for number in share] == batch


@pytest.mark.parametrize(("processes", "parts"), [(2, 1), (1, 4), (2, 2)])
def test_processes_and_parts_see_the_same_augmentation(processes, parts):
    augment = Augmentation(6, True, Inputs())
    images = torch.randint(0, 256, (8, 3, 10, 11), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    whole = augment(images, order(), 3)
    pieces = []
    for rank in range(processes):
        own = order(parts=parts, rank=rank, processes=processes)
        for part in range(parts):
            number = 3 * parts + part
            pieces.append(augment(images[own.slice_of(number)[1]], own, number))
    assert torch.equal(torch.cat(pieces), whole)


def test_crops_and_mirrors_are_pixels_of_the_image():
    images = torch.arange(8 * 3 * 10 * 12).reshape(8, 3, 10, 12).remainder(251).to(torch.uint8)
    flat = Inputs(mean=(0, 0, 0), std=(1 / 255,) * 3)
    seen = set()
    for step in range(30):
        own = order(count=8 * 30)
        for image, got in zip(images, Augmentation(6, True, flat)(images, own, step), strict=True):
            found = [
                (top, left, mirrored)
                for top in range(5)
                for left in range(7)
                for mirrored in (False, True)
                if torch.equal(
                    got.round().to(torch.uint8),
                    (lambda cut: cut.flip(2) if mirrored else cut)(image[:, top : top + 6, left : left + 6]),
                )
            ]
            assert len(found) == 1
            seen.update(found)
    # Of the 70 ways nearly all come up in 240 draws, those at the ends among them.
    assert len(seen) > 60
    assert {top for top, _, _ in seen} == set(range(5))
    assert {left for _, left, _ in seen} == set(range(7))


def test_no_flip_keeps_the_crops():
    images = torch.randint(0, 256, (8, 3, 10, 10), dtype=torch.uint8)
    plain, mirrored = (Augmentation(6, flip, Inputs())(images, order(), 0) for flip in (False, True))
    for one, other in zip(plain, mirrored, strict=True):
        assert torch.equal(one, other) or torch.equal(one.flip(2), other)


def test_crops_of_googlenet_have_its_areas_and_shapes():
    generator = np.random.default_rng(0)
    y0, x0, y1, x1 = resized_crops(lambda low, high: generator.integers(low, high, 20000), 256, 256).T
    assert (np.minimum(y0, x0) >= 0).all()
    assert (np.maximum(y1, x1) <= 256).all()
    height, width = y1 - y0, x1 - x0
    area, ratio = height * width / 256**2, width / height
    assert 0.075 < area.min() < 0.09
    assert area.max() > 0.98
    # Rounded to whole pixels: of 72, the smallest side, half a pixel is 1 in 144.
    assert (np.abs(np.log(ratio)) < np.log(4 / 3) + 0.02).all()
    # Wider than high as often as not, to four standard deviations.
    assert abs((ratio > 1).mean() - (ratio < 1).mean()) < 4 / 20000**0.5
    # Up to three quarters of the area every shape fits, and there it is uniform.
    small = area[area < 0.7]
    assert np.histogram(small, 5, (0.08, 0.7))[0] / len(small) == pytest.approx([0.2] * 5, abs=0.02)
    # Corners reach every place that the crop leaves.
    place = (y0 / np.maximum(256 - height, 1))[height < 200]
    assert np.histogram(place, 4, (0, 1))[0] / len(place) == pytest.approx([0.25] * 4, abs=0.02)


def test_a_crop_that_never_fits_is_the_whole_image():
    # In a strip of 8 x 100 no crop has the shape and 8 percent and more of the area unless it is 8 to 11 wide.
    crops = resized_crops(lambda _, high: np.full(3, high - 1), 8, 100)
    assert crops.tolist() == [[0, 0, 8, 100]] * 3


def test_resized_crops_are_those_of_pillow():
    own, flat = order(), Inputs(mean=(0, 0, 0), std=(1 / 255,) * 3)
    smooth = torch.rand(8, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    images = (torch.nn.functional.interpolate(smooth, (48, 48), mode="bicubic").clamp(0, 1) * 255).to(torch.uint8)
    plain, mirrored = (Augmentation(32, flip, flat, googlenet_resize=True)(images, own, 2) for flip in (False, True))
    draw = own.draws(2)
    for _ in range(3):
        draw(0, 2)  # of the crops and mirrors without it
    for image, (y0, x0, y1, x1), got in zip(images, resized_crops(draw, 48, 48).tolist(), plain, strict=True):
        pixels = image[:, y0:y1, x0:x1].permute(1, 2, 0).numpy()
        wanted = np.asarray(Image.fromarray(pixels).resize((32, 32), Image.Resampling.BILINEAR))
        assert np.abs(got.permute(1, 2, 0).numpy() - wanted).max() <= 1.01
    turned = [torch.equal(one, other.flip(2)) for one, other in zip(plain, mirrored, strict=True)]
    assert 0 < sum(turned) < 8
    assert all(same or torch.equal(*pair) for same, pair in zip(turned, zip(plain, mirrored, strict=True), strict=True))
    assert plain.is_contiguous(memory_format=torch.channels_last)
    parts = order(parts=2)
    half = Augmentation(32, True, flat, googlenet_resize=True)(images[4:], parts, 5)
    assert torch.equal(half, mirrored[4:])


def test_wrong_batches():
    with pytest.raises(ValueError, match="batch_size must be a multiple of accumulate=3 x 2 processes, got 8"):
        order(parts=3, processes=2)
    with pytest.raises(ValueError, match="batch_size must be at most the 40 training images, got 64"):
        order(batch_size=64)
