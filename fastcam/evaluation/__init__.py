"""Evaluation of weakly supervised localization: score maps or a network on a data set, reports, plots, a gallery."""

from fastcam.evaluation.at_threshold import boxes_at
from fastcam.evaluation.class_map import read_class_map
from fastcam.evaluation.gallery import Exhibit, write_gallery
from fastcam.evaluation.judge import Judge, Judged
from fastcam.evaluation.network_pass import NetworkSettings, Predictions, run_network
from fastcam.evaluation.numbers import Chosen, Number, chosen_thresholds, headline, of_pass
from fastcam.evaluation.outputs import Outputs
from fastcam.evaluation.per_image import Row, write_rows
from fastcam.evaluation.plots import plot_precision_recall, plot_thresholds
from fastcam.evaluation.report import Report, make_report
from fastcam.evaluation.run import ClassesError, Evaluation, evaluate
from fastcam.evaluation.score_maps import ScoreMapError, ScoreMaps, ScoreMapWriter, writing_score_maps
from fastcam.evaluation.score_pass import Pass, evaluate_score_maps
from fastcam.evaluation.settings import Settings
from fastcam.evaluation.trivial import centred_box, gaussian, mean_box, whole_image
from fastcam.evaluation.truth import Truth, ground_truth

__all__ = [
    "Chosen",
    "ClassesError",
    "Evaluation",
    "Exhibit",
    "Judge",
    "Judged",
    "NetworkSettings",
    "Number",
    "Outputs",
    "Pass",
    "Predictions",
    "Report",
    "Row",
    "ScoreMapError",
    "ScoreMapWriter",
    "ScoreMaps",
    "Settings",
    "Truth",
    "boxes_at",
    "centred_box",
    "chosen_thresholds",
    "evaluate",
    "evaluate_score_maps",
    "gaussian",
    "ground_truth",
    "headline",
    "make_report",
    "mean_box",
    "of_pass",
    "plot_precision_recall",
    "plot_thresholds",
    "read_class_map",
    "run_network",
    "whole_image",
    "write_gallery",
    "write_rows",
    "writing_score_maps",
]
