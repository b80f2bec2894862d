"""An evaluation by several processes: the numbers, rows, score maps and skips of one."""

import json
import os
import signal
import zipfile

import numpy as np
import pytest
from several import in_processes
from small_datasets import cub, mask, picture

pytest.importorskip("torchmetrics")
pytest.importorskip("matplotlib")

import torch

import fastcam
from fastcam.data import Record, Split, read_cub
from fastcam.evaluation import Outputs, ScoreMaps, Settings, evaluate
from fastcam.inputs import Inputs
from fastcam.models import VGG16
from fastcam.processes import ALONE, ProcessError, joined

SIZE = (32, 32)
SETTINGS = Settings(Inputs(SIZE), num_thresholds=50, batch_size=2)
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.fixture
def birds(tmp_path):
    root = cub(tmp_path / "birds", 33, size=(64, 64), boxes=[f"{i} 3 {40 - i} {30 + i}" for i in range(33)])
    for i, file in enumerate(sorted((root / "images").rglob("*.png"))):
        picture(file, (64, 64), (7 * i, 255 - 5 * i, 90))
    return root


def network():
    torch.manual_seed(0)
    return fastcam.load(VGG16(num_classes=2, width=1 / 16), size=SIZE, device="cpu")


def evaluated(birds, source, out, processes):
    """Evaluate into a folder; return what is known of it."""
    skipped = []
    outputs = Outputs(out, gallery=2, per_image=out.with_suffix(".csv"))
    if source is None:
        outputs = Outputs(out, gallery=2, per_image=out.with_suffix(".csv"), score_maps=out.with_suffix(".npz"))
    done = evaluate(
        network() if source is None else source,
        read_cub(birds, "test"),
        SETTINGS,
        thresholds_from=read_cub(birds, "train"),
        training=read_cub(birds, "train"),
        outputs=outputs,
        on_skipped=skipped.append,
        processes=processes,
    )
    return done.report.to_json(), len(done.rows), done.skipped, sorted(map(str, skipped))


def joined_evaluation(birds, source, out):
    with joined() as processes:
        return evaluated(birds, source, out, processes)


def same_files(one, other):
    for name in ("evaluation.json", "evaluation.md", "gallery.html"):
        ours, theirs = (folder.joinpath(name).read_text() for folder in (other, one))
        assert ours == theirs
    assert other.with_suffix(".csv").read_text() == one.with_suffix(".csv").read_text()


@pytest.mark.parametrize("count", [2, 3])
def test_score_maps(birds, count, tmp_path):
    random = np.random.default_rng(0)
    names = [record.id for part in ("train", "test") for record in read_cub(birds, part)]
    maps = {name: random.normal(size=(6, 6)).astype(np.float32) for name in names}
    # One map is missing and one cannot be evaluated.
    tests = [record.id for record in read_cub(birds, "test")]
    del maps[tests[3]]
    maps[tests[8]][0, 0] = np.nan
    np.savez(tmp_path / "maps.npz", **maps)
    alone = evaluated(birds, tmp_path / "maps.npz", tmp_path / "one", ALONE)
    found = in_processes(count, tmp_path / "ranks", joined_evaluation, birds, tmp_path / "maps.npz", tmp_path / "some")
    same_files(tmp_path / "one", tmp_path / "some")
    assert alone[1:3] == (9, 2)
    for rank, (report, rows, skipped, _) in enumerate(found):
        assert report == json.loads(json.dumps(alone[0]))
        assert (rows, skipped) == (0 if rank else 9, 2)
    assert sorted(text for *_, texts in found for text in texts) == alone[3]


@pytest.mark.usefixtures("restored_threads")
@pytest.mark.parametrize("count", [2, 3])
def test_a_network(birds, count, tmp_path):
    torch.set_num_threads(1)
    # Its header says a size, and the pixels are missing.
    cut = read_cub(birds, "test")[4].path
    cut.write_bytes(cut.read_bytes()[:60])
    alone = evaluated(birds, None, tmp_path / "one", ALONE)
    found = in_processes(count, tmp_path / "ranks", joined_evaluation, birds, None, tmp_path / "some")
    same_files(tmp_path / "one", tmp_path / "some")
    assert [one[0] for one in found] == [json.loads(json.dumps(alone[0]))] * count
    assert [one[2] for one in found] == [1] * count
    names = [zipfile.ZipFile(tmp_path / f"{name}.npz").namelist() for name in ("one", "some")]
    assert names[0] == names[1]
    ours, theirs = (ScoreMaps(tmp_path / f"{name}.npz") for name in ("some", "one"))
    for name in names[0]:
        np.testing.assert_array_equal(ours.read(name.removesuffix(".npy")), theirs.read(name.removesuffix(".npy")))


def masked_evaluation(root, out, processes=None):
    if processes is None:
        with joined() as processes:
            return masked_evaluation(root, out, processes)
    masked = tuple(Record(f"{i}.png", root / f"{i}.png", 0, masks=(root / f"m{i}.png",)) for i in range(3))
    split = Split("toys", "test", masked, ("cube",))
    done = evaluate(root / "maps", split, SETTINGS, outputs=Outputs(per_image=out), processes=processes)
    return done.report.to_json()


def test_masks_by_more_processes_than_batches(tmp_path):
    random = np.random.default_rng(1)
    (tmp_path / "maps").mkdir()
    for i in range(3):
        mask(tmp_path / f"m{i}.png", (40, 40), (2, 3, 20 + i, 30))
        np.save(tmp_path / "maps" / f"{i}.png.npy", random.random((8, 8)))
    alone = masked_evaluation(tmp_path, tmp_path / "one.csv", ALONE)
    found = in_processes(3, tmp_path / "ranks", masked_evaluation, tmp_path, tmp_path / "some.csv")
    assert found == [json.loads(json.dumps(alone))] * 3
    assert (tmp_path / "some.csv").read_text() == (tmp_path / "one.csv").read_text()


def killed_evaluation(birds, out):
    with joined() as processes:
        if processes.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        with pytest.raises(ProcessError, match="its own message says why"):
            evaluated(birds, None, out, processes)


def test_one_that_is_killed_leaves_nothing_half_done(birds, tmp_path):
    in_processes(2, tmp_path / "ranks", killed_evaluation, birds, tmp_path / "some", codes=[0, -signal.SIGKILL])
    assert not list(tmp_path.glob("some*"))
