"""The metrics over two processes, and without torchmetrics."""

from __future__ import annotations

import subprocess
import sys

import torch

PROGRAM = """
import sys, torch, torch.distributed as dist
from fastcam.metrics import EnergyInBox, GTKnownLoc, MaxBoxAcc, MaxBoxAccV2, MeanMaskIoU, PointingGame, PxAP, TopKLoc

def data():
    random = torch.Generator().manual_seed(0)
    maps = torch.rand(7, 6, 6, generator=random)
    masks = torch.randint(0, 2, (7, 40, 40), generator=random).to(torch.uint8)
    corners = torch.randint(0, 20, (7, 2, 4), generator=random)
    boxes = [one + torch.tensor([0, 0, 20, 19]) for one in corners]
    correct = torch.rand(7, 2, generator=random) < 0.5
    return maps, masks, boxes, correct

def filled(part, **options):
    maps, masks, boxes, correct = data()
    v1, v2, pixels = MaxBoxAcc(**options), MaxBoxAccV2(**options), PxAP(**options)
    known, top = GTKnownLoc(0.1, **options), TopKLoc(iou_threshold=0.1, **options)
    more = [
        MaxBoxAccV2(size_limits=(0.15, 0.4), **options),
        MeanMaskIoU(**options),
        EnergyInBox(**options),
        PointingGame(2, average="classes", num_classes=2, **options),
    ]
    for i in part:
        one = slice(i, i + 1)
        for metric in more:
            given = dict(maps=maps[one], masks=masks[one], boxes=boxes[one], labels=[i % 2], size=(40, 40))
            metric.update(**metric._filter_kwargs(**given))
        v1.update(maps[one], boxes[one], size=(40, 40), correct=correct[one])
        v2.update(maps[one], boxes[one], size=(40, 40))
        pixels.update(maps[one], masks[one], size=(40, 40))
        found = torch.tensor([[5.0, 5, 30, 30]])
        known.update(found, boxes[one])
        top.update(found[:, None], boxes[one], predicted=torch.tensor([[i % 2]]), labels=[0])
    return v1, v2, pixels, known, top, *more

def numbers(metrics):
    found = {}
    for i, metric in enumerate(metrics):
        value = metric.compute(curves=True) if hasattr(metric, "is_curve") else metric.compute()
        found |= {f"{i} {name}": one for name, one in value.items()} if isinstance(value, dict) else {str(i): value}
    return found

def main(rank, file, out):
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    found = numbers(filled(range(rank, 7, 2)))
    if rank == 0:
        alone = numbers(filled(range(7), sync_on_compute=False))
        torch.save((found, alone), out)
    dist.barrier()
    dist.destroy_process_group()

main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
"""


def test_two_processes_give_the_numbers_of_one(tmp_path):
    out = tmp_path / "found.pt"
    running = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, str(rank), str(tmp_path / "store"), str(out)])
        for rank in range(2)
    ]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    found, alone = torch.load(out)
    assert found.keys() == alone.keys()
    for name, value in alone.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=0, equal_nan=True)
    assert 0 < found["0 max_box_acc"] <= 1
    assert 0 < found["3"] <= 1
    assert all(0 < found[str(i)] < 1 for i in (6, 7, 8))


WITHOUT = """
import sys
sys.modules["torchmetrics"] = None
import fastcam
try:
    fastcam.metrics
except ImportError as error:
    print(error)
"""


def test_without_torchmetrics_the_error_names_what_to_install():
    told = subprocess.run([sys.executable, "-c", WITHOUT], check=True, capture_output=True, text=True).stdout
    assert told == "fastcam.metrics needs torchmetrics: pip install 'fastcam[metrics]'\n"
