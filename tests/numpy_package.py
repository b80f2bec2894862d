"""The package without PyTorch, ``fastcam_numpy``, in a folder of its own that a process can import it from."""

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILDS = sorted(ROOT.glob("build/cp3*/libfastcam.so"), key=lambda path: path.stat().st_mtime)


def write_site(folder):
    """Copy the package and the newest library into a folder, which is returned."""
    shutil.copytree(ROOT / "without_torch" / "fastcam_numpy", folder / "fastcam_numpy")
    shutil.copy(BUILDS[-1], folder / "fastcam_numpy")
    return folder
