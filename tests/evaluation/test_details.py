"""What becomes of single images."""

import numpy as np
import pytest
from small_datasets import cub

pytest.importorskip("torchmetrics")

from fastcam.data import read_cub
from fastcam.evaluation.details import exhibit, extremes
from fastcam.evaluation.per_image import Row
from fastcam.evaluation.score_maps import ScoreMaps
from fastcam.evaluation.settings import Settings
from fastcam.inputs import CROP, RESIZE


def test_no_image_is_among_the_best_and_the_worst():
    rows = [Row(str(i), 0, iou=i / 10) for i in (3, 1, 5, 2, 4)]
    best, worst = extremes(rows, 2)
    assert ([row.id for row in best], [row.id for row in worst]) == (["5", "4"], ["1", "2"])
    best, worst = extremes(rows, 9)
    assert ([row.id for row in best], [row.id for row in worst]) == (["5", "4", "3"], ["1", "2"])
    assert [row.id for row in extremes([Row("a", 0, mask_iou=0.5), Row("b", 0, mask_iou=0.6)], 1)[0]] == ["b"]


@pytest.mark.parametrize(("inputs", "box"), [(RESIZE, [16, 24, 48, 36]), (CROP, [18, 24, 46, 34.5])])
def test_boxes_and_heat_come_back_to_the_picture(tmp_path, inputs, box):
    split = read_cub(cub(tmp_path / "birds", 3))
    heat = np.zeros((4, 4), np.float32)
    heat[2:, 2:] = 3
    np.savez(tmp_path / "maps.npz", **{split[0].id: heat})
    row = Row(split[0].id, 0, top1=False, box=(56, 112, 168, 168), iou=0.5)
    shown = exhibit(row, split, 0, ScoreMaps(tmp_path / "maps.npz"), Settings(inputs))
    assert shown.found.tolist() == [pytest.approx(box)]
    assert shown.photo.shape == (48, 64, 3)
    assert shown.caption == "001.Auk, class wrong"
    assert (shown.heat.min(), shown.heat.max()) == (0, 1)
    assert shown.heat[0, 0] == 0
    split[0].path.unlink()
    assert exhibit(row, split, 0, ScoreMaps(tmp_path / "maps.npz"), Settings(inputs)).photo is None
