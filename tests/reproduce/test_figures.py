"""The numbers behind the paper's figures, beside what NumPy and PyTorch make of the network's own layers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from fastcam.data.synthetic import write_synthetic
from fastcam.reproduce.figures import Pair, figure2, figure3, figure4, figure5, figure6, frozen_networks, sampled
from fastcam.reproduce.figures.correlation import correlation
from fastcam.reproduce.figures.figure2 import areas_by_class
from fastcam.reproduce.figures.figure3 import boxes_mask, shares_inside
from fastcam.reproduce.figures.figure4 import kept_shares
from fastcam.training import TrainingConfig
from fastcam.training.data import read_part


@pytest.fixture(scope="module")
def prepared(engine, tmp_path_factory):
    """Networks with GAP and TAP on one frozen backbone, and the test pictures."""
    tmp_path = tmp_path_factory.mktemp("figures")
    write_synthetic(tmp_path / "birds", train=32, test=12, classes=2, size=32)
    options = {"width": 1 / 16}
    config = TrainingConfig(data=str(tmp_path / "birds"), model="vgg16", model_options=options, crop=32, workers=0)
    training, testing = (read_part(config.data, part, out=tmp_path) for part in ("train", "test"))
    return frozen_networks(config, engine, tmp_path / "out", training, testing), testing


def layers(network, split):
    """What goes into the classifier's pooling, and the rows of its weights for the true classes; by a hook."""
    seen = []
    hook = network.model.pool.register_forward_hook(lambda _, given, __: seen.append(given[0].detach()))
    pixels = [np.asarray(Image.open(one.path).convert("RGB").resize((32, 32), 2)) for one in split]
    with torch.no_grad():
        network.model(network.inputs.normalized(torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)))
    hook.remove()
    labels = [one.label for one in split]
    return seen[0].double().numpy(), network.model.classifier.weight.detach().double().numpy(), labels


def enlarged(maps):
    return F.interpolate(torch.from_numpy(maps)[:, None].float(), (32, 32), mode="bilinear")[:, 0].double().numpy()


def inside_boxes(split):
    masks = np.zeros((len(split), 32, 32), bool)
    for mask, record in zip(masks, split, strict=True):
        for box in record.boxes:
            height, width = record.size or record.read().shape[:2]
            x0, y0, x1, y1 = (int(v * 32 / side) for v, side in zip(box, (width, height) * 2, strict=True))
            last = 1 if split.ends == "inclusive" else 0
            mask[y0 : y1 + last, x0 : x1 + last] = True
    return masks


def test_areas_of_channels(prepared):
    networks, split = prepared
    features, weight, labels = layers(networks["TAP"], split)
    areas, weights, channels = areas_by_class(networks["TAP"], split, 0.25)
    wanted = []
    for label in range(len(split.classes)):
        for channel in range(features.shape[1]):
            own = [one[channel] for one, other in zip(features, labels, strict=True) if other == label]
            shares = [(one > 0.25 * one.max()).mean() for one in own if one.max() > 0]
            if shares:
                wanted.append((np.mean(shares), weight[label, channel], channel))
    assert len(wanted) > 10
    np.testing.assert_allclose(np.stack([areas, weights, channels], 1), wanted, rtol=1e-6)


def test_what_each_sign_activates(prepared):
    networks, split = prepared
    features, weight, labels = layers(networks["GAP"], split)
    masks = inside_boxes(split)
    found, share = shares_inside(networks["GAP"], split)
    np.testing.assert_allclose(share, masks.mean((1, 2)))
    for sign, factor in (("positive", 1), ("negative", -1)):
        rows = np.maximum(factor * weight[labels], 0)
        full = enlarged(np.einsum("nc,nchw->nhw", rows, features))
        activated = full > 0.2 * full.max((1, 2), keepdims=True)
        with np.errstate(invalid="ignore"):
            wanted = (activated & masks).sum((1, 2)) / activated.sum((1, 2))
        np.testing.assert_allclose(found[sign], wanted, atol=2 / 32**2)


