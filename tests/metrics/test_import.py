"""What importing the metrics says where they cannot be."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (
            "raise RuntimeError('operator torchvision::nms does not exist')",
            "cannot be imported: operator torchvision::nms",
        ),
        ("raise ImportError('libcudart.so.12: cannot open shared object file')", "cannot be imported: libcudart"),
        ("raise ModuleNotFoundError(\"No module named 'torchmetrics'\", name='torchmetrics')", r"pip install 'fastcam"),
    ],
)
def test_the_cause_is_said(broken, message, tmp_path):
    (tmp_path / "torchmetrics.py").write_text(broken)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import fastcam.metrics"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ImportError: fastcam.metrics needs torchmetrics" in done.stderr
    assert message in done.stderr
