"""From a network to the maps of its classes, one run of it: extractors, and what they give."""

from fastcam.extractors.check import HeadMismatchWarning
from fastcam.extractors.extraction import Extraction, LinearExtraction, LocalizeOptions, MapExtraction
from fastcam.extractors.extractor import Extractor
from fastcam.extractors.localizer import Localizer

__all__ = [
    "Extraction",
    "Extractor",
    "HeadMismatchWarning",
    "LinearExtraction",
    "LocalizeOptions",
    "Localizer",
    "MapExtraction",
]
