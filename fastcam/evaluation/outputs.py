"""What an evaluation writes, and where: :class:`Outputs`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fastcam.data.record import Split
from fastcam.evaluation.details import exhibit, extremes
from fastcam.evaluation.gallery import write_gallery
from fastcam.evaluation.per_image import Row, write_rows
from fastcam.evaluation.plots import plot_precision_recall, plot_thresholds
from fastcam.evaluation.report import Report
from fastcam.evaluation.score_maps import ScoreMaps
from fastcam.evaluation.settings import Settings
from fastcam.result_files import replacing, write_json

__all__ = ["Outputs"]


@dataclass(frozen=True)
class Outputs:
    """What an evaluation writes; by default nothing.

    Attributes:
        folder: for ``evaluation.json``, ``evaluation.md`` and the plots; made if it is not there.
        plot_format: ``"png"`` or ``"svg"``.
        gallery: how many of the best and of the worst images ``gallery.html`` in the folder shows; None: no gallery.
        per_image: a CSV file with a row an image; its folder must exist.
        score_maps: an ``.npz`` file that keeps a network's score maps, likewise.
    """

    folder: Path | None = None
    plot_format: Literal["png", "svg"] = "png"
    gallery: int | None = None
    per_image: Path | None = None
    score_maps: Path | None = None

    def __post_init__(self) -> None:
        if self.gallery is not None and self.folder is None:
            raise ValueError("gallery needs a folder to be written to, got folder=None")

    @property
    def needs_rows(self) -> bool:
        """Whether anything is written that needs a row an image."""
        return self.per_image is not None or self.gallery is not None

    def write(self, report: Report, rows: Sequence[Row], split: Split, maps: ScoreMaps, settings: Settings) -> None:
        """Write everything but the score maps, each file whole or not at all.

        Args:
            report: the numbers.
            rows: one an image.
            split: the images.
            maps: their score maps.
            settings: of the evaluation.

        Raises:
            ImportError: a plot is to be written, and matplotlib is not installed.
        """
        if self.per_image is not None:
            write_rows(self.per_image, rows)
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / "evaluation.json", report.to_json())
        with replacing(self.folder / "evaluation.md") as file:
            file.write(f"{report.to_markdown()}\n".encode("utf-8", errors="backslashreplace"))
        if "thresholds" in report.curves:
            plot_thresholds(report, self.folder / f"thresholds.{self.plot_format}")
        if "precision" in report.curves:
            plot_precision_recall(report, self.folder / f"precision-recall.{self.plot_format}")
        if self.gallery is not None:
            numbers = {record.id: number for number, record in enumerate(split)}
            best, worst = (
                [exhibit(row, split, numbers[row.id], maps, settings) for row in part]
                for part in extremes(rows, self.gallery)
            )
            write_gallery(
                self.folder / "gallery.html", f"{split.title} {split.name}", best, worst, note=report.cut_note()
            )
