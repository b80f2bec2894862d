"""Methods of weakly supervised localization, each a plug-in for the training loop."""

from fastcam.training.methods.acol import ACoL
from fastcam.training.methods.adl import ADL
from fastcam.training.methods.cam import CAM
from fastcam.training.methods.cutmix import CutMix
from fastcam.training.methods.has import HaS
from fastcam.training.methods.method import Method, Outcome
from fastcam.training.methods.spg import SPG
from fastcam.training.methods.table import COMPATIBILITY, METHODS, create_method, why_not

__all__ = [
    "ADL",
    "CAM",
    "COMPATIBILITY",
    "METHODS",
    "SPG",
    "ACoL",
    "CutMix",
    "HaS",
    "Method",
    "Outcome",
    "create_method",
    "why_not",
]
