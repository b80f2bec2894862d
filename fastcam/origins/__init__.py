"""Where networks come from: fastcam's own, modules of one's own, and those of timm, torchvision and transformers."""

from fastcam.origins.huggingface import load_huggingface
from fastcam.origins.loaded import Loaded, LoadError
from fastcam.origins.modules import from_factory, load_module
from fastcam.origins.own import load_registered, load_trained
from fastcam.origins.timm import load_timm
from fastcam.origins.torchvision import load_torchvision

__all__ = [
    "LoadError",
    "Loaded",
    "from_factory",
    "load_huggingface",
    "load_module",
    "load_registered",
    "load_timm",
    "load_torchvision",
    "load_trained",
]
