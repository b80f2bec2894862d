"""The documentation's code blocks do what they say."""

import doctest
from importlib.util import find_spec
from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).resolve().parent.parent / "docs").glob("*.md"))
NEEDS = {"huggingface.md": "transformers"}


def test_there_are_pages():
    assert {"huggingface.md", "results.md"} <= {page.name for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_print_what_they_show(page):
    package = NEEDS.get(page.name)
    if package is not None and find_spec(package) is None:
        pytest.skip(f"needs {package}")
    failed, attempted = doctest.testfile(str(page), module_relative=False)
    assert attempted >= 3
    assert failed == 0
