import csv
import math
import shutil

import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision

from fastcam.data import DataError
from fastcam.images import PictureError
from fastcam.methods import CAM, COMPATIBILITY, METHODS, Outcome
from fastcam.models import NETWORKS
from fastcam.training import CheckpointError, ConfigError, DivergedError, TrainingError, read_checkpoint, train


def weights(path):
    return read_checkpoint(path)["state_dict"]


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


_PAIRS = [(method, model) for method, models in COMPATIBILITY.items() for model, (good, _) in models.items() if good]
_SAMPLE = {("cam", "vgg16"), ("cutmix", "resnet50"), ("adl", "efficientnet-lite0"), ("acol", "vgg16"), ("spg", "vgg16")}
_SAMPLE |= {("danet", "vgg16"), ("weldon", "vgg16"), ("wildcat", "resnet50")}


@pytest.fixture
def alike(monkeypatch):
    """Let every epoch draw the same: where it is one step, the loss falls, or its gradients are not its own."""
    for module in ("loop", "batches"):
        monkeypatch.setattr(f"fastcam.training.{module}.mixed_seed", lambda *_: 7)


# Widths and rates at which ten steps neither stand still nor leap: networks without normalization need small ones.
_WIDTHS = {"mobilenetv1": 1 / 4, "efficientnet-lite0": 1 / 4}
_RATES = {"vgg16": 0.01, "mobilenetv1": 0.01, "efficientnet-lite0": 0.02}


@pytest.mark.parametrize(
    ("method", "model"), [pytest.param(*pair, marks=[] if pair in _SAMPLE else pytest.mark.long) for pair in _PAIRS]
)
@pytest.mark.usefixtures("alike")
def test_ten_steps_lower_the_loss(method, model, birds64, config, engine, tmp_path):
    # EfficientNet-Lite0's maps would be 2x2.
    last_stride = {"last_stride": 1} if model == "efficientnet-lite0" else {}
    settings = config(
        data=str(birds64),
        model=model,
        model_options={"width": _WIDTHS.get(model, 1 / 8), **last_stride},
        method=method,
        method_options={"patch": 8} if method == "has" else {},
        epochs=10,
        batch_size=32,
        lr=_RATES.get(model, 0.02),
        classifier_ratio=1.0,
        weight_decay=0.0,
        resize=64,
        crop=64,
        flip=False,
        hold_out=0,
    )
    losses = [entry["train_loss"] for entry in train(settings, tmp_path, engine).history]
    assert len(losses) == 10
    assert losses[0] < 10
    # Rounding moves it by a millionth.
    assert sum(losses[-3:]) / 3 < 0.999 * losses[0]


@pytest.mark.usefixtures("alike")
def test_without_a_rate_the_loss_stays(birds64, config, engine, tmp_path):
    # What the test above would see of gradients that do not arrive.
    settings = config(data=str(birds64), method="cutmix", model="resnet50", lr=0.0, epochs=3, flip=False, hold_out=0)
    losses = [entry["train_loss"] for entry in train(settings, tmp_path, engine).history]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-6)


@pytest.fixture(scope="module")
def birds64(tmp_path_factory):
    from fastcam.data.synthetic import write_synthetic

    folder = tmp_path_factory.mktemp("data") / "birds64"
    write_synthetic(folder, train=32, test=8, classes=2, size=64)
    return folder


def test_the_sample_is_of_the_table():
    assert set(_PAIRS) >= _SAMPLE
    assert {model for _, model in _PAIRS} == set(NETWORKS)


