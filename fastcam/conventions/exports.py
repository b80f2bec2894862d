"""What every result can be turned into: :class:`Exports`, the methods that a result has for other libraries."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from fastcam.coco import Categories, Ids, checked_categories, checked_ids, coco_entry
from fastcam.conventions.image_boxes import Files, ImageBoxes, Names, known_labels
from fastcam.rle import encode

__all__ = ["Exports"]


# Each form loads with its first use: importing fastcam need not wait for all of them.
class Exports(ABC):
    """The forms that other libraries take, for whatever knows the boxes of its images.

    Boxes are read half-open, x1 and y1 the first pixels outside, as all protocols with ``box_end="exclusive"`` have
    them, and each form says the same pixels in its own way. With ``"clipped"`` they are taken as they stand, so that a
    box which touches the image's right or lower border ends one pixel before it. Where nothing was found there is no
    box, and so no entry.
    """

    @abstractmethod
    def image_boxes(self) -> list[ImageBoxes]:
        """Return the boxes of each image."""

    def host_boxes(self) -> list[ImageBoxes]:
        """Return the boxes of each image on the host, without maps."""
        return self.image_boxes()

    def to_coco(self, image_ids: Ids | None = None, category_ids: Categories | None = None) -> list[dict[str, Any]]:
        """COCO results: a dictionary a box with ``image_id``, ``category_id``, ``bbox`` (x, y, w, h) and ``score``.

        The numbers are Python's own, as ``json.dumps`` takes them; a score that is not a number is None, JSON's null,
        and one that is not known 1. Where masks were asked for, ``segmentation`` is the component of each box as run
        lengths (``counts`` as text).

        Args:
            image_ids: the ids of the N images; 0, 1, ... by default.
            category_ids: the category id of each label; the labels themselves by default.

        Raises:
            TypeError: ids that are neither integers nor strings.
            ValueError: ``image_ids`` of another length than N, no labels to take categories from, or a label that
                ``category_ids`` has no id for.

        Example:
            >>> import torch, fastcam
            >>> heat = torch.zeros(1, 4, 4)
            >>> heat[0, 1:3, 1:4] = 1
            >>> found = fastcam.boxes_from_maps(heat)
            >>> import dataclasses
            >>> dataclasses.replace(found, labels=torch.tensor([7])).to_coco()
            [{'image_id': 0, 'category_id': 7, 'bbox': [1.0, 1.0, 3.0, 2.0], 'score': 1.0}]
        """
        images = self.host_boxes()
        labels = [known_labels(one, "to_coco") for one in images]
        ids = list(range(len(images))) if image_ids is None else checked_ids("image_ids", image_ids)
        if len(ids) != len(images):
            raise ValueError(f"image_ids must have the length of the {len(images)} images, got {len(ids)}")
        categories = None if category_ids is None else checked_categories(category_ids)
        results = []
        for image, one, its in zip(ids, images, labels, strict=True):
            scores = [1.0] * len(its) if one.scores is None else one.scores.tolist()
            masks = [None] * len(its) if one.masks is None else encode(one.masks())
            for box, label, score, mask in zip(one.boxes.tolist(), its, scores, masks, strict=True):
                if categories is not None and label not in categories:
                    raise ValueError(f"category_ids must have an id for each label, got none for label {label}")
                entry = coco_entry(image, label if categories is None else categories[label], box, score)
                if mask is not None:
                    entry["segmentation"] = mask | {"counts": mask["counts"].decode()}
                results.append(entry)
        return results

    def to_torchmetrics(self) -> list[dict[str, Tensor]]:
        """What torchmetrics' detection metrics take: for each image ``boxes`` (M, 4), ``scores`` and ``labels`` (M,).

        M is the number of the image's boxes: a detection metric would count a box 0, 0, 0, 0 as a wrong detection. A
        score that is not known is 1, a label that is not known 0.

        Example:
            >>> import torch, fastcam
            >>> heat = torch.zeros(2, 4, 4)
            >>> heat[0, 1:3, 1:4] = 1
            >>> [one["boxes"].tolist() for one in fastcam.boxes_from_maps(heat).to_torchmetrics()]
            [[[1.0, 1.0, 4.0, 3.0]], []]
        """
        results = []
        for one in self.image_boxes():
            count, device = len(one.boxes), one.boxes.device
            scores = torch.ones(count, device=device) if one.scores is None else one.scores
            labels = torch.zeros(count, dtype=torch.int64, device=device) if one.labels is None else one.labels
            results.append({"boxes": one.boxes, "scores": scores, "labels": labels})
        return results

    def to_supervision(self, names: Names | None = None) -> list[Any]:
        """``supervision.Detections``, one an image; ``confidence`` and ``class_id`` where they are known.

        Where masks were asked for, ``mask`` is the component of each box.

        Args:
            names: the classes' names, which ``detections["class_name"]`` then has.

        Raises:
            ImportError: supervision is not installed.
            TypeError: names of another type.
            ValueError: a label without a name.
        """
        from fastcam.conventions.supervision import supervision_detections

        return supervision_detections(self.host_boxes(), names)

    def to_tv_tensors(self) -> list[dict[str, Any]]:
        """What torchvision's transforms and detectors take: for each image ``boxes``, ``labels`` and ``scores``.

        ``boxes`` are ``torchvision.tv_tensors.BoundingBoxes`` in the format XYXY, with the image's size as their
        canvas; labels and scores are left out where they are not known. All stay on their device.

        Raises:
            ImportError: torchvision is not installed.
            ValueError: the images' size is not known.
        """
        from fastcam.conventions.tv_tensors import tv_tensors

        return tv_tensors(self.image_boxes())

    def to_fiftyone(self, names: Names | None = None) -> list[Any]:
        """``fiftyone.Detections``, one an image: boxes x, y, w, h in fractions of the image.

        Args:
            names: the classes' names.

        Raises:
            ImportError: FiftyOne is not installed.
            TypeError: names of another type.
            ValueError: no names or labels, a label without a name, or the images' size is not known.
        """
        from fastcam.conventions.fiftyone import fiftyone_detections

        return fiftyone_detections(self.host_boxes(), names)

    def to_yolo(
        self,
        folder: str | os.PathLike[str],
        *,
        files: Files | None = None,
        names: Names | None = None,
        scores: bool = False,
    ) -> list[Path]:
        r"""Write YOLO's label files, as Ultralytics reads them: ``class cx cy w h`` in fractions of the picture.

        Args:
            folder: where to; made if it is not there.
            files: the images' pictures, paths below the folder of the pictures: a label file has its picture's path
                and name, with ``.txt``.
            names: the classes' names, for ``classes.txt``.
            scores: append each box's score, as in the files of predictions; training takes none.

        Returns:
            The files written, all of them or none. Where nothing was found the file is empty.

        Raises:
            TypeError: files or names of another type.
            ValueError: no files, labels or scores where they are needed, the images' size is not known, or two
                pictures whose label files would have the same name.
            OSError: a file cannot be written; the message names it.

        Example:
            >>> import dataclasses, tempfile, torch, fastcam
            >>> found = fastcam.boxes_from_maps(torch.eye(4)[None] * torch.ones(1, 4, 1))
            >>> found = dataclasses.replace(found, labels=torch.tensor([7]))
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     (path,) = found.to_yolo(folder, files=["cat.jpg"])
            ...     path.name, path.read_text()
            ('cat.txt', '7 0.5 0.5 1 1\n')
        """
        from fastcam.conventions.yolo import yolo_files

        return _written(folder, yolo_files(self.host_boxes(), files, names, scores=scores))

    def to_voc(
        self,
        folder: str | os.PathLike[str],
        *,
        files: Files | None = None,
        names: Names | None = None,
        pictures: str | None = None,
    ) -> list[Path]:
        """Write Pascal VOC's annotations: XML with pixels counted from 1, the last one inside.

        Args:
            folder: where to; made if it is not there.
            files: the images' pictures, paths below the folder of the pictures: an annotation has its picture's path
                and name, with ``.xml``.
            names: the classes' names.
            pictures: the name of the pictures' folder, for ``folder``; by default that in ``files``.

        Returns:
            The files written, all of them or none. Where nothing was found there is no object.

        Raises:
            TypeError: files or names of another type.
            ValueError: no files, labels or names, a label without a name, the images' size is not known, or two
                pictures whose annotations would have the same name.
            OSError: a file cannot be written; the message names it.
        """
        from fastcam.conventions.voc import voc_files

        return _written(folder, voc_files(self.host_boxes(), files, names, folder=pictures))

    def to_sam_prompts(self) -> list[list[dict[str, NDArray[Any]]]]:
        """Prompts for the Segment Anything Model: for each image, for each box, what ``SamPredictor.predict`` takes.

        ``predictor.predict(**prompt)`` has of each box (with ``return_masks=True`` too, of its component alone)

        - ``box`` (4,): its first and its last pixels, x, y, x, y, as ``batched_mask_to_box`` counts them;
        - ``point_coords`` (1, 2) and ``point_labels``: the highest pixel (x, y) of the map in the box, as foreground;
        - ``mask_input`` (1, 256, 256): logits of the map, 0 at its threshold, 10 at the box's peak and -10 at the
          map's minimum, linear between them; outside the box what exceeds the threshold is turned round. They lie as
          ``ResizeLongestSide`` lays the picture: its longest side 1024, padded on the right and below (with -10), and
          reduced by means of 4x4.

        Raises:
            ValueError: the maps were not asked for (``return_maps=True``), or it is not known which of several maps
                a box lies in.

        Example:
            >>> import torch, fastcam
            >>> features = torch.zeros(1, 1, 7, 7)
            >>> features[0, 0, 2:4, 1:5] = 1
            >>> found = fastcam.localize(features, torch.ones(1, 1), [0], size=(224, 224), return_maps=True)
            >>> ((prompt,),) = found.to_sam_prompts()
            >>> prompt["box"].tolist(), prompt["mask_input"].shape
            ([25.0, 57.0, 166.0, 134.0], (1, 256, 256))
        """
        from fastcam.conventions.sam import sam_prompts

        return sam_prompts(self.image_boxes())


def _written(folder: str | os.PathLike[str], contents: Mapping[Path, bytes]) -> list[Path]:
    """Write files below a folder, all or none, and return where they are."""
    whole = {Path(folder, path): content for path, content in contents.items()}
    for parent in sorted({path.parent for path in whole} | {Path(folder)}):
        parent.mkdir(parents=True, exist_ok=True)
    from fastcam.files import write_whole

    write_whole(whole)
    return list(whole)
