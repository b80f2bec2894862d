"""From a network to the maps of its classes, one run of it: extractors, and what they give."""

from fastcam.extractors.attachment import Attachment
from fastcam.extractors.automatic import CamMethod, GradientMapWarning
from fastcam.extractors.check import HeadMismatchWarning
from fastcam.extractors.extraction import Extraction, LinearExtraction, LocalizeOptions, MapExtraction, Probability
from fastcam.extractors.extractor import Extractor
from fastcam.extractors.gradient import GradientExtraction, RowExtraction
from fastcam.extractors.gradient_source import GradientSource
from fastcam.extractors.localizer import CAM_METHODS, Localizer

__all__ = [
    "CAM_METHODS",
    "Attachment",
    "CamMethod",
    "Extraction",
    "Extractor",
    "GradientExtraction",
    "GradientMapWarning",
    "GradientSource",
    "HeadMismatchWarning",
    "LinearExtraction",
    "LocalizeOptions",
    "Localizer",
    "MapExtraction",
    "Probability",
    "RowExtraction",
]