def test_what_is_written(config, engine, tmp_path):
    trained = train(config(select="best"), tmp_path, engine, tensorboard=True)
    assert {path.name for path in tmp_path.iterdir()} == {"last.pt", "best.pt", "history.csv", "tensorboard"}
    with open(tmp_path / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    for row, entry in zip(rows, trained.history, strict=True):
        assert {name: float(value) for name, value in row.items()} == pytest.approx(entry, rel=1e-5)
    assert trained.checkpoint == tmp_path / "best.pt"
    best = max(trained.history, key=lambda entry: entry["held_out_top1"])
    assert trained.epoch == best["epoch"]
    content = read_checkpoint(tmp_path / "last.pt")
    assert content["classes"] == ["class_00", "class_01"]
    assert content["epoch"] == 2


def test_history_is_of_the_images_held_out(config, engine, tmp_path):
    trained = train(config(epochs=1), tmp_path, engine)
    (entry,) = trained.history
    # 12 of 48 images are held out, so that accuracies are twelfths; 36 stay, of which two batches of 16 are seen.
    assert entry["held_out_top1"] * 12 == pytest.approx(round(entry["held_out_top1"] * 12))
    assert entry["train_top1"] * 32 == pytest.approx(round(entry["train_top1"] * 32))


def test_test_boxes_are_not_read(config, birds, engine, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(birds, copy)
    lines = (copy / "train_test_split.txt").read_text().splitlines()
    boxes = (copy / "bounding_boxes.txt").read_text().splitlines()
    spoilt = [
        f"{box.split()[0]} nan 1 1 1" if line.endswith(" 0") else box for line, box in zip(lines, boxes, strict=True)
    ]
    (copy / "bounding_boxes.txt").write_text("\n".join(spoilt))
    for path in (copy / "images").rglob("test_*.png"):
        path.unlink()
    train(config(data=str(copy), epochs=1), tmp_path / "out", engine)


@pytest.mark.parametrize("changes", [{}, {"method": "cutmix", "model": "resnet50"}, {"accumulate": 2}])
def test_a_resumed_training_ends_with_the_same_weights(changes, config, engine, tmp_path):
    whole = train(config(epochs=3, **changes), tmp_path / "whole", engine)
    train(config(epochs=1, **changes), tmp_path / "cut", engine)
    resumed = train(config(epochs=3, **changes), tmp_path / "cut", engine, resume=True)
    assert equal(weights(tmp_path / "whole" / "last.pt"), weights(tmp_path / "cut" / "last.pt"))
    for one, other in zip(whole.history, resumed.history, strict=True):
        assert {**one, "images_per_second": 0} == {**other, "images_per_second": 0}


def test_the_average_is_kept_and_the_training_goes_on_from_its_own_weights(config, engine, tmp_path):
    train(config(epochs=2, average=0.5), tmp_path / "averaged", engine)
    train(config(epochs=2), tmp_path / "plain", engine)
    content = torch.load(tmp_path / "averaged" / "last.pt")
    plain = torch.load(tmp_path / "plain" / "last.pt")["state_dict"]
    # What is trained is what it is without an average; what is kept lags behind it.
    assert equal(content["latest"]["model"], plain)
    kept = content["state_dict"]["classifier.weight"]
    assert not torch.equal(kept, plain["classifier.weight"])
    assert torch.allclose(kept, plain["classifier.weight"], atol=0.1)
    assert int(content["latest"]["updates"]) == 4


def test_a_schedule_to_zero_is_not_resumed_with_another_length(config, engine, tmp_path):
    train(config(epochs=2, schedule="cosine"), tmp_path, engine)
    with pytest.raises(CheckpointError, match=r"is of another training: epochs=2 \(now 3\)"):
        train(config(epochs=3, schedule="cosine"), tmp_path, engine, resume=True)


def test_settings_that_are_newer_than_the_checkpoint_have_their_defaults(config, engine, tmp_path):
    train(config(epochs=1), tmp_path, engine)
    content = torch.load(tmp_path / "last.pt")
    del content["config"]["average"], content["config"]["warmup"]
    torch.save(content, tmp_path / "last.pt")
    with pytest.raises(CheckpointError, match=r"average=0.0 \(now 0.5\)"):
        train(config(epochs=2, average=0.5), tmp_path, engine, resume=True)
    assert train(config(epochs=2), tmp_path, engine, resume=True).epoch == 2


@pytest.mark.parametrize("workers", [0, 2])
def test_pictures_that_are_kept_are_the_same(workers, config, engine, tmp_path):
    train(config(epochs=2, workers=workers), tmp_path / "read", engine)
    train(config(epochs=2, workers=workers, keep_pictures=True), tmp_path / "kept", engine)
    assert equal(weights(tmp_path / "read" / "last.pt"), weights(tmp_path / "kept" / "last.pt"))


def half(**scaler):
    """An engine in mixed float16, which the command offers on a GPU alone; the loss scaler works on a CPU too."""
    own = torch.amp.GradScaler("cpu", growth_interval=3, **scaler)
    engine = Fabric(accelerator="cpu", devices=1, plugins=[MixedPrecision("16-mixed", "cpu", own)])
    engine.launch()
    return engine, own


def test_a_resumed_training_goes_on_with_its_loss_scale(config, tmp_path):
    engine, scaler = half(init_scale=64.0)
    whole = config(epochs=4, precision="16-mixed")
    train(whole, tmp_path / "whole", engine)
    # Two steps an epoch: eight in all, and twice as large after every third.
    assert scaler.state_dict()["scale"] == 256
    assert scaler.state_dict()["_growth_tracker"] == 2
    train(config(epochs=1, precision="16-mixed"), tmp_path / "cut", half(init_scale=64.0)[0])
    engine, resumed = half(init_scale=8.0)
    train(whole, tmp_path / "cut", engine, resume=True)
    assert resumed.state_dict() == scaler.state_dict()
    assert equal(weights(tmp_path / "whole" / "last.pt"), weights(tmp_path / "cut" / "last.pt"))


def test_checkpoints_of_older_formats_and_of_newer_ones(config, engine, tmp_path):
    train(config(epochs=1), tmp_path, engine)
    content = torch.load(tmp_path / "last.pt")
    inputs = content.pop("inputs")
    del content["latest"]
    torch.save({**content, "inputs": inputs, "fastcam": 3}, tmp_path / "last.pt")
    assert read_checkpoint(tmp_path / "last.pt")["latest"] == {}
    torch.save({**content, "fastcam": 2}, tmp_path / "last.pt")
    assert read_checkpoint(tmp_path / "last.pt")["inputs"] == inputs
    del content["precision"]
    torch.save({**content, "fastcam": 1}, tmp_path / "last.pt")
    assert read_checkpoint(tmp_path / "last.pt")["precision"] == {}
    assert train(config(epochs=2), tmp_path, engine, resume=True).epoch == 2
    torch.save({**content, "fastcam": 5}, tmp_path / "last.pt")
    with pytest.raises(CheckpointError, match="checkpoint format 5, expected 4"):
        train(config(epochs=3), tmp_path, engine, resume=True)


def test_parts_of_a_batch_add_up(config, engine, tmp_path):
    train(config(), tmp_path / "one", engine)
    train(config(accumulate=4), tmp_path / "four", engine)
    one, four = weights(tmp_path / "one" / "last.pt"), weights(tmp_path / "four" / "last.pt")
    for name in one:
        torch.testing.assert_close(one[name], four[name], rtol=1e-4, atol=1e-6)


def test_the_classifier_learns_faster(config, engine, tmp_path):
    torch.manual_seed(0)
    trained = train(config(epochs=1, lr=0.001, classifier_ratio=7, momentum=0), tmp_path, engine)
    groups = read_checkpoint(tmp_path / "last.pt")["optimizer"]["param_groups"]
    assert [group["lr"] for group in groups] == pytest.approx([0.001, 0.007])
    assert [len(group["params"]) for group in groups] == [len(list(trained.model.parameters())) - 2, 2]


def test_frozen_normalization(config, engine, tmp_path):
    trained = train(config(model="resnet50", freeze_norm=True, epochs=1), tmp_path, engine)
    norm = trained.model.bn1
    assert norm.running_mean.abs().sum() == 0
    assert (norm.weight == 1).all()
    assert trained.model.conv1.weight.requires_grad


def test_a_finished_folder_is_not_overwritten(config, engine, tmp_path):
    train(config(epochs=1), tmp_path, engine)
    before = (tmp_path / "last.pt").read_bytes()
    with pytest.raises(CheckpointError, match=r"last.pt is there already: resume it, or train into another folder"):
        train(config(epochs=1), tmp_path, engine)
    assert (tmp_path / "last.pt").read_bytes() == before


def test_a_checkpoint_of_another_training(config, engine, tmp_path):
    train(config(epochs=1), tmp_path, engine)
    before = (tmp_path / "last.pt").read_bytes()
    with pytest.raises(CheckpointError, match=r"is of another training: model='vgg16' \(now 'resnet50'\), lr=0.01"):
        train(config(model="resnet50", lr=0.02), tmp_path, engine, resume=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "last.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match="not a checkpoint that can be loaded safely"):
        train(config(epochs=1), tmp_path / "other", engine, resume=True)
    torch.save({"state_dict": {}}, tmp_path / "other" / "last.pt")
    with pytest.raises(CheckpointError, match="not a checkpoint of fastcam train"):
        train(config(epochs=1), tmp_path / "other", engine, resume=True)
    assert (tmp_path / "last.pt").read_bytes() == before


class _Breaking(CAM):
    """Gives a loss that is no number from the given batch on."""

    name = "cam"
    batches = 0

    def forward(self, model, images, labels):
        outcome = super().forward(model, images, labels)
        type(self).batches += 1
        return Outcome(outcome.loss * (math.nan if self.batches > 2 else 1), outcome.logits)


def test_a_loss_that_is_no_number(config, engine, tmp_path, monkeypatch):
    monkeypatch.setattr("fastcam.methods.table.METHODS", {**METHODS, "cam": _Breaking})
    monkeypatch.setattr(_Breaking, "batches", 0)
    with pytest.raises(DivergedError, match=r"the loss is nan in epoch 2, step 1 of 2; .*last.pt holds epoch 1"):
        train(config(epochs=3), tmp_path, engine)
    assert read_checkpoint(tmp_path / "last.pt")["epoch"] == 1


def test_a_rate_that_is_too_high(config, engine, tmp_path):
    with pytest.raises(DivergedError, match=r"the loss is (nan|inf) in epoch 1, .*no epoch was finished.*lower lr"):
        train(config(lr=1e9, epochs=3), tmp_path, engine)
    assert list(tmp_path.iterdir()) == []


def test_no_space_left(config, engine, tmp_path, monkeypatch):
    train(config(epochs=1), tmp_path, engine)
    before = (tmp_path / "last.pt").read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(
            TrainingError, match=r"epoch 2 could not be saved to .*: no space left on the disk; .*whole"
        ):
            train(config(epochs=2), tmp_path, engine, resume=True)
    assert (tmp_path / "last.pt").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"last.pt", "history.csv"}
    # When there is space again the training goes on.
    assert train(config(epochs=2), tmp_path, engine, resume=True).epoch == 2


def test_weights_for_other_classes(config, engine, tmp_path):
    train(config(epochs=1), tmp_path / "two", engine)
    path = tmp_path / "two" / "last.pt"
    state = read_checkpoint(path)["state_dict"]
    torch.save(
        {**state, "classifier.weight": torch.zeros(5, 64), "classifier.bias": torch.zeros(5)}, tmp_path / "w.pth"
    )
    with pytest.raises(ConfigError, match="was trained for 5 classes, the data has 2"):
        train(config(weights=str(tmp_path / "w.pth")), tmp_path / "three", engine)
    train(config(weights=str(tmp_path / "w.pth"), new_classifier=True, epochs=1), tmp_path / "three", engine)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": "/nowhere"}, "data: '/nowhere' is no folder"),
        ({"data": "."}, "neither CUB-200-2011 .* nor pictures with image_ids.txt"),
        ({"model": "vgg"}, "name='vgg' is no network; did you mean 'vgg16'"),
        ({"model_options": {"depth": 3}}, "vgg16 has no option 'depth'"),
        ({"method": "mixup"}, "method='mixup' is unknown"),
        ({"method": "spg", "model": "mobilenetv1"}, "method 'spg' is not defined for model 'mobilenetv1': SPG"),
        ({"weights": "/nowhere.pth"}, "No such file"),
        ({"weights": "imagenet"}, "width=1"),
        ({"batch_size": 15, "accumulate": 2}, "batch_size must be a multiple of accumulate=2"),
        ({"batch_size": 40}, "batch_size must be at most the 36 training images, got 40"),
        ({"tap_threshold": 0.1}, "tap_threshold=0.1 goes with pooling='tap'"),
    ],
)
def test_choices_that_cannot_be_met(changes, message, config, engine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if changes.get("weights") == "imagenet":
        changes = {**changes, "model": "efficientnet-lite0"}
    with pytest.raises((ConfigError, DataError), match=message):
        train(config(**changes), tmp_path / "out", engine)


def test_a_missing_file_of_the_data_set(config, birds, engine, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(birds, copy)
    (copy / "train_test_split.txt").unlink()
    with pytest.raises(DataError, match=r"train_test_split.txt"):
        train(config(data=str(copy)), tmp_path / "out", engine)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_picture(workers, config, birds, engine, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(birds, copy)
    victim = copy / "images" / "class_00" / "train_00004.png"
    # The header is whole: what reads sizes alone does not notice.
    victim.write_bytes(victim.read_bytes()[:200])
    with pytest.raises(PictureError, match=r"^[^\n]*train_00004.png: [^\n]*$"):
        train(config(data=str(copy), hold_out=0, workers=workers, epochs=3), tmp_path / "out", engine)
