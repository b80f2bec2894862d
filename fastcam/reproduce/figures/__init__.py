"""The paper's figures on one's own networks and pictures, each with its numbers and what they say."""

from fastcam.reproduce.figures.drawn import Drawn, write_figure
from fastcam.reproduce.figures.figure2 import figure2
from fastcam.reproduce.figures.figure3 import figure3
from fastcam.reproduce.figures.figure4 import figure4
from fastcam.reproduce.figures.figure5 import figure5
from fastcam.reproduce.figures.figure6 import Pair, figure6
from fastcam.reproduce.figures.networks import frozen_networks, sampled, trained_network, trained_networks

__all__ = [
    "Drawn",
    "Pair",
    "figure2",
    "figure3",
    "figure4",
    "figure5",
    "figure6",
    "frozen_networks",
    "sampled",
    "trained_network",
    "trained_networks",
    "write_figure",
]
