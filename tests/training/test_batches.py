import pytest
import torch

from fastcam.inputs import Inputs
from fastcam.training.batches import Augmentation, Order


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


def test_wrong_batches():
    with pytest.raises(ValueError, match="batch_size must be a multiple of accumulate=3 x 2 processes, got 8"):
        order(parts=3, processes=2)
    with pytest.raises(ValueError, match="batch_size must be at most the 40 training images, got 64"):
        order(batch_size=64)
