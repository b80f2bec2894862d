"""Any of the data sets by how its folder is laid out."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from fastcam.data.cub import is_cub, read_cub
from fastcam.data.imagenet import is_imagenet, read_imagenet
from fastcam.data.lines import DataError
from fastcam.data.metadata import metadata_folder, read_metadata
from fastcam.data.openimages import is_openimages, read_openimages
from fastcam.data.record import OnBad, Split, raising
from fastcam.data.tiny_imagenet import is_tiny_imagenet, read_tiny_imagenet

__all__ = ["judged_part", "read_dataset"]


def read_dataset(
    root: str | os.PathLike[str],
    split: str = "test",
    *,
    masks: str | os.PathLike[str] | None = None,
    boxes: str | os.PathLike[str] | None = None,
    images: str | os.PathLike[str] | None = None,
    truth: bool = True,
    on_bad: OnBad = raising,
) -> Split:
    """Read a split of a data set in its own folder, which is recognized by its layout.

    Args:
        root: a folder of CUB-200-2011, OpenImages30K, Tiny-ImageNet or ImageNet as they are distributed, or pictures
            with a metadata folder among them.
        split: its name.
        masks: see :func:`read_openimages`.
        boxes: see :func:`read_imagenet`.
        images: see :func:`read_metadata`; by default ``root``.
        truth: with boxes, or masks. Without, CUB-200-2011's and the metadata's files of them need not be there.
        on_bad: called for each picture that cannot be read, which is then left out.

    Returns:
        The :class:`Split`.

    Raises:
        DataError: a layout that is none of these, or as the reader of the layout says.
        PictureError: a picture that cannot be read, without ``on_bad``.
        ValueError: a split that the data set does not have.

    Example:
        >>> read_dataset("nowhere")
        Traceback (most recent call last):
        fastcam.data.lines.DataError: nowhere: no such folder
    """
    if not Path(root).is_dir():
        raise DataError(f"{os.fspath(root)}: no such folder")
    if is_cub(root):
        return read_cub(root, split, boxes=truth, on_bad=on_bad)
    if masks is not None or is_openimages(root):
        return read_openimages(root, split, masks=masks)
    if _has_metadata(root, split):
        return read_metadata(root, split, images=root if images is None else images, truth=truth, on_bad=on_bad)
    if is_tiny_imagenet(root):
        return read_tiny_imagenet(root, split, boxes=truth, on_bad=on_bad)
    if is_imagenet(root):
        return read_imagenet(root, split, boxes=boxes, on_bad=on_bad)
    raise DataError(
        f"{os.fspath(root)}: neither CUB-200-2011 (images.txt, bounding_boxes.txt, ...) nor OpenImages30K "
        "(val/class/*_ignore.png) nor Tiny-ImageNet (wnids.txt, val/val_annotations.txt) nor ImageNet (train/, val/) "
        "nor pictures with image_ids.txt"
    )


def judged_part(root: str | os.PathLike[str]) -> str:
    """Name the part of a data set that networks are judged on: ``"val"`` where the test part has no truth to it.

    Args:
        root: as for :func:`read_dataset`.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pathlib.Path(folder, "train").mkdir()
        ...     pathlib.Path(folder, "val").mkdir()
        ...     judged_part(folder)
        'val'
    """
    if is_tiny_imagenet(root):
        return "val"
    # ImageNet's layout is any folder with a part of that name: what is another layout's, or has a test part, is not it.
    other = is_cub(root) or _has_metadata(root, "test") or Path(root, "test").is_dir()
    return "val" if is_imagenet(root) and not other else "test"


def _has_metadata(root: str | os.PathLike[str], split: str) -> bool:
    """Whether any part has some: then reading one that has none names the file that is missing."""
    for part in (split, "train", "val", "test"):
        with contextlib.suppress(DataError):
            metadata_folder(root, split=part)
            return True
    return False
