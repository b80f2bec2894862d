"""The training loop beside bare steps: what the report says of the speeds."""

from training import report


def test_the_median_of_the_rounds_ratios():
    lines = report(
        [("fast", [(96.0, 100.0), (50.0, 100.0), (99.0, 100.0)]), ("slow", [(90.0, 100.0)])], 64
    ).splitlines()
    assert "| fast | 96.0 | 100.0 | 0.96 | >= 0.95 | met |" in lines
    assert "| slow | 90.0 | 100.0 | 0.90 | >= 0.95 | **short** |" in lines
    assert any(line.startswith("| 64x64, batches of 16 |") for line in lines)