def test_what_thresholds_keep(prepared):
    networks, split = prepared
    features, weight, labels = layers(networks["GAP"], split)
    full = enlarged(np.einsum("nc,nchw->nhw", weight[labels], features)).reshape(len(split), -1)
    kept, boxes = kept_shares(networks["GAP"], split)
    np.testing.assert_allclose(boxes, inside_boxes(split).mean((1, 2)))
    for name, theta, standard in (
        ("maximum", 0.2, full.max(1)),
        ("percentile", 0.35, np.percentile(full, 90, axis=1)),
    ):
        np.testing.assert_allclose(kept[name].shares, (full > theta * standard[:, None]).mean(1), atol=2 / 32**2)
        above = standard > 0
        curves = -np.sort(-full, axis=1)[:, np.round(np.linspace(0, 1, 101) * 1023).astype(int)] / standard[:, None]
        np.testing.assert_allclose(kept[name].curves[above], curves[above], rtol=1e-3, atol=1e-4)
        assert np.isnan(kept[name].curves[~above]).all()


def test_correlation():
    draw = np.random.default_rng(0)
    x = draw.normal(size=300)
    y = -0.5 * x + draw.normal(size=300)
    found = correlation(x, y)
    assert found.value == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert found.low < found.value < found.high < 0
    assert (found.sign, found.points) == (-1, 300)
    # Ten copies of each pair tell no more than one, if they are drawn together.
    copies = correlation(np.repeat(x[:30], 10), np.repeat(y[:30], 10), np.repeat(np.arange(30), 10))
    alone = correlation(x[:30], y[:30])
    assert copies.value == pytest.approx(alone.value)
    assert copies.high - copies.low == pytest.approx(alone.high - alone.low, rel=0.2)


@pytest.mark.parametrize(("x", "y"), [([1.0, 1, 1], [1.0, 2, 3]), ([1.0, 2, 3], [0.1, 0.1, 0.1]), ([], []), ([1], [2])])
def test_no_correlation(x, y):
    found = correlation(np.array(x), np.array(y))
    assert (found.value, found.low, found.high, found.sign) == (None, None, None, 0)
    assert "none" in str(found)


def test_boxes_are_cut_off_at_the_border():
    mask = boxes_mask(np.array([[-3, 1, 2, 99], [3, 0, 4, 1]]), (4, 5))
    assert mask.astype(int).tolist() == [[0, 0, 0, 1, 0], [1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 0, 0, 0]]
    assert not boxes_mask(None, (4, 5)).any()


@pytest.mark.parametrize("figure", [figure2, figure3, figure4, figure5])
def test_a_figure_says_what_its_numbers_are(prepared, figure):
    networks, split = prepared
    drawn = figure(networks, split)
    assert drawn.says.endswith(".")
    assert "\n" not in drawn.says
    again = figure(networks, split)
    assert (again.says, repr(again.numbers)) == (drawn.says, repr(drawn.numbers))


def test_the_panels_count_all_pictures(prepared):
    networks, split = prepared
    drawn = figure5(networks, split, panels=2)
    rows = drawn.numbers["rows"]
    assert [sum(row["techniques"].values()) for row in rows.values()] == [0, 1, 1, 1, 3]
    for row in rows.values():
        ious = [one["iou"] for one in row["pictures"].values()]
        assert list(row["pictures"]) == [one.id for one in split]
        assert row["gt_loc"] == np.mean(np.array(ious) >= 0.5)
    assert len(drawn.numbers["drawn"]) == 2
    pair = Pair("one", networks["GAP"], networks["TAP"])
    six = figure6([pair], split, panels=3).numbers
    # The baseline and all three techniques are the same rows in both figures.
    first, *_, last = rows.values()
    assert six["rows"]["one"]["pictures"] == first["pictures"]
    assert six["rows"]["one + Ours"]["pictures"] == last["pictures"]
    with pytest.raises(ValueError, match="each of another method or network"):
        figure6([pair, pair], split)


def test_the_sample(prepared):
    _, split = prepared
    some = sampled(split, 5, seed=3)
    assert [one.id for one in some] == sorted((one.id for one in some), key=[one.id for one in split].index)
    assert len({one.id for one in some}) == 5
    assert sampled(split, 99).records == split.records
    assert sampled(split, 5, seed=4).records != some.records
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        sampled(split, 0)
    with pytest.raises(ValueError, match="has no pictures"):
        sampled(replace(split, records=()), 5)
    bare = replace(split.records[0], boxes=np.zeros((0, 4)))
    with pytest.raises(ValueError, match="compare with true boxes"):
        sampled(replace(split, records=(bare, *split.records[1:])), 5)
