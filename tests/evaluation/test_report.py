"""Numbers in words, tables, plots and the gallery."""

import base64
import io
import json
import math
import os

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torchmetrics")
pytest.importorskip("matplotlib")

from fastcam.evaluation.gallery import Exhibit, write_gallery
from fastcam.evaluation.judge import Judged
from fastcam.evaluation.numbers import ORACLE, Number, beside_judged, of_box, of_judged, title
from fastcam.evaluation.per_image import COLUMNS, Row, write_rows
from fastcam.evaluation.plots import plot_precision_recall, plot_thresholds
from fastcam.evaluation.report import Report
from fastcam.result_files import write_json

REPORT = Report(
    {"dataset": "toys", "images": 2},
    {
        "score_maps": {
            "max_box_acc_50": Number(0.5, 0.25, ORACLE),
            "box_acc_50": Number(0.25, 0.5, "val"),
            "gt_loc": Number(0.125, None, "fixed"),
            "pxap": Number(0.75),
        },
        "whole_image": {"max_box_acc_50": Number(1 / 3)},
        "centred_gaussian": {},
    },
    {
        "thresholds": [0, 0.5],
        "max_box_acc_50": [0.5, 0.25],
        "max_box_acc_v2_50": [1, 0.5],
        "precision": [math.nan, 1],
        "recall": [0, 1],
    },
)


class TestWords:
    @pytest.mark.parametrize(
        ("key", "words"),
        [
            ("top1_cls", "Top-1 Cls"),
            ("top5_loc", "Top-5 Loc, IoU 0.5"),
            ("max_box_acc_30", "MaxBoxAcc, IoU 0.3"),
            ("max_box_acc_mean", "MaxBoxAcc, mean"),
            ("max_box_acc_v2_70", "MaxBoxAccV2, IoU 0.7"),
            ("max_box_acc_v2", "MaxBoxAccV2, mean"),
            ("top5_max_box_acc_50", "MaxBoxAcc, IoU 0.5, class in top 5"),
            ("box_acc_v2", "BoxAccV2, mean"),
            ("box_acc_50", "BoxAcc, IoU 0.5"),
            ("pxap", "PxAP"),
        ],
    )
    def test_of_a_key(self, key, words):
        assert title(key) == words

    def test_a_table_says_how_each_threshold_was_chosen(self):
        lines = REPORT.to_markdown().splitlines()
        assert lines[:3] == ["dataset: toys  ", "images: 2", ""]
        cells = {
            row[1]: row[2:4] for row in ([cell.strip() for cell in line.split("|")] for line in lines if "|" in line)
        }
        assert cells["percent"] == ["score maps", "whole image"]
        assert cells["MaxBoxAcc, IoU 0.5"] == ["50.00 oracle 0.250", "33.33"]
        assert cells["BoxAcc, IoU 0.5"] == ["25.00 val 0.500", ""]
        assert cells["GT-Loc, IoU 0.5"] == ["12.50 fixed", ""]
        assert cells["PxAP"] == ["75.00", ""]
        assert lines[-3:] == [
            "fixed: at a threshold given beforehand.",
            "oracle: at the threshold that is best on these very images.",
            "val: at the threshold that is best on the val split.",
        ]

    def test_json(self, tmp_path):
        write_json(tmp_path / "a.json", REPORT.to_json())
        told = json.loads((tmp_path / "a.json").read_text())
        assert told["numbers"]["score_maps"]["box_acc_50"] == {"value": 0.25, "threshold": 0.5, "chosen_on": "val"}
        assert told["curves"]["precision"] == [None, 1]
        assert told["facts"] == REPORT.facts


def test_a_box_without_threshold():
    correct = np.array([[True, True], [False, True], [True, True], [False, False]])
    ious = np.array([0.5, 0.75, 0.25, 1])
    found = of_box(ious, (0.3, 0.5, 0.7))
    assert {key: one.value for key, one in found.items() if "v2" not in key} == {
        "max_box_acc_30": 0.75,
        "max_box_acc_50": 0.75,
        "max_box_acc_70": 0.5,
        "max_box_acc_mean": pytest.approx(2 / 3),
    }
    judged = Judged(ious >= 0.5, correct)
    beside = {key: one.value for key, one in beside_judged(judged).items()}
    assert beside == {"gt_loc": 0.75, "top1_loc": 0.25, "top5_loc": 0.5}
    assert beside_judged(Judged(ious >= 0.5, None))["loc"].value == 0.75
    assert {one.chosen_on for one in found.values()} == {None}
    fixed = {key: one.chosen_on for key, one in of_judged(judged, "fixed").items()}
    assert fixed == {"top1_cls": None, "top5_cls": None, "gt_loc": "fixed", "top1_loc": "fixed", "top5_loc": "fixed"}


def test_rows(tmp_path):
    write_rows(tmp_path / "a.csv", [Row("a,b.jpg", 1, 2, True, False, True, (1, 2, 3, 4), 0.5, 0.25, None)])
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines == [",".join(COLUMNS), '"a,b.jpg",1,2,1,0,1,1,2,3,4,0.500000,0.250000,']


class TestPlots:
    @pytest.mark.parametrize("draw", [plot_thresholds, plot_precision_recall])
    def test_png_and_svg(self, tmp_path, draw):
        draw(REPORT, tmp_path / "a.png")
        pixels = np.asarray(Image.open(tmp_path / "a.png"))
        assert pixels.std() > 5
        draw(REPORT, tmp_path / "a.svg")
        first = (tmp_path / "a.svg").read_text()
        assert first.startswith("<?xml")
        draw(REPORT, tmp_path / "a.svg")
        assert (tmp_path / "a.svg").read_text() == first
        assert sorted(os.listdir(tmp_path)) == ["a.png", "a.svg"]

    @pytest.mark.parametrize("draw", [plot_thresholds, plot_precision_recall])
    def test_nothing_to_draw(self, tmp_path, draw):
        with pytest.raises(ValueError, match=r"report has no (boxes|masks)"):
            draw(Report({}, {}), tmp_path / "a.png")
        assert os.listdir(tmp_path) == []


class TestGallery:
    def test_boxes_lie_in_the_pictures_own_pixels_and_everything_is_in_the_file(self, tmp_path):
        photo = np.zeros((300, 600, 3), np.uint8)
        boxes = np.array([[60.0, 30, 300, 150]]), np.array([[0.0, 0, 600, 300]])
        one = Exhibit("<a>.jpg", "a & b", 0.25, photo, np.eye(7), *boxes, (300, 600))
        bare = Exhibit("b.jpg", "", 0.0, None, np.eye(7), np.zeros((0, 4)), np.zeros((0, 4)), (30, 60))
        write_gallery(tmp_path / "a.html", "toys test", [one], [bare])
        page = (tmp_path / "a.html").read_text()
        assert '<svg viewBox="0 0 600 300"' in page
        assert '<rect class="true" x="60.0" y="30.0" width="240.0" height="120.0"/>' in page
        assert '<rect class="found" x="0.0" y="0.0" width="600.0" height="300.0"/>' in page
        assert "&lt;a&gt;.jpg" in page
        assert "<a>" not in page
        assert page.count("data:image/jpeg;base64,") == 4
        assert 'src="http' not in page
        encoded = page.split("data:image/jpeg;base64,")[1].split('"')[0]
        assert Image.open(io.BytesIO(base64.b64decode(encoded))).size == (360, 180)
