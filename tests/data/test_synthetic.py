import hashlib

import numpy as np
import pytest

from fastcam.data import read_cub
from fastcam.data.synthetic import MAX_CLASSES, synthetic, write_synthetic


@pytest.mark.parametrize("size", [32, 33, 64, 97])
def test_boxes_masks_and_parts_agree(size):
    drawn = synthetic(2 * MAX_CLASSES, classes=MAX_CLASSES, size=size, seed=3)
    assert drawn.images.shape == (24, size, size, 3)
    assert drawn.labels.tolist() == list(range(12)) * 2
    for box, mask, part in zip(drawn.boxes, drawn.masks, drawn.parts, strict=True):
        ys, xs = np.nonzero(mask)
        assert box.tolist() == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        assert mask[part].all()
        # The part is small, and the object neither tiny nor the image.
        assert 0 < part.sum() < mask.sum() / 2
        assert 0.03 < mask.mean() < 0.4


def test_pixels_are_the_same_everywhere():
    drawn = synthetic(12, classes=12, size=64, seed=7)
    assert hashlib.sha256(drawn.images.tobytes()).hexdigest()[:16] == "34d6c8aee5ae097a"


def test_an_image_depends_on_its_number_alone():
    many, one = synthetic(8, seed=1), synthetic(1, seed=1, start=5)
    assert (many.images[5] == one.images[0]).all()
    assert many.boxes[5].tolist() == one.boxes[0].tolist()


def test_splits_and_seeds_differ():
    first = synthetic(4)
    assert not (first.images == synthetic(4, split="test").images).all(axis=(1, 2, 3)).any()
    assert not (first.images == synthetic(4, seed=1).images).all(axis=(1, 2, 3)).any()


def test_the_head_tells_the_class_and_the_body_hints_at_it():
    drawn = synthetic(400, classes=4, size=32)
    heads, bodies = (
        np.array([pixels[where].mean(axis=0) for pixels, where in zip(drawn.images, places, strict=True)])
        for places in (drawn.parts, drawn.masks & ~drawn.parts)
    )
    for colours, least, most in ((heads, 1, 1), (bodies, 0.6, 0.9)):
        means = np.array([colours[drawn.labels == label].mean(axis=0) for label in range(4)])
        nearest = np.linalg.norm(colours[:, None] - means, axis=2).argmin(axis=1)
        accuracy = (nearest == drawn.labels).mean()
        assert least <= accuracy <= most


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "count must be at least 1, got 0"),
        ({"count": 1, "classes": 13}, "classes must be 2 to 12, got 13"),
        ({"count": 1, "size": 31}, "size must be at least 32, got 31"),
        ({"count": 1, "seed": -1}, "seed must be at least 0, got -1"),
        ({"count": 1, "split": "val"}, "split must be one of 'train', 'test', got 'val'"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        synthetic(**arguments)


def test_written_and_read(tmp_path):
    write_synthetic(tmp_path / "birds", train=6, test=3, classes=3, size=40)
    split = read_cub(tmp_path / "birds", "test")
    drawn = synthetic(3, classes=3, size=40, split="test")
    assert [record.label for record in split] == [0, 1, 2]
    assert len(read_cub(tmp_path / "birds", "train")) == 6
    for record, pixels, box in zip(split, drawn.images, drawn.boxes, strict=True):
        assert (record.read() == pixels).all()
        assert record.boxes.tolist() == [np.minimum(box, 39).tolist()]


def test_nothing_half_written(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("PIL.Image.Image.save", full)
    with pytest.raises(OSError, match="No space"):
        write_synthetic(tmp_path / "birds", train=2, test=2)
    assert list(tmp_path.iterdir()) == []
