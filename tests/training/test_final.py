import time
from dataclasses import replace

import pytest
import torch

import fastcam
from fastcam.data import read_cub
from fastcam.training import TrainingConfig, final_pass, train
from fastcam.training.data import read_part


@pytest.mark.parametrize("iou", ["half-open", "inclusive"])
@pytest.mark.parametrize("ends", ["exclusive", "inclusive"])
def test_the_numbers_by_hand(ends, iou, config, birds, engine, tmp_path):
    trained = train(config(model="resnet50", epochs=3), tmp_path, engine)
    # What the data's ends mean changes what is compared with half-open boxes.
    split = replace(read_cub(birds, "test"), ends=ends)
    judged = final_pass(trained, split, engine, protocol=fastcam.PAPER.replace(iou=iou))
    model, inputs = trained.model, trained.inputs
    right = found = both = 0
    for record in split:
        pixels = torch.from_numpy(record.read().copy()).permute(2, 0, 1) / 255
        mean, std = (torch.tensor(values)[:, None, None] for values in (inputs.mean, inputs.std))
        logits, one = model.localize(((pixels - mean) / std)[None], [record.label])
        truth = torch.from_numpy(inputs.boxes(record.boxes, (32, 32), ends=ends))
        truth[:, 2:] += ends == "inclusive" and iou == "half-open"
        hit = fastcam.box_iou(one.boxes, truth, inclusive=iou == "inclusive").item() >= 0.5
        correct = logits.argmax().item() == record.label
        right, found, both = right + correct, found + hit, both + (hit and correct)
    wanted = {"top1_cls": right / 16, "gt_loc": found / 16, "top1_loc": both / 16}
    assert judged == pytest.approx(wanted)


@pytest.mark.parametrize("method", ["acol", "spg", "adl"])
def test_methods_with_branches(method, config, birds, engine, tmp_path):
    trained = train(config(method=method, epochs=1), tmp_path, engine)
    judged = final_pass(trained, read_cub(birds, "test"), engine)
    assert set(judged) == {"top1_cls", "gt_loc", "top1_loc"}
    assert all(0 <= value <= 1 for value in judged.values())


def test_the_synthetic_benchmark_is_learnt_in_a_minute(engine, tmp_path):
    started = time.process_time()
    config = TrainingConfig(
        data="synthetic",
        model="resnet50",
        model_options={"width": 1 / 8},
        pooling="gap",
        epochs=6,
        decay_every=4,
        lr=0.02,
        batch_size=16,
        resize=72,
        crop=64,
        workers=0,
    )
    trained = train(config, tmp_path, engine)
    judged = final_pass(trained, read_part("synthetic", "test", out=tmp_path), engine)
    assert judged["top1_cls"] >= 0.97
    # On two cores; what others do on the machine does not count.
    assert time.process_time() - started < 120
