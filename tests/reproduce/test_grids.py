"""Tables 1, 2 and 4: their rows, the paper's numbers beside them, and a run in small."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fastcam import AUTHORS, PAPER, VANILLA
from fastcam.methods import COMPATIBILITY, METHODS
from fastcam.reproduce import FineTuning, reproduce
from fastcam.reproduce.grid_report import grid_markdown
from fastcam.reproduce.grids import BACKBONES, GRIDS, grid
from fastcam.reproduce.published import published
from fastcam.reproduce.tables import NOT_OURS, TABLE_3
from fastcam.training import ConfigError


def table(name, base=PAPER):
    return grid(*GRIDS[name], base)


@pytest.mark.parametrize("name", GRIDS)
def test_every_pair_that_the_literature_defines_has_its_rows(name):
    made, (_, backbones, methods) = table(name), GRIDS[name]
    for backbone in backbones:
        for method in methods:
            family, (defined, reason) = f"{backbone}/{method}", COMPATIBILITY[method][backbone]
            if not defined:
                assert family not in made.families
                assert made.undefined[family] == reason
                continue
            plain, *ours = made.families[family]
            assert dict(plain.training.changes) == {"model": backbone, "method": method, "pooling": "gap"}
            assert plain.protocol == VANILLA
            if method in NOT_OURS:
                assert ours == []
                assert made.undefined[f"{family}/ours"] == NOT_OURS[method]
            else:
                assert ours[0].protocol == PAPER
                assert ours[0].name == f"{METHODS[method].__name__} + Ours"
    assert table(name, AUTHORS).families["vgg16/adl" if name != "table2" else "vgg16/cam"][1].protocol == AUTHORS


def test_the_names_of_table_1_are_the_papers():
    assert set(GRIDS["table1"][1]) == set(BACKBONES)
    assert {"has", "adl", "acol", "spg"} <= set(GRIDS["table1"][2])
    # A row that the paper reports is one of ours, unless its method is not there yet.
    for name in GRIDS:
        made = table(name)
        there = {*made.families, *(f"{one}/ours" for one, rows in made.families.items() if len(rows) == 2)}
        assert {row for row in published(name) if row.split("/")[1] in METHODS} <= there


def test_the_papers_numbers_are_those_that_its_text_says():
    # "CUB: 14.18, ImageNet: 2.84 on average" (Section 4.2), and the differences that Table 4 prints.
    for data, average in (("CUB-200-2011", 14.18), ("ImageNet-1K", 2.84)):
        numbers = published("table2")
        gains = [numbers[f"{row}/ours"][data][2] - numbers[row][data][2] for row in numbers if not row.endswith("ours")]
        assert len(gains) == 4
        assert np.mean(gains) == pytest.approx(average, abs=0.006)
    numbers = published("table4")
    for method, gains in (("cam", (1.5, 1.9, 2.9)), ("adl", (1.0, 1.2, 1.4))):
        for backbone, gain in zip(("vgg16", "googlenet", "resnet50"), gains, strict=True):
            ours, plain = (numbers[f"{backbone}/{method}{end}"]["OpenImages30K"][0] for end in ("/ours", ""))
            assert ours - plain == pytest.approx(gain, abs=1e-9)
    # Clamping and thresholding do not touch the classifier: Table 3 has two Top-1 Cls of each data set.
    assert set(published("table3")) == {row.name for row in TABLE_3.families["AUTHORS"]}
    for data in ("CUB-200-2011", "ImageNet-1K"):
        assert len({numbers[data][0] for numbers in published("table3").values()}) == 2
    # Top-1 Loc needs both.
    for name in ("table1", "table2", "table3"):
        for numbers in published(name).values():
            for top1, gt, loc in numbers.values():
                assert loc is None or gt is None or loc <= min(top1, gt)


def test_some_rows():
    made = table("table1")
    assert list(made.only(["vgg16/has"]).families) == ["vgg16/has"]
    assert set(made.only(["adl"]).families) == {f"{backbone}/adl" for backbone in BACKBONES}
    assert {one.split("/")[0] for one in made.only(["googlenet"]).families} == {"googlenet"}
    assert set(made.only(["mobilenetv1"]).undefined) == {one for one in made.undefined if "mobilenetv1" in one}
    assert list(made.only(["vgg16/acol"]).undefined) == ["vgg16/acol/ours"]
    some = TABLE_3.only(["TAP + NWC"]).families["AUTHORS"]
    assert [row.name for row in some] == ["baseline", "TAP + NWC"]
    assert TABLE_3.only(["AUTHORS"]).families == {"AUTHORS": TABLE_3.families["AUTHORS"]}
    with pytest.raises(ValueError, match="row 'hass' is not in the table; there are ACoL, ADL"):
        made.only(["has", "hass"])


def small(config, methods=("has",), backbones=("vgg16", "mobilenetv1")):
    return grid("Small", backbones, methods), replace(config, model="vgg16"), [FineTuning.of(config)]


def test_every_cell_is_filled_and_no_training_runs_twice(config, engine, tmp_path):
    made, settings, own = small(config, ("has", "acol"))
    run = {"seeds": range(2), "fine_tune": True, "fine_tunings": own}
    result = reproduce(made, settings, engine, tmp_path / "out", **run)
    names = {
        f"{model}-has-{pooling}-{seed}"
        for model in ("vgg16", "mobilenetv1")
        for pooling in ("gap", "tap")
        for seed in (0, 1)
    }
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *names,
        "vgg16-acol-gap-0",
        "vgg16-acol-gap-1",
        "kept",
    }
    text = grid_markdown(result, made.title, "table1")
    json.dumps(result, allow_nan=False)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    found = {(row[0], row[1]): row[2:] for row in rows}
    for network in ("VGG16", "MobileNetV1"):
        for method in ("HaS", "HaS + Ours"):
            assert all(cell[0].isdigit() for cell in found[network, method][:4])
    assert found["VGG16", "HaS + Ours"][4:] == ["70.12 / 78.58 / 57.37", "66.21 / 61.48 / 43.91"]
    assert found["VGG16", "ACoL"][4:] == ["71.9 / - / 45.92", "67.5 / - / 45.83"]
    assert found["VGG16", "ACoL + Ours"][0] == f"none: {NOT_OURS['acol']}"
    assert found["MobileNetV1", "ACoL"][0] == f"none: {COMPATIBILITY['acol']['mobilenetv1'][1]}"
    assert found["centred box, side 0.7", next(key[1] for key in found if key[0].startswith("centred"))] == []
    # Killed or not, what was trained and judged is not done again.
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*")}
    again = reproduce(made, settings, engine, tmp_path / "out", **run)
    assert again["families"] == result["families"]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*")} == written


class Clock:
    """Time that goes on by a minute whenever it is asked for."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr("fastcam.reproduce.budget.time", SimpleNamespace(perf_counter=self))

    def __call__(self):
        self.now += 60
        return self.now


