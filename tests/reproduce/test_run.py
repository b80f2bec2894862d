import json
from dataclasses import replace
from pathlib import Path

import pytest

from fastcam import AUTHORS, PAPER
from fastcam.reproduce import (
    TABLE_3,
    FineTuning,
    Row,
    Schedule,
    Search,
    Table,
    Training,
    markdown,
    reproduce,
    write_plot,
)
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
    search = Search((Schedule(0.01, 2), Schedule(0.1, 2)), 1)
    result = reproduce(TABLE_3, config, engine, tmp_path / "out", seeds=range(2), search=search)
    check(result)
    for title in ("GAP", "TAP"):
        choice = result["choices"][title]
        assert [one["lr"] for one in choice["tried"]] == [0.01, 0.1]
        assert f"Schedule of {title}: {choice['taken']}, by its accuracy" in markdown(result)
    for name in ("a.png", "a.svg"):
        write_plot(tmp_path / name, result)
        assert (tmp_path / name).stat().st_size > 10_000


def test_fine_tuned_and_resumed(learning, engine, tmp_path):
    out = tmp_path / "out"
    tried = [FineTuning(1e9, 1.0, False), FineTuning(0.01, 1.0, False)]
    result = reproduce(TABLE_3, learning, engine, out, seeds=range(2), fine_tune=True, fine_tunings=tried)
    check(result)
    assert {path.name for path in out.iterdir()} == {"choice", "kept", "gap-0", "tap-0", "gap-1", "tap-1"}
    for title in ("GAP", "TAP"):
        assert result["choices"][title]["taken"] == tried[1].name
    text = markdown(result)
    assert "lr 1e+09 (classifier x 1), normalization trained: diverged, lr 0.01 (classifier x 1)" in text
    assert "Schedule of TAP: lr 0.01 (classifier x 1), normalization trained, by its accuracy" in text
    written = {path: path.stat().st_mtime_ns for path in out.rglob("last.pt")}
    again = reproduce(TABLE_3, learning, engine, out, seeds=range(2), fine_tune=True, fine_tunings=tried)
    assert again["families"] == result["families"]
    assert "s in all, " in text
    assert "s since it last went on from its checkpoints" in markdown(again)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("last.pt")} == written


def test_one_seed_has_no_spread(config, engine, tmp_path):
    own = FineTuning.of(config)
    text = markdown(reproduce(TABLE_3, config, engine, tmp_path / "out", seeds=[0], fine_tune=True, fine_tunings=[own]))
    assert "±" not in text
    assert "1 seed;" in text


def test_fine_tuned_as_configured(config, engine, tmp_path):
    own = FineTuning.of(config)
    result = reproduce(TABLE_3, config, engine, tmp_path / "out", seeds=range(2), fine_tune=True, fine_tunings=[own])
    check(result)
    as_configured = {"taken": own.name, "how": "as configured, not chosen", "tried": []}
    assert result["choices"] == {"GAP": as_configured, "TAP": as_configured}
    assert f"Schedule of TAP: {own.name}, as configured, not chosen." in markdown(result)


def test_methods_with_another_map(config, engine, tmp_path):
    with pytest.raises(ConfigError, match="the rows are those of a single class activation map"):
        reproduce(TABLE_3, replace(config, method="acol"), engine, tmp_path / "out")


def test_equal_trainings_run_once_and_any_table_is_judged(config, engine, tmp_path):
    gmp, lse = Training.of(pooling="gmp"), Training.of(pooling="lse")
    family = (
        Row("a", gmp, PAPER),
        Row("b", Training.of(pooling="gmp"), PAPER.replace(threshold=0.2)),
        Row("c", lse, PAPER.replace(clamp_negative=False)),
    )
    table = Table("Poolings", {"mine": family, "theirs": (Row("d", lse, AUTHORS),)})
    assert table.trainings == (gmp, lse)
    own = FineTuning.of(config)
    result = reproduce(table, config, engine, tmp_path / "out", seeds=[0], fine_tune=True, fine_tunings=[own])
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"kept", "gmp-0", "lse-0"}
    assert [row["name"] for row in result["families"]["mine"]] == ["a", "b", "c"]
    first, second, third = (row["top1_cls"]["seeds"] for row in result["families"]["mine"])
    assert first == second
    assert third == result["families"]["theirs"][0]["top1_cls"]["seeds"]
    assert "# Poolings: vgg16 on birds" in markdown(result, table.title)


def test_the_number_of_a_file_is_that_of_evaluate(config, engine, tmp_path):
    import fastcam
    from fastcam.data import read_cub
    from fastcam.evaluation import evaluate

    own = FineTuning.of(config)
    result = reproduce(TABLE_3, config, engine, tmp_path / "out", seeds=[0], fine_tune=True, fine_tunings=[own])
    for family, protocol in (("PAPER/VANILLA", PAPER), ("AUTHORS", AUTHORS)):
        network = fastcam.load(tmp_path / "out" / "tap-0" / "last.pt", device="cpu")
        numbers = evaluate(network, read_cub(config.data, "test"), protocol=protocol).report.numbers
        everything, trivial = result["families"][family][-1], result["trivial"]
        for key in ("top1_cls", "gt_loc", "top1_loc"):
            assert everything[key]["seeds"] == [numbers["score_maps"][key].value]
        centred = trivial["centred box, side 0.7"][family]
        assert centred["gt_loc"] == numbers["centred_box"]["gt_loc"].value
        mean = evaluate(
            network, read_cub(config.data, "test"), protocol=protocol, training=read_cub(config.data, "train")
        ).report.numbers["mean_training_box"]
        assert trivial["mean training box (uses boxes)"][family]["gt_loc"] == mean["gt_loc"].value


def test_cached_features_serve_poolings_alone(config, engine, tmp_path):
    table = Table("Methods", {"mine": (Row("a", Training.of(method="has"), PAPER),)})
    with pytest.raises(ConfigError, match="differ in pooling alone, not in method"):
        reproduce(table, config, engine, tmp_path / "out")


def test_families_do_not_mix_comparisons():
    gap = Training.of(pooling="gap")
    with pytest.raises(ValueError, match="rows of family 'mine' must agree in iou and box_end"):
        Table("Mixed", {"mine": (Row("a", gap, PAPER), Row("b", gap, AUTHORS))})
    with pytest.raises(ValueError, match="a table needs a family of rows"):
        Table("Empty", {})


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
    result = reproduce(TABLE_3, config, engine, tmp_path, seeds=range(5))
    rows = result["families"]["PAPER/VANILLA"]
    baseline, everything = rows[0], rows[-1]
    centred = result["trivial"]["centred box, side 0.7"]["PAPER/VANILLA"]["gt_loc"]
    assert centred == pytest.approx(0.609, abs=0.001)
    assert everything["gt_loc"]["mean"] >= 0.68
    assert everything["gt_loc"]["mean"] >= baseline["gt_loc"]["mean"] + 0.15
    assert everything["gt_loc"]["mean"] >= centred + 0.05
    assert everything["top1_loc"]["mean"] >= baseline["top1_loc"]["mean"] + 0.10
    assert everything["gt_loc"]["difference"]["resolved"]
