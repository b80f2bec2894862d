"""Tokens' rows and columns where the image does not say them, and which tokens a gradient map is taken of."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import fastcam
from fastcam.extractors.gradient_source import gradient_source
from fastcam.extractors.layout import Layout
from fastcam.extractors.nameable import nameable_maps

C, SIDE = 8, 8


class Resizes(nn.Module):
    """Resizes its images, to 96x96, cuts them into tokens, 12x12, and pools these, or attends to them."""

    def __init__(self, *, class_token: bool, side: int = SIDE, size: tuple[int, int] | None = (96, 96)) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.size, self.patches = size, nn.Conv2d(3, C, side, side)
        self.token = nn.Parameter(torch.rand(1, 1, C)) if class_token else None
        self.norm = nn.LayerNorm(C)
        self.head = nn.Linear(C, 5)

    def tokens(self, images: Tensor) -> Tensor:
        if self.size is not None:
            images = nn.functional.interpolate(images, self.size, mode="bilinear", align_corners=False)
        x = self.patches(images).flatten(2).transpose(1, 2)
        if self.token is not None:
            x = torch.cat([self.token.expand(len(x), -1, -1), x], 1)
        return self.norm(x)  # type: ignore[no-any-return]

    def attend(self, x: Tensor) -> Tensor:
        return self.head(((x[:, :1] @ x.transpose(1, 2)).softmax(2) @ x)[:, 0])  # type: ignore[no-any-return]

    def forward(self, images: Tensor) -> Tensor:
        x = self.tokens(images)
        return self.head(x.mean(1)) if self.token is None else self.attend(x)  # type: ignore[no-any-return]


# 16 x 9 is another grid of 144 tokens, and that of the image's aspect; no grid of so many has the last aspect.
@pytest.mark.parametrize("sizes", [[(96, 96), (128, 72)], [(128, 72), (96, 96)], [(96, 128)]])
class TestOfNetworksThatResize:
    def test_linear_maps(self, sizes: list[tuple[int, int]]) -> None:
        model = Resizes(class_token=False).eval()
        localizer = fastcam.Localizer(model)
        for count in (1, 2):
            for size in sizes:
                images = torch.rand(count, 3, *size)
                with torch.no_grad():
                    expected = (model.tokens(images) @ model.head.weight[3]).reshape(count, 12, 12)
                maps = localizer.extract(images, 3).maps(clamp_negative=False)
                torch.testing.assert_close(maps, expected, rtol=1e-4, atol=1e-5)

    def test_gradient_maps(self, sizes: list[tuple[int, int]]) -> None:
        model = Resizes(class_token=True).eval()
        localizer = fastcam.Localizer(model, cam="hires-cam")
        for count in (1, 2):
            for size in sizes:
                images = torch.rand(count, 3, *size)
                tokens = model.tokens(images).detach().requires_grad_()
                (gradient,) = torch.autograd.grad(model.attend(tokens)[:, 3].sum(), tokens)
                expected = (gradient * tokens).sum(2)[:, 1:].reshape(count, 12, 12).relu().detach()
                maps = localizer.extract(images, 3).maps(clamp_negative=False)
                torch.testing.assert_close(maps, expected, rtol=1e-4, atol=1e-6)
                assert nameable_maps(model, images)[-1].grid == (12, 12)


def test_patches_that_leave_a_border_out() -> None:
    # 15 x 4 patches of 14 pixels; so many tokens have no grid that is as narrow as the image.
    model = Resizes(class_token=True, side=14, size=None).eval()
    for count in (1, 2):
        maps = fastcam.Localizer(model, cam="grad-cam").extract(torch.rand(count, 3, 212, 68)).maps()
        assert maps.shape == (count, 15, 4)


class Coarser(nn.Module):
    """Positions of a convolution that are joined, ``side`` x ``side`` of them to a token; a class token's attention."""

    def __init__(self, side: int, prefix: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.pixels, self.unfold = nn.Conv2d(3, 4, 4, 4), nn.Unfold(side, stride=side)
        self.embed, self.norm, self.head = nn.Linear(4 * side * side, C), nn.LayerNorm(C), nn.Linear(C, 5)
        self.extra = nn.Parameter(torch.rand(1, prefix, C))

    def forward(self, images: Tensor) -> Tensor:
        x = self.embed(self.unfold(self.pixels(images)).transpose(1, 2))
        x = self.norm(torch.cat([self.extra.expand(len(x), -1, -1), x], 1))
        return self.head(((x[:, :1] @ x.transpose(1, 2)).softmax(2) @ x)[:, 0])  # type: ignore[no-any-return]


@pytest.mark.parametrize(("side", "grid"), [(2, (8, 12)), (4, (4, 6))])
@pytest.mark.parametrize("prefix", [1, 2, 5])
def test_tokens_of_patches_of_patches(side: int, grid: tuple[int, int], prefix: int) -> None:
    model, images = Coarser(side, prefix).eval(), torch.rand(2, 3, 64, 96)
    found = gradient_source(model, images, "of a class token")
    assert (found.features, found.layout) == ("norm", Layout(3, 2, prefix))
    assert fastcam.Localizer(model, cam="grad-cam").extract(images).maps().shape == (2, *grid)


class Branches(nn.Module):
    """Two grids of tokens, each with a class token of its own; the logits are the mean of both."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.coarse, self.fine = Resizes(class_token=True, side=16), Resizes(class_token=True)

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([self.coarse(images), self.fine(images)]).mean(0)


def test_of_several_branches_the_others_are_said() -> None:
    found = gradient_source(Branches().eval(), torch.rand(1, 3, 96, 96), "of a class token")
    assert (found.features, found.beside) == ("fine.norm", ("coarse.norm",))
    assert "of one branch (beside it: 'coarse.norm')" in str(found)
    assert gradient_source(Coarser(2, 1).eval(), torch.rand(1, 3, 64, 96), "of a class token").beside == ()


class Projection(nn.Module):
    """A query, a key or a value, of its own convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(C, C, 3, padding=1, groups=C), nn.BatchNorm2d(C)

    def forward(self, maps: Tensor) -> Tensor:
        return self.norm(self.convolution(maps)).flatten(2).transpose(1, 2)  # type: ignore[no-any-return]


class Convolutional(nn.Module):
    """An attention between positions whose queries, keys and values come of convolutions."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches, self.norm = nn.Conv2d(3, C, SIDE, SIDE), nn.GroupNorm(1, C)
        self.query, self.key, self.value = Projection(), Projection(), Projection()
        self.head = nn.Linear(C, 5)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.norm(self.patches(images))
        attention = (self.query(maps)[:, :1] @ self.key(maps).transpose(1, 2)).softmax(2)
        return self.head((attention @ self.value(maps))[:, 0])  # type: ignore[no-any-return]


def test_what_attention_is_computed_of_is_taken_before_its_values() -> None:
    found = gradient_source(Convolutional().eval(), torch.rand(1, 3, 64, 96), "of an attention")
    assert found.features == "norm"
