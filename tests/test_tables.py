"""CSV that no spreadsheet takes for a formula, read back as it was."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcam.evaluation.per_image import Row, write_rows
from fastcam.tables import read_table, table_bytes, write_table

# OWASP's list, and the wide forms.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


@pytest.mark.parametrize("sign", FORMULA)
@pytest.mark.parametrize("rest", ["", "1+1", "cmd|' /C calc'!A0", ",x", '"x"', "\n=1"])
def test_no_cell_begins_as_a_formula(tmp_path, sign, rest):
    text = sign + rest
    write_table(tmp_path / "a.csv", ["name", "n"], [[text, -0.5], [f"'{text}", None]])
    with open(tmp_path / "a.csv", newline="", encoding="utf-8") as file:
        _, *cells = csv.reader(file)
    assert not cells[0][0].startswith(FORMULA)
    assert cells[0][1] == "-0.5"
    assert read_table(tmp_path / "a.csv") == [{"name": text, "n": "-0.5"}, {"name": f"'{text}", "n": ""}]


@pytest.mark.parametrize("text", ["-3.25", "+1", "-1e-05", "-inf", "0.5", "-0"])
def test_numbers_are_as_they_were(text):
    assert table_bytes(["n"], [[text]]) == f"n\n{text}\n".encode()


@given(st.lists(st.lists(st.text(st.characters(codec="utf-8")), min_size=2, max_size=2)))
def test_any_text_is_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("table") / "a.csv"
    write_table(path, ["a", "b"], rows)
    assert [list(row.values()) for row in read_table(path)] == rows
    for row in csv.reader(io.StringIO(path.read_bytes().decode(), newline="")):
        for cell in row:
            assert not cell.startswith(FORMULA) or cell.lstrip("+-").replace(".", "").isalnum()


def test_a_row_of_another_length(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1\n")
    with pytest.raises(ValueError, match="zip"):
        read_table(tmp_path / "a.csv")


def test_rows_of_an_evaluation(tmp_path):
    names = ["=1+1.jpg", "-a.jpg", "@x/b.jpg", "'c.jpg", "d.jpg"]
    write_rows(tmp_path / "a.csv", [Row(name, 1, iou=0.5) for name in names])
    assert [row["id"] for row in read_table(tmp_path / "a.csv")] == names
    assert not any(line.startswith(FORMULA) for line in (tmp_path / "a.csv").read_text().splitlines())
