import pytest
import torch
from torch.nn import functional as F

from fastcam.methods import SPG
from fastcam.methods.spg import guidance, guided_loss
from fastcam.models import create


def test_guidance_by_hand():
    attention = torch.full((1, 10, 10), 0.5)
    attention[0, 0] = 0.001
    attention[0, 1:5] = 0.9  # 40 pixels, enough
    teacher = guidance(attention, 0.7, 0.01)
    assert (teacher[0, 0] == 0).all()
    assert (teacher[0, 1:5] == 1).all()
    assert (teacher[0, 5:] == -1).all()


def test_where_few_pixels_are_sure_the_maximum_decides():
    attention = torch.full((2, 10, 10), 0.3)
    attention[0, 0, 0] = 0.4  # nothing above 0.7: object is what exceeds 0.28
    attention[1, :4] = 0.8  # 40 above 0.7
    teacher = guidance(attention, 0.7, 0.01)
    assert (teacher[0] == 1).all()
    assert (teacher[1, 4:] == -1).all()


def test_the_loss_counts_known_pixels_alone():
    logits = torch.tensor([[[[2.0, -1.0], [0.5, 3.0]]]], requires_grad=True)
    teacher = torch.tensor([[[1.0, 0.0], [-1.0, -1.0]]])
    loss = guided_loss(logits, teacher)
    known = F.binary_cross_entropy_with_logits(torch.tensor([2.0, -1.0]), torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(loss, known)
    loss.backward()
    assert (logits.grad[0, 0, 1] == 0).all()
    assert guided_loss(logits, torch.full((1, 2, 2), -1.0)).item() == 0


@pytest.mark.parametrize("name", ["vgg16", "resnet50", "googlenet"])
def test_branches_stand_at_the_models_positions_and_teachers_get_no_gradient(name):
    torch.manual_seed(0)
    model, method = create(name, num_classes=3, width=1 / 16), SPG()
    method.attach(model)
    # The first convolution after each position takes its channels.
    convolutions = [branch[0] for branch in (method.first, method.second)]
    assert [one.in_channels for one in convolutions] == list(model.spg_positions.values())
    assert method.last[0][0].in_channels == model.classifier.in_features
    outcome = method(model, torch.rand(2, 3, 96, 96), torch.tensor([0, 2]))
    outcome.loss.backward()
    assert outcome.loss > F.cross_entropy(outcome.logits, torch.tensor([0, 2]))
    for part in method.parameters():
        assert part.grad is not None
    assert method._seen == {}


def test_localization_is_the_models():
    model, method = create("vgg16", num_classes=3, width=1 / 16).eval(), SPG()
    method.attach(model)
    images, labels = torch.rand(2, 3, 64, 64), torch.tensor([0, 2])
    assert torch.equal(method.extract(model, images, labels).localize().boxes, model.localize(images, labels)[1].boxes)


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"b1 must be \(high, low\) in \[0, 1\] with low below high"):
        SPG(b1=(0.1, 0.5))
    with pytest.raises(ValueError, match="spg needs a model with spg_positions"):
        SPG().attach(create("mobilenetv1", num_classes=2, width=1 / 8))
