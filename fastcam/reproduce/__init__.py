"""The paper's tables on one's own data: rows of trainings and protocols, judged alike."""

from fastcam.reproduce.fine_tuning import FINE_TUNINGS, FineTuning
from fastcam.reproduce.heads import SCHEDULES, Schedule, Search
from fastcam.reproduce.report import markdown, write_plot
from fastcam.reproduce.run import reproduce, unused_settings
from fastcam.reproduce.table import Row, Table, Training
from fastcam.reproduce.tables import TABLE_3, TABLES

__all__ = [
    "FINE_TUNINGS",
    "SCHEDULES",
    "TABLES",
    "TABLE_3",
    "FineTuning",
    "Row",
    "Schedule",
    "Search",
    "Table",
    "Training",
    "markdown",
    "reproduce",
    "unused_settings",
    "write_plot",
]
