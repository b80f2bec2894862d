"""The real data, where it is."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def birds():
    """The first ten classes of CUB-200-2011, which are not part of the project."""
    folder = Path(__file__).parents[3] / "shared" / "data" / "CUB_200_2011_first10"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    return folder
