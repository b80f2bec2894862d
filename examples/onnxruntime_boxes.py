"""Pictures in, boxes out, without PyTorch: a network that ``fastcam export`` wrote, in onnxruntime, and fastcam-numpy.

    pip install onnxruntime pillow ./without_torch
    fastcam export network.onnx
    python examples/onnxruntime_boxes.py network.onnx picture.jpg another.png

Prints a line a picture: file, class, score, x0, y0, x1, y1, in the picture's own pixels, x1 and y1 exclusive. They are
the boxes of ``fastcam localize``.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import fastcam_numpy
import numpy as np
import onnxruntime
from PIL import Image


class Network:
    """What the file holds: the graph, and in its metadata how a picture becomes its input and a map a box."""

    def __init__(self, file: str) -> None:
        self.session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        metadata = self.session.get_modelmeta().custom_metadata_map
        self.about = {name: json.loads(text) for name, text in metadata.items()}
        if self.about["fit"] != "stretch" or self.about["channels"] != "rgb":
            raise SystemExit(f"{file}: this example stretches pictures and takes RGB")

    def offset(self) -> list[int]:
        """The top left corner of the input in the resized picture: of a crop at its centre, else 0, 0."""
        spare = [whole - part for whole, part in zip(self.about["resize"], self.about["size"], strict=True)]
        return [one // 2 if self.about["crop_offset"] == "floor" else round(one / 2) for one in spare]

    def input(self, picture: Image.Image) -> np.ndarray:
        """A picture as (3, h, w) float32."""
        resample = Image.Resampling[self.about["filter"].upper()]
        pixels = np.asarray(picture.resize(self.about["resize"][::-1], resample))
        (top, left), (height, width) = self.offset(), self.about["size"]
        scaled = pixels[top : top + height, left : left + width].astype(np.float32) / np.float32(255)
        normalized = (scaled - np.float32(self.about["mean"])) / np.float32(self.about["std"])
        return np.ascontiguousarray(normalized.transpose(2, 0, 1))

    def localize(self, picture: Image.Image) -> tuple[str, float, np.ndarray | None]:
        """The class, its score and its box (4,) in the picture's pixels; the box is None where nothing is found."""
        logits, maps = self.session.run(["logits", "maps"], {"images": self.input(picture)[None]})
        found = fastcam_numpy.boxes_from_maps(maps, size=tuple(self.about["size"]), **fields(self.about["protocol"]))
        label = int(logits[0].argmax())
        exponents = np.exp(logits[0] - logits[0].max())
        name = self.about["labels"][label] if "labels" in self.about else f"class {label}"
        score = float(exponents[label] / exponents.sum())
        if not found.boxes[0].any():
            return name, score, None
        top, left = self.offset()
        scale = [whole / part for whole, part in zip(picture.size, self.about["resize"][::-1], strict=True)]
        return name, score, (found.boxes[0].astype(np.float64) + [left, top] * 2) * (scale * 2)


def fields(protocol: dict[str, Any]) -> dict[str, Any]:
    """The fields that say how a map becomes the box of its largest component."""
    names = "interpolation normalize quantize percentile threshold area connectivity box_end empty base_percentile"
    return {name: protocol[name] for name in names.split()}


def main(file: str, *pictures: str) -> None:
    """Print the boxes."""
    network = Network(file)
    for path in pictures:
        with Image.open(path) as picture:
            name, score, box = network.localize(picture.convert("RGB"))
        corners = [""] * 4 if box is None else [f"{value:.2f}" for value in box]
        sys.stdout.write(",".join([path, json.dumps(name), f"{score:.6f}", *corners]) + "\n")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit("usage: onnxruntime_boxes.py NETWORK.onnx PICTURES...")
    main(*sys.argv[1:])
