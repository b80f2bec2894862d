import pytest
import torch

from fastcam.methods import HaS
from fastcam.methods.has import hide_patches


def test_32_is_the_side_of_a_patch_in_pixels():
    torch.manual_seed(0)
    hidden = hide_patches(torch.ones(4, 3, 224, 224), 32, 0.5)
    cells = hidden.reshape(4, 3, 7, 32, 7, 32)
    # A cell of 32x32 pixels is all there or all gone, in every channel.
    assert torch.equal(cells.amin((3, 5)), cells.amax((3, 5)))
    assert torch.equal(hidden.amin(1), hidden.amax(1))


def test_patches_are_drawn_for_each_image_with_the_rate():
    torch.manual_seed(0)
    hidden = hide_patches(torch.ones(400, 1, 224, 224), 32, 0.3)[:, 0, ::32, ::32]
    share = (hidden == 0).double().mean().item()
    assert share == pytest.approx(0.3, abs=4 * (0.21 / hidden.numel()) ** 0.5)
    assert len(hidden.reshape(400, -1).unique(dim=0)) > 390


def test_cut_patches_at_the_border():
    torch.manual_seed(1)
    hidden = hide_patches(torch.ones(64, 1, 40, 70), 32, 0.5)
    for rows in (slice(0, 32), slice(32, 40)):
        for columns in (slice(0, 32), slice(32, 64), slice(64, 70)):
            cell = hidden[:, 0, rows, columns].flatten(1)
            assert torch.equal(cell.amin(1), cell.amax(1))


@pytest.mark.parametrize(("rate", "left"), [(0, 1), (1, 0)])
def test_rates_at_the_ends(rate, left):
    assert (hide_patches(torch.ones(2, 1, 64, 64), 32, rate) == left).all()


def test_the_images_handed_in_stay():
    images = torch.ones(2, 3, 64, 64)
    hide_patches(images, 32, 1)
    assert (images == 1).all()


def test_no_gradient_where_hidden():
    torch.manual_seed(0)
    images = torch.ones(1, 1, 64, 64, requires_grad=True)
    hidden = hide_patches(images, 32, 0.5)
    hidden.sum().backward()
    assert torch.equal(images.grad, hidden.detach())


def test_a_seed_settles_it():
    def one():
        torch.manual_seed(5)
        return hide_patches(torch.ones(2, 1, 64, 64), 16, 0.5)

    assert torch.equal(one(), one())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"patch": 0}, "patch must be"), ({"patch": 2.5}, "patch must be"), ({"drop_rate": 1.1}, "drop_rate must lie in")],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        HaS(**arguments)
