"""Methods of weakly supervised localization, each a plug-in for the training loop and an extractor."""

from fastcam.methods.acol import ACoL
from fastcam.methods.adl import ADL
from fastcam.methods.cam import CAM
from fastcam.methods.cutmix import CutMix
from fastcam.methods.danet import DANet
from fastcam.methods.extractor import MethodExtractor
from fastcam.methods.has import HaS
from fastcam.methods.method import Method, Outcome
from fastcam.methods.recipe import Recipe
from fastcam.methods.spg import SPG
from fastcam.methods.table import COMPATIBILITY, METHODS, create_method, why_not
from fastcam.methods.wildcat import WELDON, WILDCAT

__all__ = [
    "ADL",
    "CAM",
    "COMPATIBILITY",
    "METHODS",
    "SPG",
    "WELDON",
    "WILDCAT",
    "ACoL",
    "CutMix",
    "DANet",
    "HaS",
    "Method",
    "MethodExtractor",
    "Outcome",
    "Recipe",
    "create_method",
    "why_not",
]