def test_a_budget_keeps_what_is_finished(config, engine, tmp_path, monkeypatch):
    made, settings, own = small(config)
    run = {"seeds": [0], "fine_tune": True, "fine_tunings": own}
    Clock(monkeypatch)
    with pytest.raises(
        ConfigError, match=r"the budget of 0\.5 minutes is spent before the first row has a number; .*out"
    ):
        reproduce(made, settings, engine, tmp_path / "out", budget=0.5, **run)
    # Asked before a training and after its epoch: two trainings come to four minutes.
    result = reproduce(made, settings, engine, tmp_path / "out", budget=4.5, **run)
    first, second = result["families"]["vgg16/has"], result["families"]["mobilenetv1/has"]
    assert all("gt_loc" in row for row in first)
    assert [row["empty"] for row in second if "empty" in row][-1] == "not reached within the budget"
    assert "The same command goes on." in grid_markdown(result, made.title, "table1")
    whole = reproduce(made, settings, engine, tmp_path / "out", **run)
    assert whole["families"]["vgg16/has"] == first
    assert not [row for rows in whole["families"].values() for row in rows if "empty" in row]
    assert whole["ended"] is None


def test_what_diverges_leaves_its_row_empty(config, engine, tmp_path):
    made, settings, _ = small(config, backbones=("vgg16",))
    with pytest.raises(ConfigError, match="loss"):
        reproduce(
            made,
            settings,
            engine,
            tmp_path / "all",
            seeds=[0],
            fine_tune=True,
            fine_tunings=[FineTuning(1e30, 1.0, False)],
        )


