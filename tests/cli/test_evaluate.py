"""``fastcam evaluate`` from end to end."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from command import invoke, paint
from small_datasets import cub, mask, metadata, picture, write

pytest.importorskip("torchmetrics")
pytest.importorskip("matplotlib")

import sweep_peers

from fastcam.data import read_cub, read_mask, read_metadata
from fastcam.inputs import RESIZE

LEVELS = (0.3, 0.5, 0.7)


def run(*arguments, code=0):
    return invoke("evaluate", *arguments, code=code)


def headline(result):
    last = result.stdout.splitlines()[-1]
    assert last.startswith("localization: ")
    return float(last.split()[1])


def report(folder="out"):
    return json.loads(Path(folder, "evaluation.json").read_text(encoding="utf-8"))


def value(told, key, whose="score_maps"):
    return told["numbers"][whose][key]["value"]


@pytest.fixture
def boxes(tmp_path, monkeypatch):
    """Metadata of eight images with boxes in two splits, and score maps of full size for them."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(3)
    for split, count in (("test", 8), ("val", 6)):
        images = {}
        for number in range(count):
            x, y = rng.integers(0, 250), rng.integers(0, 150)
            parts = [f"{x},{y},{x + rng.integers(60, 240)},{y + rng.integers(60, 180)}" for _ in range(1 + number % 2)]
            name = f"{'ab'[number % 2]}/{split}{number}.jpg"
            images[name] = (number % 2, (500, 335), parts)
            scores = sweep_peers.normalized(rng.normal(size=(6, 6)).astype(np.float32), (224, 224))
            (tmp_path / "maps" / name).parent.mkdir(parents=True, exist_ok=True)
            np.save(tmp_path / "maps" / f"{name}.npy", scores)
        metadata(tmp_path / "metadata" / "CUB" / split, images)
    return tmp_path


def by_opencv(root, multi_contour, count=100, split="test"):
    """Percent of right images by IoU and threshold."""
    thresholds = np.arange(0, 1, 1 / count)
    records = read_metadata(root / "metadata", split, dataset="CUB")
    total = np.zeros((3, count))
    for record in records:
        scores = np.load(root / "maps" / f"{record.id}.npy")
        truth = RESIZE.boxes(record.boxes, record.size)
        total += sweep_peers.hits(scores, truth, multi_contour=multi_contour, ious=LEVELS, thresholds=thresholds)
    return total * 100.0 / len(records)


FLAGS = ["--scoremaps", "maps", "--metadata", "metadata", "--dataset", "CUB", "--cam-curve-interval", "0.01"]


