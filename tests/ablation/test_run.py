import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fastcam.ablation import FineTuning, Schedule, ablate, markdown, write_plot
from fastcam.ablation.features import Truth
from fastcam.ablation.trivial import MEAN, trivial_boxes
from fastcam.training import ConfigError, TrainingConfig

CUB = Path(__file__).resolve().parents[3] / "shared" / "data" / "CUB_200_2011_first10"


def check(result):
    json.dumps(result, allow_nan=False)
    assert set(result["families"]) == {"PAPER/VANILLA", "AUTHORS"}
    for rows in result["families"].values():
        assert len(rows) == 8
        for row in rows:
            assert all(len(row[measure]["seeds"]) == 2 for measure in ("top1_cls", "gt_loc", "top1_loc"))
            assert row["oracle_gt_loc"]["mean"] >= row["gt_loc"]["mean"] - 1e-9
            assert row["top1_loc"]["mean"] <= min(row["top1_cls"]["mean"], row["gt_loc"]["mean"])
        # Clamping and thresholding act after training: the classifier is the pooling's.
        for row in rows:
            same = [other for other in rows if other["techniques"]["tap"] == row["techniques"]["tap"]]
            assert all(other["top1_cls"]["seeds"] == row["top1_cls"]["seeds"] for other in same)
    text = markdown(result)
    assert text.count("| ✓ | ✓ | ✓ |") == 2
    assert "mean ± standard deviation over seeds" in text
    assert text.count("centred box, side 0.7") >= 2


def test_cached(config, engine, tmp_path):
    schedules = [Schedule(0.01, 2), Schedule(0.1, 2)]
    result = ablate(config, engine, tmp_path / "out", seeds=range(2), schedules=schedules)
    check(result)
    assert [one["lr"] for one in result["choice"]["tried"]] == [0.01, 0.1]
    assert f"Taken: {result['choice']['taken']}." in markdown(result)
    for name in ("a.png", "a.svg"):
        write_plot(tmp_path / name, result)
        assert (tmp_path / name).stat().st_size > 10_000


def test_fine_tuned_and_resumed(learning, engine, tmp_path):
    out = tmp_path / "out"
    tried = [FineTuning(1e9, 1.0, False), FineTuning(0.01, 1.0, False)]
    result = ablate(learning, engine, out, seeds=range(2), fine_tune=True, fine_tunings=tried)
    check(result)
    assert {path.name for path in out.iterdir()} == {"choice", "gap-0", "tap-0", "gap-1", "tap-1"}
    assert (result["config"]["lr"], result["config"]["freeze_norm"]) == (0.01, False)
    text = markdown(result)
    assert "lr 1e+09 (classifier x 1), normalization trained: diverged, lr 0.01 (classifier x 1)" in text
    assert "Taken: lr 0.01 (classifier x 1), normalization trained." in text
    written = {path: path.stat().st_mtime_ns for path in out.rglob("last.pt")}
    again = ablate(learning, engine, out, seeds=range(2), fine_tune=True, fine_tunings=tried)
    assert again["families"] == result["families"]
    assert "s in all, " in text
    assert "s since it last went on from its checkpoints" in markdown(again)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("last.pt")} == written


def test_one_seed_has_no_spread(config, engine, tmp_path):
    own = FineTuning.of(config)
    text = markdown(ablate(config, engine, tmp_path / "out", seeds=[0], fine_tune=True, fine_tunings=[own]))
    assert "±" not in text
    assert "1 seed;" in text


def test_fine_tuned_as_configured(config, engine, tmp_path):
    own = FineTuning.of(config)
    result = ablate(config, engine, tmp_path / "out", seeds=range(2), fine_tune=True, fine_tunings=[own])
    check(result)
    assert result["choice"] == {"taken": own.name, "how": "as configured, not chosen", "tried": []}
    assert "Taken" not in markdown(result)


def test_methods_with_another_map(config, engine, tmp_path):
    with pytest.raises(ConfigError, match="the rows are those of a single class activation map"):
        ablate(replace(config, method="acol"), engine, tmp_path / "out")


def test_trivial_boxes():
    truth = Truth(torch.zeros(2), torch.tensor([[[0.0, 0, 10, 20]], [[20, 10, 30, 40]]]))
    for inclusive in (False, True):
        boxes = {name: box[0] for name, box in trivial_boxes((100, 200), truth, inclusive=inclusive).items()}
        assert boxes["whole image"].tolist() == [0, 0, 200, 100]
        assert boxes["centred box, side 0.7"].tolist() == pytest.approx([30, 15, 170, 85])
        assert boxes["mean training box (uses boxes)"].tolist() == [10, 5, 20, 30]
    # Where the data's ends are last pixels inside, a half-open comparison takes them one further.
    last = Truth(truth.labels, truth.boxes, shift=1)
    assert trivial_boxes((100, 200), last, inclusive=False)[MEAN][0].tolist() == [10, 5, 21, 31]
    assert trivial_boxes((100, 200), last, inclusive=True)[MEAN][0].tolist() == [10, 5, 20, 30]


@pytest.mark.long
@pytest.mark.skipif(not CUB.is_dir(), reason=f"{CUB} is not there")
def test_real_birds(engine, tmp_path):
    config = TrainingConfig(
        data=str(CUB),
        model="efficientnet-lite0",
        weights="imagenet",
        model_options={"last_stride": 1},
        tap_threshold=0.0,
    )
    result = ablate(config, engine, tmp_path, seeds=range(5))
    rows = result["families"]["PAPER/VANILLA"]
    baseline, everything = rows[0], rows[-1]
    centred = result["trivial"]["centred box, side 0.7"]["PAPER/VANILLA"]["gt_loc"]
    assert centred == pytest.approx(0.609, abs=0.001)
    assert everything["gt_loc"]["mean"] >= 0.68
    assert everything["gt_loc"]["mean"] >= baseline["gt_loc"]["mean"] + 0.15
    assert everything["gt_loc"]["mean"] >= centred + 0.05
    assert everything["top1_loc"]["mean"] >= baseline["top1_loc"]["mean"] + 0.10
    assert everything["gt_loc"]["difference"]["resolved"]
