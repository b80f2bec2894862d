"""A file of weights that is no longer what was written is refused, wherever the damage is."""

import random

import pytest
import torch

pytest.importorskip("lightning_fabric")

import fastcam
from fastcam.checkpoint import CheckpointError, is_checkpoint, read_checkpoint, write_checkpoint
from fastcam.inputs import RESIZE
from fastcam.models import create, read_state_dict
from fastcam.safe_load import load_safely
from fastcam.sources import LoadError

FLIPS = 60


def equal(one, other):
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and list(one) == list(other) and all(equal(one[key], other[key]) for key in one)
    return type(one) is type(other) and one == other


@pytest.fixture
def content():
    return {
        "state_dict": dict(create("vgg16", num_classes=2, width=1 / 16).state_dict()),
        "method_state": {},
        "latest": {},
        "optimizer": {"state": {0: {"momentum_buffer": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]},
        "precision": {},
        "epoch": 1,
        "history": [{"epoch": 1, "train_loss": 0.5, "held_out_top1": None}],
        "config": {"model": "vgg16", "model_options": {"width": 1 / 16}},
        "inputs": RESIZE.to_mapping(),
        "classes": ["auk", "wren"],
    }


def flipped(raw, place, bit):
    changed = bytearray(raw)
    changed[place] ^= 1 << bit
    return bytes(changed)


@pytest.mark.parametrize("where", ["anywhere", "record", "directory"])
def test_a_flipped_bit_is_refused_or_changes_nothing(where, content, tmp_path):
    path, draw = tmp_path / "last.pt", random.Random(where)
    write_checkpoint(path, content)
    raw, written = path.read_bytes(), read_checkpoint(path)
    assert equal({key: written[key] for key in content}, content)
    low, high = {"anywhere": (0, len(raw)), "record": (0, 4096), "directory": (len(raw) - 4096, len(raw))}[where]
    refused = []
    for _ in range(FLIPS):
        path.write_bytes(flipped(raw, draw.randrange(low, high), draw.randrange(8)))
        try:
            got = read_checkpoint(path)
        except CheckpointError as error:
            refused.append(str(error))
        else:
            assert equal(got, written)
    assert len(refused) >= FLIPS // 2
    assert all("last.pt" in message and len(message) < 1000 for message in refused)


def test_a_part_that_calls_itself_a_folder(tmp_path):
    # torch.load reads nothing of it, and gives whatever was in memory.
    torch.save({"a": torch.ones(300)}, tmp_path / "a.pt")
    raw = (tmp_path / "a.pt").read_bytes()
    entry = raw.rindex(b"PK\x01\x02", 0, raw.rindex(b"/data/0"))
    (tmp_path / "a.pt").write_bytes(flipped(raw, entry + 38, 4))
    with pytest.raises(ValueError, match="damaged or incomplete"):
        load_safely(tmp_path / "a.pt")


def test_what_is_damaged_is_said_by_every_door(content, tmp_path):
    path = tmp_path / "last.pt"
    write_checkpoint(path, content)
    raw = path.read_bytes()
    weights = content["state_dict"]["classifier.weight"].numpy().tobytes()
    for damaged in (flipped(raw, raw.index(weights) + 5, 6), raw[: len(raw) // 2], raw[:-1], raw[:-30]):
        path.write_bytes(damaged)
        assert is_checkpoint(path)
        for source, given in ((path, None), ("vgg16", path)):
            with pytest.raises(LoadError, match=r"damaged or incomplete .* take another copy"):
                fastcam.load(source, weights=given)
        with pytest.raises(ValueError, match="damaged or incomplete"):
            read_state_dict(path)


def test_checksums_are_written_whatever_the_program_has_chosen(content, tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        write_checkpoint(tmp_path / "last.pt", content)
        assert torch.serialization.get_crc32_options() is False
        torch.save(content["state_dict"], tmp_path / "other.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    raw = (tmp_path / "last.pt").read_bytes()
    weights = content["state_dict"]["classifier.weight"].numpy().tobytes()
    (tmp_path / "last.pt").write_bytes(flipped(raw, raw.index(weights), 0))
    with pytest.raises(CheckpointError, match="CRC-32"):
        read_checkpoint(tmp_path / "last.pt")
    # A file that was written without them has nothing to be compared with.
    assert equal(read_state_dict(tmp_path / "other.pt"), content["state_dict"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": [["auk", "wren"]]}, "classes must be a list of names"),
        ({"classes": 7}, "classes must be a list of names"),
        ({"classes": {"auk": 1}}, "classes must be a list of names"),
        ({"config": 3}, "config must be a table"),
        ({"config": {1: 2}}, "config must be a table"),
        ({"inputs": [224, 224]}, "inputs must be a table"),
        ({"optimizer": 1}, "optimizer must be a table"),
        ({"precision": None}, "precision must be a table"),
        ({"latest": [1]}, "latest must be a table"),
        ({"epoch": "1"}, "epoch must be a whole number"),
        ({"epoch": True}, "epoch must be a whole number"),
        ({"epoch": -1}, "epoch must be a whole number"),
        ({"history": {"epoch": 1}}, "history must be a list"),
        ({"history": [3]}, "history must be a list"),
        ({"history": [{"epoch": "one"}]}, "history must be a list"),
        ({"state_dict": [torch.zeros(1)]}, "expected a state dict"),
        ({"method_state": {"a": 1}}, "expected a state dict"),
    ],
)
def test_fields_of_a_wrong_type(changes, message, content, tmp_path):
    torch.save({"fastcam": 4, **content, **changes}, tmp_path / "last.pt")
    with pytest.raises(CheckpointError, match=rf"last.pt: {message}"):
        read_checkpoint(tmp_path / "last.pt")
