"""Hugging Face's Trainer and accelerate train a network with TAP, and Localizer takes what they hand back."""

from __future__ import annotations

import pytest
import torch
from classifiers import K, Net
from torch import nn
from torch.nn import functional as F

import fastcam

pytestmark = pytest.mark.filterwarnings("ignore")


class Pictures(torch.utils.data.Dataset):
    """Noise, with one corner bright: which one is the class."""

    def __len__(self):
        return 16

    def __getitem__(self, number):
        generator = torch.Generator().manual_seed(number)
        image, label = torch.rand(3, 32, 32, generator=generator), number % 4
        image[:, 16 * (label // 2) :, 16 * (label % 2) :][:, :16, :16] += 2
        return {"images": image, "labels": label}


class WithLoss(nn.Module):
    """A network as the Trainer wants it: it takes the labels and gives the loss."""

    def __init__(self):
        super().__init__()
        self.network = Net(fastcam.TAP(0.1))

    def forward(self, images, labels=None):
        logits = self.network(images)
        return {"loss": None if labels is None else F.cross_entropy(logits, labels), "logits": logits}


def localized(model, **names):
    """Boxes of two pictures by the names, checked against the classifier."""
    images = torch.stack([Pictures()[number]["images"] for number in (0, 1)])
    model = model.eval().float().cpu()
    _, found = fastcam.Localizer(model, **names)(images)
    return found.boxes


@pytest.mark.parametrize("options", [{}, {"bf16": True}, {"gradient_accumulation_steps": 2}], ids=str)
def test_the_trainer_trains_what_lies_before_tap(tmp_path, options):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch.manual_seed(0)
    model = WithLoss()
    before = {name: value.clone() for name, value in model.named_parameters()}
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path),
        per_device_train_batch_size=4,
        num_train_epochs=2,
        learning_rate=0.1,
        optim="sgd",
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
        dataloader_pin_memory=False,
        **options,
    )
    transformers.Trainer(model, arguments, train_dataset=Pictures()).train()
    for name, value in model.named_parameters():
        assert value.isfinite().all(), name
        assert not torch.equal(value, before[name]), name
    assert localized(model.network, features="layer4", classifier="fc").shape == (2, 4)


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_accelerate(precision):
    accelerate = pytest.importorskip("accelerate", reason="accelerate is not installed")
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)  # one precision a process otherwise
    torch.manual_seed(0)
    accelerator = accelerate.Accelerator(cpu=True, mixed_precision=precision)
    network = Net(fastcam.TAP(0.1))
    before = network.stem.weight.detach().clone()
    loader = torch.utils.data.DataLoader(Pictures(), batch_size=4)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    model, optimizer, loader = accelerator.prepare(network, optimizer, loader)
    metric = fastcam.metrics.TopKAccuracy(num_classes=K)
    for batch in loader:
        logits = model(batch["images"])
        metric.update(logits.detach(), batch["labels"])
        accelerator.backward(F.cross_entropy(logits, batch["labels"]))
        optimizer.step()
        optimizer.zero_grad()
    assert 0 <= metric.compute().item() <= 1
    assert not torch.equal(network.stem.weight, before)
    prepared = localized(model, features="layer4", classifier="fc")
    assert torch.equal(prepared, localized(accelerator.unwrap_model(model), features="layer4", classifier="fc"))
    assert torch.equal(prepared, localized(network))
    assert network.fc.out_features == K
