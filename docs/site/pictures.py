"""Draws the pictures of the pages that explain: `python docs/site/pictures.py FOLDER`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from numpy.typing import NDArray

import fastcam
from fastcam.draw import overlay
from fastcam.extractors import LinearExtraction
from fastcam.images import read_picture

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

PHOTO = "coffee.png"
NAMES = ("PAPER", "VANILLA", "AUTHORS", "WSOLEVAL")


def photo_and_features() -> tuple[NDArray[np.uint8], torch.Tensor, torch.Tensor, int]:
    """Return the photograph, the last feature maps (1, C, h, w), the classifier's weight (K, C) and the best class."""
    import skimage.data

    pixels = read_picture(Path(skimage.data.__file__).parent / PHOTO)
    network = fastcam.load("efficientnet-lite0", device="cpu")
    run = network.extractor.extract(network.images([pixels]))
    assert isinstance(run, LinearExtraction)
    return pixels, run.features, run.weight, int(run.labels)


def draw_steps(path: Path) -> None:
    """The way from the map to the box, one step after the other."""
    pixels, features, weight, label = photo_and_features()
    height, width = pixels.shape[:2]
    small = fastcam.cam(features, weight, [label])[0]
    found = fastcam.localize(features, weight, [label], size=(height, width), return_maps=True, return_masks=True)
    assert found.maps is not None
    mask = found.masks_as("bool")[0]
    every = fastcam.boxes_from_masks(mask[None], keep="all")
    panels = [
        (pixels, f"{width}x{height} photograph"),
        (small, f"map {small.shape[0]}x{small.shape[1]} (Eq. 2, 5)"),
        (found.maps[0], "resized"),
        (mask, f"above {float(found.thresholds[0]):.2f} (Eq. 6)"),
        (mask, f"components: {len(every.boxes)}, largest kept"),
        (overlay(pixels, small.numpy(), found.boxes.numpy()), "box"),
    ]
    figure, axes = plt.subplots(2, 3, figsize=(9, 4.6), layout="constrained")
    for axis, (image, title) in zip(axes.flat, panels, strict=True):
        axis.imshow(np.asarray(image), cmap="gray" if image is mask else "magma")
        axis.set_title(title, fontsize=9)
        axis.set_axis_off()
    for box in every.boxes.tolist():
        axes.flat[4].add_patch(rectangle(box, "tab:orange", 1))
    axes.flat[4].add_patch(rectangle(found.boxes[0].tolist(), "tab:red", 2))
    save(figure, path)


def draw_protocols(path: Path) -> None:
    """One map, boxed by each named protocol."""
    pixels, features, weight, label = photo_and_features()
    figure, axes = plt.subplots(2, 2, figsize=(7.2, 5), layout="constrained")
    for axis, name in zip(axes.flat, NAMES, strict=True):
        protocol = getattr(fastcam, name)
        found = fastcam.localize(features, weight, [label], size=pixels.shape[:2], protocol=protocol, return_masks=True)
        mask = found.masks_as("bool")[0].numpy()
        axis.imshow(np.where(mask[..., None], pixels, pixels // 3))
        axis.add_patch(rectangle(found.boxes[0].tolist(), "tab:red", 2))
        axis.set_title(f"{name}: {[int(value) for value in found.boxes[0]]}", fontsize=9)
        axis.set_axis_off()
    save(figure, path)


def draw_thresholds(path: Path) -> None:
    """What one image says about thresholds: the IoU of its box with the true one, over the threshold."""
    pixels, features, weight, label = photo_and_features()
    size = pixels.shape[:2]
    truth = torch.tensor([[76.0, 20.0, 482.0, 384.0]])  # of cup and saucer, by eye
    figure, axis = plt.subplots(figsize=(6, 3), layout="constrained")
    thresholds = np.linspace(0.02, 0.98, 97)
    small = {"all weights": fastcam.cam(features, weight, [label], clamp_negative=False)}
    small["negative weights clamped"] = fastcam.cam(features, weight, [label])
    for name, maps in small.items():
        protocols = [fastcam.VANILLA.replace(threshold=float(value)) for value in thresholds]
        boxes = torch.cat([fastcam.boxes_from_maps(maps, size=size, protocol=one).boxes for one in protocols])
        axis.plot(thresholds, fastcam.box_iou(boxes, truth)[:, 0], label=name)
    axis.axhline(0.5, color="gray", linewidth=0.8, linestyle="--")
    axis.set(xlabel="threshold, as a share of the map's maximum", ylabel="IoU with the true box", ylim=(0, 1))
    axis.legend(frameon=False)
    save(figure, path)


def rectangle(box: list[float], colour: str, width: float) -> Rectangle:
    """Return the outline of a half-open box, in the pixel grid of imshow."""
    x0, y0, x1, y1 = box
    return Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, edgecolor=colour, linewidth=width)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG file, the same bytes every time."""
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


PICTURES: dict[str, Callable[[Path], None]] = {
    "steps.png": draw_steps,
    "protocols.png": draw_protocols,
    "thresholds.png": draw_thresholds,
}


def draw_all(folder: Path) -> list[Path]:
    """Draw all pictures into a folder and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in PICTURES.items():
        draw(folder / name)
    return [folder / name for name in PICTURES]


if __name__ == "__main__":
    draw_all(Path(sys.argv[1]))
