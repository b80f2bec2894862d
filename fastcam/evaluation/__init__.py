"""Evaluation of weakly supervised localization: score maps or a network on a data set, reports, plots, a gallery."""

from fastcam.evaluation.evaluate import make_report
from fastcam.evaluation.gallery import Exhibit, write_gallery
from fastcam.evaluation.ground_truth import Comparison, ground_truth
from fastcam.evaluation.network_pass import NetworkSettings, Predictions, run_network
from fastcam.evaluation.numbers import Chosen, Number, chosen_thresholds, of_pass
from fastcam.evaluation.per_image import Row, write_rows
from fastcam.evaluation.plots import plot_precision_recall, plot_thresholds
from fastcam.evaluation.predictors import centred_box, gaussian, mean_box, whole_image
from fastcam.evaluation.report import Report
from fastcam.evaluation.score_maps import ScoreMapError, ScoreMaps, ScoreMapWriter, writing_score_maps
from fastcam.evaluation.score_pass import Pass, boxes_at, evaluate_score_maps
from fastcam.evaluation.settings import Settings

__all__ = [
    "Chosen",
    "Comparison",
    "Exhibit",
    "NetworkSettings",
    "Number",
    "Pass",
    "Predictions",
    "Report",
    "Row",
    "ScoreMapError",
    "ScoreMapWriter",
    "ScoreMaps",
    "Settings",
    "boxes_at",
    "centred_box",
    "chosen_thresholds",
    "evaluate_score_maps",
    "gaussian",
    "ground_truth",
    "make_report",
    "mean_box",
    "of_pass",
    "plot_precision_recall",
    "plot_thresholds",
    "run_network",
    "whole_image",
    "write_gallery",
    "write_rows",
    "writing_score_maps",
]
