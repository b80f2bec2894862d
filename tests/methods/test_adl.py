import pytest
import torch
from torch import nn

from fastcam.methods import ADL
from fastcam.methods.adl import AttentionDropout
from fastcam.models import create


def test_drop_mask_by_hand():
    # Means over channels: image 0 [[2, 4], [1, 0]], image 1 [[1, 1], [3, 2]]; their maxima 4 and 3.
    x = torch.tensor([[[[2.0, 5], [1, 0]], [[2, 3], [1, 0]]], [[[1, 0], [3, 4]], [[1, 2], [3, 0]]]])
    kept = AttentionDropout(drop_rate=1, threshold=0.5)(x)
    # Dropped: >= 2, that is 2 and 4; and >= 1.5, that is 3 and 2.
    wanted = x * torch.tensor([[[[0.0, 0], [1, 1]]], [[[1, 1], [0, 0]]]])
    assert torch.equal(kept, wanted)


def test_importance_map_by_hand():
    x = torch.randn(3, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    stressed = AttentionDropout(drop_rate=0, threshold=0.5)(x)
    torch.testing.assert_close(stressed, x / (1 + torch.exp(-x.mean(1, keepdim=True))))


def test_one_draw_for_the_batch_at_the_rate():
    torch.manual_seed(0)
    layer = AttentionDropout(drop_rate=0.75, threshold=0.9)
    x = torch.rand(2, 3, 4, 4) + 0.1
    dropped = 0
    for _ in range(2000):
        zeros = (layer(x) == 0).flatten(1).any(1)
        assert zeros[0] == zeros[1]
        dropped += bool(zeros[0])
    assert dropped / 2000 == pytest.approx(0.75, abs=0.04)


def test_gradients():
    x = torch.rand(2, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    stress, drop = AttentionDropout(0, 0.5), AttentionDropout(1, 0.5)
    assert torch.autograd.gradcheck(stress, x)
    # Through the drop mask flows what is kept, and nothing through the mask itself.
    (grad,) = torch.autograd.grad(drop(x).sum(), x)
    assert torch.equal(grad != 0, drop(x) != 0)
    assert set(grad.unique().tolist()) == {0.0, 1.0}


def test_eval_mode_changes_nothing():
    x = torch.rand(2, 3, 4, 4)
    assert AttentionDropout(1, 0.5).eval()(x) is x


@pytest.mark.parametrize(
    ("name", "positions"),
    [
        # Behind the third pooling, conv4_3 and conv5_3.
        ("vgg16", [(nn.MaxPool2d, 8), (nn.ReLU, 8), (nn.ReLU, 4)]),
        ("resnet50", [(None, 4), (None, 4), (None, 4)]),
    ],
)
def test_layers_stand_behind_the_models_positions(name, positions):
    model = create(name, num_classes=3, width=1 / 16)
    method = ADL(drop_rate=1, threshold=0)  # A threshold of 0 drops all that is not below 0: everything.
    seen = {}
    for position, (kind, side) in zip(model.adl_positions, positions, strict=True):
        module = model.get_submodule(position)
        if kind is not None:
            assert isinstance(module, kind)
        assert side
    method.attach(model)
    assert len(method.layers) == 3
    # Hooks run in the order they were set: these see what the layers made.
    for position in model.adl_positions:
        model.get_submodule(position).register_forward_hook(
            lambda _module, _, output, position=position: seen.update({position: output})
        )
    images = torch.rand(2, 3, 64, 64)
    model.train()
    model(images)
    for (position, output), (_, side) in zip(seen.items(), positions, strict=True):
        assert (output <= 0).all(), position
        assert output.shape[2] == side, position
    model.eval()
    model(images)
    assert all(output.abs().sum() > 0 for output in seen.values())


def test_state_dict_and_evaluation_stay():
    torch.manual_seed(0)
    model = create("resnet50", num_classes=3, width=1 / 16).eval()
    images = torch.rand(1, 3, 64, 64)
    keys, logits = list(model.state_dict()), model(images)
    ADL().attach(model)
    assert list(model.state_dict()) == keys
    assert torch.equal(model(images), logits)


def test_a_model_without_positions():
    with pytest.raises(ValueError, match="adl needs a model with adl_positions, Linear names none"):
        ADL().attach(nn.Linear(2, 2))


@pytest.mark.parametrize("arguments", [{"drop_rate": -0.1}, {"threshold": 2}])
def test_wrong_arguments(arguments):
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        ADL(**arguments)
