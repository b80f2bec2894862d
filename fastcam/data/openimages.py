"""OpenImages30K as it is unpacked: a folder of pictures for each class, and masks called after their pictures."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from pathlib import Path

from fastcam.data.lines import DataError
from fastcam.data.record import Record, Split
from fastcam.folders import SUFFIXES

__all__ = ["is_openimages", "read_openimages"]

# 1cd9ac0169ec7df0_m0bt_c3_6932e993.png: picture, class, instance; 1cd9ac0169ec7df0_ignore.png.
_MASK = re.compile(r"(?P<picture>.+?)_(?P<kind>m.+|ignore)")


def is_openimages(root: str | os.PathLike[str]) -> bool:
    """Whether a folder is laid out as OpenImages30K is, masks among the pictures or none."""
    return any(next(Path(root, split).glob("*/*_ignore.png"), None) is not None for split in ("val", "test"))


def read_openimages(
    root: str | os.PathLike[str], split: str = "test", *, masks: str | os.PathLike[str] | None = None
) -> Split:
    """Read OpenImages30K (Choe et al., 2020, from Open Images V5).

    Pictures are ``root/split/class/name.jpg``; masks ``masks/split/class/name_m<class>_<instance>.png``, one an
    instance, and ``name_ignore.png``, the region that does not count. Classes are numbered in the order of their
    folders' names.

    Args:
        root: the folder of the pictures.
        split: ``"train"``, which has no masks, ``"val"`` or ``"test"``.
        masks: the folder of the masks; by default ``root``.

    Returns:
        The :class:`Split`, sorted by path. Sizes are not read: masks are evaluated after a resize.

    Raises:
        DataError: no such folder, no pictures in it, a picture without mask outside ``train``, or a mask without
            picture.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     folder = pathlib.Path(root, "val", "0bt_c3")
        ...     folder.mkdir(parents=True)
        ...     for name in ("1cd9.jpg", "1cd9_m0bt_c3_6932e993.png", "1cd9_ignore.png"):
        ...         (folder / name).touch()
        ...     split = read_openimages(root, "val")
        >>> [record.id for record in split], [path.name for path in split[0].masks], split[0].ignore.name
        (['val/0bt_c3/1cd9.jpg'], ['1cd9_m0bt_c3_6932e993.png'], '1cd9_ignore.png')
    """
    folder = Path(root, split)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    mask_folder = Path(root if masks is None else masks, split)
    instances, ignores = _masks(mask_folder)
    pictures = [path for path in sorted(folder.glob("*/*")) if path.suffix.lower() in SUFFIXES and not _is_mask(path)]
    if not pictures:
        raise DataError(f"{folder}: no pictures in folders of their classes")
    classes = tuple(sorted({path.parent.name for path in pictures}))
    records = []
    for path in pictures:
        key = path.parent.name, path.stem
        if split != "train" and key not in instances:
            raise DataError(f"{path}: no mask {path.stem}_m*.png in {mask_folder / path.parent.name}")
        name = path.relative_to(root).as_posix()
        label = classes.index(path.parent.name)
        records.append(Record(name, path, label, masks=tuple(instances.get(key, ())), ignore=ignores.get(key)))
    known = {(path.parent.name, path.stem) for path in pictures}
    for (name, stem), paths in instances.items():
        if (name, stem) not in known:
            raise DataError(f"{paths[0]}: no picture {stem}.* in {folder / name}")
    return Split("OpenImages", split, tuple(records), classes)


def _is_mask(path: Path) -> bool:
    return path.suffix == ".png" and _MASK.fullmatch(path.stem) is not None


def _masks(folder: Path) -> tuple[dict[tuple[str, str], list[Path]], dict[tuple[str, str], Path]]:
    """Instances and ignored regions by class folder and picture."""
    instances: dict[tuple[str, str], list[Path]] = defaultdict(list)
    ignores = {}
    for path in sorted(folder.glob("*/*.png")):
        match = _MASK.fullmatch(path.stem)
        if match is None:
            continue
        key = path.parent.name, match["picture"]
        if match["kind"] == "ignore":
            ignores[key] = path
        else:
            instances[key].append(path)
    return instances, ignores