def test_one_that_diverges_does_not_stop_the_others(config, engine, tmp_path, monkeypatch):
    from fastcam.reproduce import fine_tuning
    from fastcam.training import DivergedError

    made, settings, own = small(config, backbones=("vgg16",))
    train = fine_tuning.train

    def diverging(given, *arguments, **options):
        if given.pooling == "tap":
            raise DivergedError("the loss is nan in epoch 1")
        return train(given, *arguments, **options)

    monkeypatch.setattr(fine_tuning, "train", diverging)
    result = reproduce(made, settings, engine, tmp_path / "out", seeds=[0], fine_tune=True, fine_tunings=own)
    plain, ours = result["families"]["vgg16/has"]
    assert "gt_loc" in plain
    assert ours == {"name": "HaS + Ours", "techniques": {"ours": True}, "empty": "the loss is nan in epoch 1"}
    assert "none: the loss is nan in epoch 1" in grid_markdown(result, made.title, "table1")


def test_a_class_without_images(config, engine, tmp_path):
    lines = (tmp_path / "birds" / "train_test_split.txt").read_text().splitlines()
    labels = (tmp_path / "birds" / "image_class_labels.txt").read_text().splitlines()
    moved = [
        f"{one.split()[0]} 0" if label.split()[1] == "2" else one for one, label in zip(lines, labels, strict=True)
    ]
    (tmp_path / "birds" / "train_test_split.txt").write_text("\n".join([*moved, ""]))
    made, settings, own = small(config)
    with pytest.raises(ConfigError, match=r"has no training images of '.*01'"):
        reproduce(made, settings, engine, tmp_path / "out", seeds=[0], fine_tune=True, fine_tunings=own)


def test_pxap_and_v2_are_the_metrics(config, tmp_path):
    """The shares of images sum to the metrics', by the metrics themselves on the same maps; PxAP by a plain sum."""
    from fastcam.data import read_dataset
    from fastcam.data.synthetic_masks import write_synthetic_masks
    from fastcam.evaluation.truth import ground_truth
    from fastcam.inputs import Inputs
    from fastcam.metrics import MaxBoxAccV2
    from fastcam.reproduce.extra import box_acc_v2, pixel_counts, pxap_of

    draw = torch.Generator().manual_seed(0)
    maps, inputs = torch.rand(12, 7, 7, generator=draw), Inputs((32, 32))
    boxed = read_dataset(config.data, "test")
    truth = ground_truth(boxed, inputs)
    metric = MaxBoxAccV2()
    metric.update(maps, [torch.from_numpy(boxes) for boxes in truth], size=(32, 32))
    assert box_acc_v2(maps, truth, (32, 32)).mean() == pytest.approx(metric.compute()["max_box_acc"].item())
    write_synthetic_masks(tmp_path / "masks", train=4, test=12, classes=2, size=32)
    masked = read_dataset(tmp_path / "masks", "test")
    for protocol in (VANILLA, PAPER):
        counts = pixel_counts(maps, masked, inputs, protocol)
        assert counts.shape == (12, 2, 1002)
        assert (counts.sum((1, 2)) == 32 * 32).all()
        # By hand: precision of what is kept at each threshold, times the recall it adds.
        background, objects = counts.sum(0)
        area, before = 0.0, 0
        for entry in reversed(range(1002)):
            now, kept = objects[entry:].sum(), objects[entry:].sum() + background[entry:].sum()
            area += 0.0 if kept == 0 else now / kept * (now - before) / objects.sum()
            before = now
        assert float(pxap_of(counts.sum(0))) == pytest.approx(area)


def test_masks_alone_are_judged_by_pxap(config, engine, tmp_path):
    from fastcam.data.synthetic_masks import write_synthetic_masks

    write_synthetic_masks(tmp_path / "masks", train=32, test=12, classes=2, size=32)
    made, settings, own = small(config, ("cam",), ("vgg16",))
    settings = replace(settings, data=str(tmp_path / "masks"))
    run = {"seeds": [0], "fine_tune": True, "fine_tunings": own, "extra": ("pxap",)}
    result = reproduce(made, settings, engine, tmp_path / "out", **run)
    plain, ours = result["families"]["vgg16/cam"]
    assert 0 < plain["pxap"]["mean"] < 1
    difference = ours["pxap"]["difference"]
    assert difference["mean"] == pytest.approx(ours["pxap"]["mean"] - plain["pxap"]["mean"])
    assert difference["low"] <= difference["mean"] <= difference["high"]
    text = grid_markdown(result, made.title, "table4")
    assert "| VGG16 | CAM + Ours |" in text
    assert "| centred Gaussian | PxAP" in text
    assert text.count("| 59.6 |") == 1
    with pytest.raises(ValueError, match=r"PxAP is judged by masks: .* has images without"):
        reproduce(made, replace(settings, data=config.data), engine, tmp_path / "boxes", **run)
