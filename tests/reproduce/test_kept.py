import json
from dataclasses import replace

import pytest
import torch

from fastcam import PAPER
from fastcam.reproduce import Row, Schedule, Search, Table, Training, reproduce
from fastcam.reproduce.budget import Budget
from fastcam.reproduce.frozen import frozen
from fastcam.reproduce.kept import Kept
from fastcam.training import ConfigError
from fastcam.training.data import read_part

SMALL = Table(
    "Poolings", {"mine": (Row("gap", Training.of(pooling="gap"), PAPER), Row("tap", Training.of(pooling="tap"), PAPER))}
)
SEARCH = Search((Schedule(0.01, 2), Schedule(0.1, 2)), 1)


def never():
    raise AssertionError("computed again")


def test_what_is_kept_is_not_computed_again(tmp_path):
    kept, made = Kept(tmp_path / "a", {"crop": 8}), {"x": torch.arange(6).view(2, 3), "y": torch.tensor([0.5])}
    first = kept.tensors("deep/part", lambda: made)
    assert "deep/part" in kept
    again = Kept(tmp_path / "a", {"crop": 8}).tensors("deep/part", never)
    for name, value in made.items():
        assert torch.equal(first[name], value)
        assert torch.equal(again[name], value)
        assert again[name].dtype == value.dtype
    # Nothing half-written is left, and what is damaged is made anew.
    assert [path.name for path in (tmp_path / "a" / "deep").iterdir()] == ["part.npz"]
    path = tmp_path / "a" / "deep" / "part.npz"
    for damaged in (b"", path.read_bytes()[:40], b"no archive"):
        path.write_bytes(damaged)
        assert torch.equal(kept.tensors("deep/part", lambda: made)["x"], made["x"])


def test_what_is_of_another_run_is_refused_by_name(tmp_path):
    Kept(tmp_path, {"crop": 224, "model": "vgg16"})
    with pytest.raises(ConfigError, match=r"is of another run: crop=224 \(now 128\); choose another folder"):
        Kept(tmp_path, {"crop": 128, "model": "vgg16"})
    (tmp_path / "of.json").write_text("{")
    with pytest.raises(ConfigError, match="is of another run: crop=None"):
        Kept(tmp_path, {"crop": 128})


class _Killed(BaseException):
    pass


@pytest.mark.parametrize("after", [1, 3, 5, 9])
def test_a_run_killed_anywhere_goes_on(config, engine, tmp_path, monkeypatch, after):
    """Whatever number of files was written, the numbers are those of one run, and no file is made twice."""
    monkeypatch.setattr("fastcam.reproduce.features._KEPT_AT_ONCE", 16)
    monkeypatch.setattr("fastcam.reproduce.frozen._TESTED_AT_ONCE", 5)
    whole = reproduce(SMALL, config, engine, tmp_path / "whole", seeds=range(2), search=SEARCH)
    own, made = Kept.tensors, []

    def mortal(kept, name, compute):
        if name not in kept:
            if len(made) == after:
                raise _Killed
            made.append(name)
        return own(kept, name, compute)

    monkeypatch.setattr(Kept, "tensors", mortal)
    with pytest.raises(_Killed):
        reproduce(SMALL, config, engine, tmp_path / "cut", seeds=range(2), search=SEARCH)
    after = -1
    result = reproduce(SMALL, config, engine, tmp_path / "cut", seeds=range(2), search=SEARCH)
    assert result["families"] == whole["families"]
    assert result["choices"] == whole["choices"]
    assert len(set(made)) == len(made) == 2 + 2 + 4 + 4 * 3 + 4
    # More seeds need no more than their own.
    made.clear()
    after = -1
    more = reproduce(SMALL, config, engine, tmp_path / "cut", seeds=range(3), search=SEARCH)
    assert {name.partition("/")[0] for name in made if "/" in name} == {"gap-2", "tap-2"}
    for family, rows in more["families"].items():
        for row, before in zip(rows, whole["families"][family], strict=True):
            assert row["gt_loc"]["seeds"][:2] == before["gt_loc"]["seeds"]


def test_other_images_or_rates_are_another_run(config, engine, tmp_path):
    reproduce(SMALL, config, engine, tmp_path / "out", seeds=[0], search=SEARCH)
    other = replace(config, crop=16)
    with pytest.raises(ConfigError, match=r"crop=32 \(now 16\)"):
        reproduce(SMALL, other, engine, tmp_path / "out", seeds=[0], search=SEARCH)
    with pytest.raises(ConfigError, match="features is of another run: search="):
        reproduce(SMALL, config, engine, tmp_path / "out", seeds=[0], search=Search((Schedule(0.1, 2),), 1))


def test_parts_say_what_the_whole_says(config, engine, tmp_path, monkeypatch):
    """The class activation map and the logits of a part are those of the layer by torch's own operations."""
    training = read_part(config.data, "train", out=tmp_path)
    monkeypatch.setattr("fastcam.reproduce.frozen._TESTED_AT_ONCE", 5)
    networks, _ = frozen(config, engine, tmp_path / "out", [0], SEARCH, SMALL.trainings, training, Budget(None, engine))
    gap, tap = networks
    networks = tmp_path / "out" / "kept" / "features" / "networks"
    head = Kept(networks, json.loads((networks / "of.json").read_text())).tensors("gap-0/head", never)
    labels = torch.tensor([record.label for record in read_part(config.data, "test", out=tmp_path)])
    # GAP is linear: the mean of the true class's map, and its bias, are its logit.
    true = gap.maps[False].mean((1, 2)) + head["bias"][labels]
    torch.testing.assert_close(true, gap.logits[torch.arange(len(labels)), labels])
    assert bool((gap.maps[True] >= gap.maps[False] - 1e-6).all())
    assert len(tap.logits) == len(labels) == 12
    assert not torch.equal(gap.logits, tap.logits)
