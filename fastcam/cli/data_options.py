"""The options that say which data set is evaluated, and which of its parts: :class:`DataOptions`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from fastcam.cli.options import FOLDER, all_options
from fastcam.data import DataError, Split, read_dataset, read_metadata
from fastcam.data.layout import judged_part
from fastcam.images import PictureError
from fastcam.processes import processors, told

__all__ = ["DataOptions", "data_options", "has_any_box", "usual_workers"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class DataOptions:
    """The options that say which data set is evaluated, and which of its parts."""

    metadata: Path | None
    masks: Path | None
    images: Path | None
    data: Path | None
    boxes: Path | None
    dataset: str
    chosen_split: str | None
    threshold_from: str | None
    mean_box_from: str | None

    @property
    def split(self) -> str:
        """Which part is evaluated: what was asked for, else the one with the boxes."""
        return self.chosen_split or ("test" if self.data is None else judged_part(self.data))

    def read(self, name: str, on_bad: Callable[[PictureError], None]) -> Split:
        """Read a part of the data set."""
        try:
            if self.metadata is None:
                assert self.data is not None
                return read_dataset(self.data, name, masks=self.masks, boxes=self.boxes, on_bad=on_bad)
            return read_metadata(
                self.metadata, name, dataset=self.dataset, images=self.images, masks=self.masks, on_bad=on_bad
            )
        except (DataError, PictureError):
            raise
        except ValueError as error:
            raise DataError(str(error)) from error

    def read_evaluated(self, on_bad: Callable[[PictureError], None]) -> tuple[Split, Split | None]:
        """Read the part that is evaluated, and the other one that thresholds are chosen on, if one is."""
        split = self.read(self.split, on_bad)
        return split, None if self.threshold_from is None else self.read(self.threshold_from, on_bad)

    def read_training(self, on_bad: Callable[[PictureError], None]) -> Split | None:
        """Read the part that the mean box is of: the training part, or the first other one that has boxes."""
        if self.mean_box_from is not None:
            split = self.read(self.mean_box_from, on_bad)
            if not has_any_box(split):
                raise DataError(f"--mean-box-from {self.mean_box_from}: that part has no boxes")
            return split
        for name in ("train", "val"):
            # Not every data set has every part.
            with contextlib.suppress(DataError, PictureError):
                if name != self.split and has_any_box(split := self.read(name, on_bad)):
                    return split
        return None


def data_options(command: _Command) -> _Command:
    """Give a command the options that are the fields of :class:`DataOptions`."""
    options = (
        click.option(
            "--metadata", "--metadata_root", "metadata", type=FOLDER, help="Metadata folder of wsolevaluation."
        ),
        click.option("--masks", "--mask_root", "masks", type=FOLDER, help="Folder of the masks (OpenImages30K)."),
        click.option("--images", type=FOLDER, help="With --metadata: folder of the pictures."),
        click.option("--data", type=FOLDER, help="In place of --metadata: a data set in its own folder."),
        click.option("--boxes", type=FOLDER, help="With --data: ImageNet's XML files."),
        click.option(
            "--dataset", "--dataset_name", "dataset", default="", help="Its name below --metadata: CUB, ILSVRC, ..."
        ),
        click.option(
            "--split",
            "chosen_split",
            metavar="SPLIT",
            help="Which part of it. [default: test; val for ImageNet and Tiny-ImageNet]",
        ),
        click.option(
            "--threshold-from", metavar="SPLIT", help="Choose thresholds on this part too, not only on the same one."
        ),
        click.option(
            "--mean-box-from", metavar="SPLIT", help="Part that the mean box is of. [default: train, else val]"
        ),
    )
    return all_options(options)(command)


def has_any_box(split: Split) -> bool:
    """Whether any picture of a split has a box."""
    return any(len(record.boxes) for record in split)


def usual_workers() -> int:
    """How many processes read where none says: one less than this process has processors, at most 8."""
    return max(0, min(8, processors() // told().local_count - 1))
