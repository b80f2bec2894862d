"""Evaluation of weakly supervised localization: score maps or a network on a data set, reports, plots, a gallery."""
