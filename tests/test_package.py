"""The package as a whole: what importing it costs and brings, and that its documentation holds."""

from __future__ import annotations

import doctest
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import fastcam

FOLDER = Path(fastcam.__file__).parent
MODULES = sorted(
    ".".join(("fastcam", *path.relative_to(FOLDER).with_suffix("").parts)).removesuffix(".__init__")
    for path in FOLDER.rglob("*.py")
    if "kernels" not in path.parts  # they need triton
)

# What else it would take long to import, or what not every machine has.
FORBIDDEN = ("triton", "cv2", "click", "tqdm", "matplotlib", "scipy", "PIL", "skimage", "torchmetrics", "torchvision")

PROGRAM = """
import json, sys, time, torch
before = set(sys.modules)
start = time.process_time()
import fastcam
print(json.dumps([time.process_time() - start, sorted(set(sys.modules) - before), fastcam.models.__name__]))
"""


def test_importing_it_is_quick_and_brings_nothing_that_torch_does_not():
    for _ in range(5):  # the machine may be busy with something else
        told = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True).stdout
        seconds, modules, on_first_use = json.loads(told)
        assert [name for name in modules if name.split(".")[0] in FORBIDDEN] == []
        assert "fastcam.localization" in modules
        assert on_first_use == "fastcam.models"
        assert on_first_use not in modules
        if seconds < 0.2:
            return
    pytest.fail(f"importing fastcam took {seconds:.2f} s beyond importing torch")


def test_every_public_name_is_there_and_documented():
    assert len(set(fastcam.__all__)) == len(fastcam.__all__)
    for name in fastcam.__all__:
        assert getattr(fastcam, name).__doc__, name


def test_every_public_callable_shows_an_example_and_its_errors():
    for name in fastcam.__all__:
        value = getattr(fastcam, name)
        # Not those made by the package, not by its users.
        if callable(value) and name not in ("Localization", "MaskBoxes", "Network", "PaddedObjects"):
            assert "Example:" in value.__doc__, name
            assert "Raises:" in value.__doc__, name


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of(name):
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module)
    assert failed == 0


def test_there_are_examples_to_run():
    modules = map(importlib.import_module, MODULES)
    assert sum(len(test.examples) for module in modules for test in doctest.DocTestFinder().find(module)) > 40


def test_an_unknown_name_is_an_attribute_error_and_an_import_error():
    with pytest.raises(AttributeError, match="module 'fastcam' has no attribute 'nothing'"):
        _ = fastcam.nothing
    with pytest.raises(ImportError, match="nothing"):
        from fastcam import nothing  # noqa: F401


def test_it_says_that_it_is_typed():
    assert (FOLDER / "py.typed").is_file()
