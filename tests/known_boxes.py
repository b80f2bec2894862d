"""Boxes whose pixels are known, and what fastcam finds in maps that have them."""

import dataclasses

import numpy as np
import torch

import fastcam

NAMES = ("cat", "dog", "rocket")
FILES = ["a.jpg", "b.png", "below/c.png", "d.png"]


def random_boxes(seed=0, images=12, size=(37, 53)):
    """Half-open boxes (N, 4), those at the borders and of one pixel among them."""
    rng = np.random.default_rng(seed)
    height, width = size
    corners = np.sort(rng.integers(0, [[[width], [height]]], (images, 2, 2)), axis=-1)
    boxes = np.stack([corners[:, 0, 0], corners[:, 1, 0], corners[:, 0, 1] + 1, corners[:, 1, 1] + 1], 1)
    boxes[:3] = [[0, 0, width, height], [width - 1, height - 1, width, height], [0, 0, 1, 1]]
    return boxes


def pixels_of(boxes, size=(37, 53)):
    """(N, H, W) bool: the pixels of half-open boxes."""
    y, x = np.arange(size[0])[:, None], np.arange(size[1])
    x0, y0, x1, y1 = (np.asarray(boxes).reshape(-1, 4)[:, i, None, None] for i in range(4))
    return (x0 <= x) & (x < x1) & (y0 <= y) & (y < y1)


def found_in(masks, **fields):
    """What is found in maps that are 1 where the masks are set; with labels and scores."""
    maps = torch.as_tensor(masks).float()
    found = fastcam.boxes_from_maps(maps)
    labels, scores = torch.arange(len(maps)) % 3, torch.linspace(0.9, 0.2, len(maps))
    return dataclasses.replace(found, labels=labels, scores=scores, **fields)


def every(masks, **changes):
    """Likewise all boxes of the maps."""
    protocol = fastcam.PAPER.replace(keep="all", percentile=100, **changes)
    found = fastcam.boxes_from_maps(torch.as_tensor(masks).float(), protocol=protocol)
    return dataclasses.replace(found, labels=found.image % 3)


def four(images=4, size=(20, 30)):
    """Four images, nothing in the second."""
    masks = np.zeros((images, *size), bool)
    masks[0, 2:9, 4:11] = masks[2, 10:20, 12:30] = masks[3, 0, 0] = True
    return found_in(masks)
