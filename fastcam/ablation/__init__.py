"""The paper's ablation: eight combinations of its three techniques, judged alike."""

from fastcam.ablation.report import markdown, write_plot
from fastcam.ablation.run import SCHEDULES, ablate

__all__ = ["SCHEDULES", "ablate", "markdown", "write_plot"]
