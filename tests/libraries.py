"""Other libraries' networks in tests, where those libraries are installed."""

import importlib
import os
import sys
from pathlib import Path

import pytest
import torch

# Nothing is looked for on the web.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# Not in the environment itself, where a torchvision without its operators would keep torchmetrics from loading.
FOLDERS = [Path(__file__).parents[1] / "build" / name for name in ("classifiers", "cam-peers")]

_OPERATORS = ("nms", "qnms")
_DEFINED = []


def library(name):
    """Import a library, or skip and say which is missing."""
    if name != "torchvision":
        library("torchvision")
    elif not _DEFINED:
        sys.path += [str(folder) for folder in FOLDERS if folder.exists() and str(folder) not in sys.path]
        # torchvision's compiled operators are of another build than PyTorch for CPUs; its networks do without them.
        try:
            importlib.import_module("torchvision")
        except ImportError:
            pytest.skip("needs torchvision")
        except RuntimeError:
            _DEFINED.append(torch.library.Library("torchvision", "DEF"))
            for operator in _OPERATORS:
                _DEFINED[0].define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    try:
        return importlib.import_module(name)
    except ImportError as error:
        pytest.skip(f"needs {name}: {error}")
