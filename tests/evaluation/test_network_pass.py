"""A network over the pictures of a split."""

import numpy as np
import pytest
from small_datasets import cub

pytest.importorskip("torchmetrics")

import torch

import fastcam
from fastcam.data import read_cub
from fastcam.evaluation.calls import images_per_call, read_calls
from fastcam.evaluation.network_pass import NetworkSettings, run_network
from fastcam.evaluation.score_maps import ScoreMaps, writing_score_maps
from fastcam.evaluation.truth import ground_truth
from fastcam.extractors import MapExtraction
from fastcam.inputs import Inputs
from fastcam.methods import MethodExtractor, create_method
from fastcam.models import VGG16
from fastcam.network import Network

INPUTS = Inputs((64, 64))
SAME = {0: (0,), 1: (1,)}


@pytest.fixture
def split(tmp_path):
    """Twenty pictures of noise, which a network tells apart."""
    from PIL import Image

    split = read_cub(cub(tmp_path / "birds", 60, boxes=["8 6 40 30"] * 60), "test")
    random = np.random.default_rng(0)
    for record in split:
        Image.fromarray(random.integers(0, 256, (48, 64, 3), np.uint8)).save(record.path)
    return split


def network(method="cam", classes=2):
    torch.manual_seed(0)
    model, method = VGG16(num_classes=classes, width=1 / 8).eval(), create_method(method)
    method.attach(model)
    names = tuple(map(str, range(classes)))
    return Network("toy", model, MethodExtractor(model, method.eval()), INPUTS, names, torch.device("cpu"))


def test_calls_are_dealt_out_whole(split):
    numbers = [number for number in range(20) if number != 3]
    calls = [call for call, _ in read_calls(split, INPUTS, numbers, 4)]
    assert [len(call) for call in calls] == [4, 4, 4, 4, 3]
    assert [number for call in calls for number in call] == numbers
    shares = [[call for call, _ in read_calls(split, INPUTS, numbers, 4, share=(i, 3))] for i in range(3)]
    assert shares == [calls[0::3], calls[1::3], calls[2::3]]


def test_how_many_images_a_call_has():
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert [images_per_call(cpu), images_per_call(cpu, 3), images_per_call(cuda), images_per_call(cuda, 256)] == [
        8,
        3,
        64,
        256,
    ]


@pytest.mark.parametrize("method", ["cam", "acol"])
def test_shares_add_up_to_the_whole(method, split):
    truth, settings = ground_truth(split, INPUTS), NetworkSettings(classes=SAME)
    one = network(method)
    whole = run_network(one, split, truth, settings)
    parts = [run_network(one, split, truth, settings, share=(i, 2)) for i in range(2)]
    assert whole.used.all()
    assert (parts[0].used ^ parts[1].used).all()
    for name in ("predicted", "correct", "boxes", "fits"):
        joined = np.where(
            parts[0].used.reshape(-1, *[1] * (getattr(whole, name).ndim - 1)), *(getattr(part, name) for part in parts)
        )
        np.testing.assert_array_equal(joined, getattr(whole, name))


@pytest.mark.parametrize("method", ["cam", "acol"])
def test_boxes_and_maps_are_those_of_the_method(method, split, tmp_path):
    one, protocol = network(method), fastcam.AUTHORS
    with writing_score_maps(tmp_path / "maps.npz") as writer:
        done = run_network(one, split, ground_truth(split, INPUTS), NetworkSettings(protocol, SAME), writer)
    maps = ScoreMaps(tmp_path / "maps.npz")
    for number, record in enumerate(split):
        extraction = one.extractor.extract(one.images([record.read()]), [record.label])
        torch.testing.assert_close(
            torch.from_numpy(maps.read(record.id))[None], extraction.maps(clamp_negative=True), atol=1e-5, rtol=1e-4
        )
        assert done.predicted[number] == extraction.logits.argmax()
        again = fastcam.boxes_from_maps(torch.from_numpy(maps.read(record.id))[None], size=(64, 64), protocol=protocol)
        np.testing.assert_array_equal(done.boxes[number], again.boxes[0])


def test_maps_in_float64_are_written_as_they_are_located(split, tmp_path, monkeypatch):
    one = network()
    plain = one.extractor.extract

    def on_an_offset(*arguments):
        found = plain(*arguments)
        finished = found.maps().double() + 1e9  # float32 has steps of 64 here
        return MapExtraction(found.logits, found.labels, found.size, finished)

    monkeypatch.setattr(one.extractor, "extract", on_an_offset)
    settings = NetworkSettings(fastcam.AUTHORS)
    with writing_score_maps(tmp_path / "maps.npz") as writer:
        done = run_network(one, split, ground_truth(split, INPUTS), settings, writer)
    maps = ScoreMaps(tmp_path / "maps.npz")
    read = [maps.read(record.id) for record in split]
    assert {one.dtype for one in read} == {np.dtype(np.float64)}
    wanted = fastcam.boxes_from_maps([one - 1e9 for one in read], size=(64, 64), protocol=fastcam.AUTHORS)
    np.testing.assert_array_equal(done.boxes, wanted.boxes)


@pytest.mark.parametrize("method", ["cam", "acol"])
def test_of_several_classes_the_likeliest_ones_map(method, split):
    one, truth = network(method, classes=5), ground_truth(split, INPUTS)
    accepted = {0: (4, 1), 1: (0, 2, 3)}
    done = run_network(one, split, truth, NetworkSettings(classes=accepted))
    for number, record in enumerate(split):
        images = one.images([record.read()])
        logits = one.extractor.extract(images).logits[0]
        names = accepted[record.label]
        likeliest = max(names, key=lambda name: logits[name].item())
        boxes = one.extractor.localize(images, [likeliest])[1].boxes
        np.testing.assert_array_equal(done.boxes[number], boxes[0])
        assert done.correct[number, 0] == (logits.argmax().item() in names)


def test_the_predicted_classes_map(split):
    one = network(classes=3)
    done = run_network(one, split, ground_truth(split, INPUTS))
    assert done.correct is None
    boxes = one.extractor.localize(one.images([split[0].read()]))[1].boxes
    np.testing.assert_array_equal(done.boxes[0], boxes[0])
