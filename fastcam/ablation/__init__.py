"""The paper's ablation: eight combinations of its three techniques, judged alike."""

from fastcam.ablation.fine_tuning import FINE_TUNINGS, FineTuning
from fastcam.ablation.heads import SCHEDULES, Schedule
from fastcam.ablation.report import markdown, write_plot
from fastcam.ablation.run import ablate

__all__ = ["FINE_TUNINGS", "SCHEDULES", "FineTuning", "Schedule", "ablate", "markdown", "write_plot"]