class TestDropIn:
    @pytest.mark.parametrize(
        ("options", "several", "mean"),
        [
            ([], False, False),
            (["--multi-contour"], True, False),
            (["--multi-contour", "--multi-iou", "--iou", "30", "50", "70"], True, True),
            (
                ["--multi_contour_eval", "True", "--multi_iou_eval", "--iou_threshold_list", "30", "50", "70"],
                True,
                True,
            ),
        ],
    )
    def test_the_closing_line_is_the_references_to_the_last_digit(self, boxes, options, several, mean):
        best = by_opencv(boxes, several).max(axis=1)
        assert headline(run(*FLAGS, *options)) == (np.average(best) if mean else best[1])

    def test_the_names_of_its_options(self, boxes):
        flags = ["--scoremap_root", "maps", "--metadata_root", "metadata", "--dataset_name", "CUB", "--split", "val"]
        found = headline(run(*flags, "--cam_curve_interval", "0.01"))
        assert found == by_opencv(boxes, False, split="val").max(axis=1)[1]

    def test_report_curves_and_rows(self, boxes):
        result = run(*FLAGS, "--out", "out", "--per-image", "rows.csv", "--workers", 0)
        told = report()
        for family, several in (("max_box_acc", False), ("max_box_acc_v2", True)):
            curves = by_opencv(boxes, several) / 100
            for level, curve in zip((30, 50, 70), curves, strict=True):
                assert told["curves"][f"{family}_{level}"] == pytest.approx(curve.tolist(), abs=1e-12)
                number = told["numbers"]["score_maps"][f"{family}_{level}"]
                assert number["value"] == pytest.approx(curve.max())
                assert number["threshold"] == told["curves"]["thresholds"][curve.argmax()]
                assert number["chosen_on"] == "oracle"
        assert value(told, "max_box_acc_v2") == pytest.approx(by_opencv(boxes, True).max(axis=1).mean() / 100)
        assert (told["facts"]["images"], told["facts"]["skipped"]) == (8, 0)
        assert "oracle" in result.stdout
        with open("rows.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert [row["id"] for row in rows] == [record.id for record in read_metadata("metadata", dataset="CUB")]
        assert np.mean([float(row["iou"]) >= 0.5 for row in rows]) == pytest.approx(value(told, "max_box_acc_50"))
        assert rows[0]["predicted"] == ""
        assert sorted(os.listdir("out")) == ["evaluation.json", "evaluation.md", "thresholds.png"]
        assert (boxes / "out" / "evaluation.md").read_text() == result.stdout[: result.stdout.index("localization:")]

    def test_archives_and_low_resolution_give_the_same(self, boxes):
        expected = headline(run(*FLAGS))
        rng = np.random.default_rng(3)
        raw, full = {}, {}
        for split, count in (("test", 8), ("val", 6)):
            for number in range(count):
                rng.integers(0, 250), rng.integers(0, 150)
                for _ in range(1 + number % 2):
                    rng.integers(60, 240), rng.integers(60, 180)
                name = f"{'ab'[number % 2]}/{split}{number}.jpg"
                raw[name] = rng.normal(size=(6, 6)).astype(np.float32)
                full[name] = np.load(boxes / "maps" / f"{name}.npy")
        for name, maps in (("raw.npz", raw), ("full.npz", full)):
            np.savez_compressed(name, **maps)
            assert headline(run("--scoremaps", name, *FLAGS[2:])) == expected

    def test_thresholds_from_another_split(self, boxes):
        run(*FLAGS, "--threshold-from", "val", "--out", "out")
        told = report()
        for family, several in (("box_acc", False), ("box_acc_v2", True)):
            chosen = by_opencv(boxes, several, split="val").argmax(axis=1)
            curves = by_opencv(boxes, several) / 100
            for level, curve, at in zip((30, 50, 70), curves, chosen, strict=True):
                number = told["numbers"]["score_maps"][f"{family}_{level}"]
                assert number == {"value": pytest.approx(curve[at]), "threshold": at / 100, "chosen_on": "val"}
                assert number["value"] <= value(told, f"max_{family}_{level}") + 1e-12

    @pytest.mark.usefixtures("boxes")
    def test_what_needs_no_network(self):
        run(*FLAGS, "--out", "out")
        told = report()
        records = read_metadata("metadata", dataset="CUB")
        whole = np.array([[0, 0, 223, 223]])
        fits = [sweep_peers.inclusive_iou(whole, RESIZE.boxes(one.boxes, one.size)).max() >= 0.5 for one in records]
        assert value(told, "max_box_acc_50", "whole_image") == np.mean(fits)
        moved = [RESIZE.boxes(one.boxes, one.size) for one in read_metadata("metadata", "val", dataset="CUB")]
        mean = np.concatenate(moved).mean(axis=0)[None]
        fits = [sweep_peers.inclusive_iou(mean, RESIZE.boxes(one.boxes, one.size)).max() >= 0.5 for one in records]
        assert value(told, "max_box_acc_50", "mean_training_box") == np.mean(fits)
        assert told["facts"]["mean training box"] == "of the val split"
        assert told["numbers"]["whole_image"]["max_box_acc_50"]["chosen_on"] is None
        assert told["numbers"]["centred_gaussian"]["max_box_acc_50"]["chosen_on"] == "oracle"


class TestMasks:
    @pytest.fixture
    def masks(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        rng = np.random.default_rng(0)
        images = {}
        for number in range(5):
            mask(tmp_path / "masks" / "OpenImages" / f"{number}m.png", (100, 120), (10, 10, 60 + number, 70))
            mask(tmp_path / "masks" / "OpenImages" / f"{number}i.png", (100, 120), (50, 0, 120, 40))
            images[f"test/x/{number}.jpg"] = (0, (0, 0), [f"{number}m.png,{number}i.png"])
            picture(tmp_path / "pictures" / "test" / "x" / f"{number}.jpg", (100, 120))
            path = tmp_path / "maps" / "test" / "x" / f"{number}.jpg.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, sweep_peers.normalized(rng.normal(size=(6, 6)).astype(np.float32), (224, 224)))
        metadata(tmp_path / "metadata" / "OpenImages" / "test", images, sizes=False)
        return tmp_path

    @pytest.mark.usefixtures("masks")
    def test_pxap_is_the_references(self):
        flags = ["--scoremaps", "maps", "--metadata", "metadata", "--masks", "masks", "--dataset", "OpenImages"]
        options = ["--out", "out", "--per-image", "rows.csv", "--gallery", 2, "--images", "pictures"]
        found = headline(run(*flags, *options, "--plot-format", "svg"))
        split = read_metadata("metadata", dataset="OpenImages", masks="masks")
        counts = sum(sweep_peers.pixels(np.load(f"maps/{one.id}.npy"), read_mask(one)) for one in split)
        background, objects = (row[::-1].cumsum().astype(float) for row in counts)
        with np.errstate(invalid="ignore"):  # nothing lies in the bins above 1
            precision, recall = objects / (objects + background), objects / objects[-1]
        assert found == pytest.approx(100 * (precision[1:] * np.diff(recall))[np.isfinite(precision[1:])].sum())
        told = report()
        assert value(told, "pxap") == pytest.approx(found / 100)
        assert told["numbers"]["score_maps"]["peak_iou"]["chosen_on"] == "oracle"
        assert 0 < value(told, "pxap", "centred_gaussian") < 1
        assert sorted(os.listdir("out")) == ["evaluation.json", "evaluation.md", "gallery.html", "precision-recall.svg"]
        with open("rows.csv", newline="", encoding="utf-8") as file:
            assert all(0 <= float(row["mask_iou"]) <= 1 and row["iou"] == "" for row in csv.DictReader(file))


@pytest.fixture
def colours(here):
    """CUB's layout with painted pictures that the network of tests/cli/conftest.py classifies: auks red, wrens blue."""
    root = cub(here / "birds", 9, size=(96, 128), boxes=["32 24 48 48"] * 9)
    for split in ("train", "test"):
        for record in read_cub(root, split):
            paint(record.path, "red" if record.label == 0 else "blue")
    return here


NETWORK = [
    "--data",
    "birds",
    "--model",
    "toy_network:Colours",
    "--input-size",
    "64",
    "--mean",
    0,
    0,
    0,
    "--std",
    1,
    1,
    1,
]


class TestNetwork:
    @pytest.mark.usefixtures("colours")
    def test_classes_that_do_not_match_have_to_be_said(self):
        message = run(*NETWORK, code=2).stderr
        assert "the network has 3 classes, CUB has 2" in message

    @pytest.mark.usefixtures("colours")
    def test_the_map_of_the_predicted_class(self):
        run(*NETWORK, "--map-class", "predicted", "--out", "out")
        told = report()
        assert value(told, "loc") == 1
        assert "top1_cls" not in told["numbers"]["score_maps"]
        assert told["facts"]["map"] == "of the predicted class"

    @pytest.mark.usefixtures("colours")
    def test_the_maps_that_are_asked_for(self):
        for cam in ("grad-cam", "layer-cam"):
            run(*NETWORK, "--map-class", "predicted", "--cam", cam, "--out", "out")
            assert value(report(), "loc") == 1
        assert "is not one of 'auto', 'cam'" in run(*NETWORK, "--cam", "score-cam", code=2).stderr

    def test_classes_by_a_file(self, colours):
        write(colours, same__txt=["001.Auk,0", "1,1,2"])
        result = run(*NETWORK, "--class-map", "same.txt", "--out", "out", "--per-image", "rows.csv", "--gallery", 1)
        told = report()
        for key in ("top1_cls", "top5_cls", "gt_loc", "top1_loc", "top5_loc", "top1_max_box_acc_v2"):
            assert value(told, key) == 1, key
        assert told["numbers"]["score_maps"]["gt_loc"]["chosen_on"] == "fixed"
        assert "max_box_acc_50" in told["numbers"]["centred_box"]
        with open("rows.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert [row["predicted"] for row in rows] == ["0", "2", "0"]
        assert {row["top1"] + row["top5"] + row["fits"] for row in rows} == {"111"}
        assert "Top-1 Loc, IoU 0.5" in result.stdout
        page = (colours / "out" / "gallery.html").read_text()
        assert page.count("<figure>") == 2
        assert page.count('class="true"') == page.count('class="found"') == 2
        assert "http" not in page

    def test_a_wrong_class_counts_against_top_1_and_not_against_gt_loc(self, colours):
        paint(next(iter(read_cub("birds"))).path, "green")
        write(colours, same__txt=["0,0", "1,2"])
        run(*NETWORK, "--class-map", "same.txt", "--out", "out", "--per-image", "rows.csv")
        told = report()
        assert value(told, "top1_cls") == pytest.approx(2 / 3)
        # The true class is among the three there are, and its map of a green picture is empty.
        assert value(told, "top5_cls") == 1
        assert value(told, "gt_loc") == pytest.approx(2 / 3)

    @pytest.mark.usefixtures("colours")
    def test_kept_score_maps_give_the_same_numbers_again(self):
        first = run(*NETWORK, "--map-class", "predicted", "--scoremaps-out", "maps.npz", "--workers", 0)
        again = run("--scoremaps", "maps.npz", "--data", "birds", "--input-size", "64")
        assert headline(first) == headline(again)
        with np.load("maps.npz") as arrays:
            assert sorted(arrays.files) == sorted(record.id for record in read_cub("birds"))
            assert {arrays[name].shape for name in arrays.files} == {(16, 16)}

    def test_the_other_geometry(self, colours):
        write(colours, same__txt=["0,0", "1,2"])
        options = [option for option in NETWORK if option not in ("--input-size", "64")]
        run(*options, "--class-map", "same.txt", "--geometry", "crop", "--out", "out", "--threshold-from", "train")
        assert value(report(), "gt_loc") == 1
        assert value(report(), "box_acc_50") == 1

    @pytest.mark.parametrize(
        ("lines", "message"),
        [
            (["0,0"], "same.txt: no line for 002.Wren"),
            (["0,0", "1,2", "2,1"], "same.txt:3: '2' is no class of the data"),
            (["0,0", "1,x"], "same.txt:2: expected the network's class numbers, got 'x'"),
            (["0,0", "1,3"], "same.txt:2: class numbers must lie in [0, 3), got 3"),
        ],
    )
    def test_a_bad_class_map(self, colours, lines, message):
        write(colours, same__txt=lines)
        assert message in run(*NETWORK, "--class-map", "same.txt", code=1).stderr

    @pytest.mark.usefixtures("colours")
    def test_a_checkpoint_with_the_settings_of_its_training(self):
        from fastcam.checkpoint import write_checkpoint
        from fastcam.models import create

        model = create("efficientnet-lite0", num_classes=2, pooling="tap", width=0.25)
        content = {"state_dict": model.state_dict(), "classes": ["auk", "wren"], "inputs": RESIZE.to_mapping()}
        content |= {"method_state": {}, "latest": {}, "optimizer": {}, "precision": {}, "epoch": 1, "history": []}
        config = {
            "model": "efficientnet-lite0",
            "pooling": "tap",
            "tap_threshold": 0.2,
            "model_options": {"width": 0.25},
        }
        write_checkpoint("last.pt", {**content, "config": config})
        run("--data", "birds", "--checkpoint", "last.pt", "--out", "out", "--input-size", "64")
        assert 0 <= value(report(), "top1_cls") <= 1
        torch.save(torch.nn.Linear(2, 3).state_dict(), "other.pt")
        assert "--checkpoint" in run("--data", "birds", "--checkpoint", "other.pt", code=2).stderr


class TestBadInput:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--metadata", "metadata"], "either --scoremaps, or a network"),
            (["--scoremaps", "maps"], "either --data or --metadata"),
            (["--scoremaps", "maps", "--metadata", "metadata", "--model", "x"], "either --scoremaps, or a network"),
            (["--model", "x", "--metadata", "metadata"], "a network needs the pictures"),
            ([*FLAGS, "--gallery", 3], "--gallery needs --out"),
            ([*FLAGS, "--scoremaps-out", "x.npz"], "--scoremaps-out keeps the maps of a network"),
            ([*FLAGS, "--cam-curve-interval", 0.3], "0.3 must divide 1"),
            ([*FLAGS, "--cam-curve-interval", 0], "0 must divide 1"),
            ([*FLAGS, "--iou", 50, 50], "has one twice"),
            ([*FLAGS, "--iou", 0], "--iou"),
            ([*FLAGS, "--per-image", "none/rows.csv"], "none is not a folder"),
            ([*FLAGS, "--geometry", "crop", "--input-size", 64], "--input-size goes with --geometry resize"),
        ],
    )
    @pytest.mark.usefixtures("boxes")
    def test_options_that_contradict_themselves(self, options, message):
        assert message in " ".join(run(*options, code=2).stderr.split())

    def test_a_bad_score_map_is_an_error_or_counted(self, boxes):
        np.save(boxes / "maps" / "a" / "test2.jpg.npy", np.full((224, 224), 2.0))
        (boxes / "maps" / "b" / "test3.jpg.npy").unlink()
        message = run(*FLAGS, code=1).stderr
        assert (
            "test2.jpg.npy: a full-size score map must lie in [0, 1], got 2 to 2 (--skip-bad leaves it out)" in message
        )
        result = run(*FLAGS, "--skip-bad", "--out", "out", code=1)
        assert result.stderr.count("skipped") == 3
        assert "2 skipped" in result.stderr
        assert (report()["facts"]["images"], report()["facts"]["skipped"]) == (6, 2)

    @pytest.mark.usefixtures("colours")
    def test_broken_pictures_are_an_error_or_counted(self):
        broken = next(iter(read_cub("birds"))).path
        whole = broken.read_bytes()
        broken.write_bytes(whole[: len(whole) // 2])
        options = [*NETWORK, "--map-class", "predicted"]
        assert f"{broken}: " in run(*options, code=1).stderr
        assert "1 skipped" in run(*options, "--skip-bad", "--out", "out", code=1).stderr
        assert report()["facts"]["images"] == 2

    def test_data_that_is_none(self, boxes):
        (boxes / "empty").mkdir()
        assert "neither CUB-200-2011" in run("--scoremaps", "maps", "--data", "empty", code=1).stderr
        message = run(
            "--scoremaps", "maps", "--metadata", "metadata", "--dataset", "CUB", "--split", "x", code=1
        ).stderr
        assert "no image_ids.txt" in message
        (boxes / "metadata" / "CUB" / "test" / "localization.txt").write_text("")
        assert "neither boxes nor masks to evaluate against" in run(*FLAGS, code=1).stderr
