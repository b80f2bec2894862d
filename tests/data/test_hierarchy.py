import re

import pytest

from fastcam.data import DataError, read_hierarchy

BIRDS = """\
001.Albatross Diomedeidae Procellariiformes
002.Petrel Procellariidae Procellariiformes

003.Wren Troglodytidae Passeriformes
004.Jay Corvidae Passeriformes
005.Crow Corvidae Passeriformes
"""


def written(tmp_path, text, name="birds.txt"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_two_levels_by_hand(tmp_path):
    found = read_hierarchy(written(tmp_path, BIRDS), ["005.Crow", "001.Albatross", "004.Jay", "003.Wren"])
    # Of the classes asked for alone: the petrel's family is none of them.
    assert found.names == (("Corvidae", "Diomedeidae", "Troglodytidae"), ("Passeriformes", "Procellariiformes"))
    assert found.labels.tolist() == [[0, 1, 0, 2], [0, 1, 0, 0]]
    assert found.labels.dtype == "int64"


def test_one_level_by_wordnet_ids(tmp_path):
    found = read_hierarchy(written(tmp_path, "n02 n01\nn03\tn01\nn05 n04"), ["n05", "n03", "n02"])
    assert (found.names, found.labels.tolist()) == ((("n01", "n04"),), [[1, 0, 0]])


def test_commas_let_names_hold_blanks(tmp_path):
    found = read_hierarchy(written(tmp_path, "house wren, true wrens\nblue jay,crows and jays\n"), ["blue jay"])
    assert found.names == (("crows and jays",),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a b\nc\n", ":2: expected class parent grandparent, the last as may be, got 'c'"),
        ("a b c d\n", ":1: expected class parent grandparent"),
        ("a,b\nc,\n", ":2: expected class,parent,grandparent"),
        ("a b c\n\nd e\n", ":3: expected 3 names as in the first line, got 2"),
        ("a b\nc b\na d\n", ":3: class 'a' stands in line 1 already"),
        ("a b c\nd b e\n", ":2: parent 'b' is of 'e' here, of 'c' in line 1"),
        ("\n \n", ": no classes"),
        ("b x\n", ": class 'a' of the data set is missing"),
    ],
)
def test_malformed_files(text, message, tmp_path):
    path = written(tmp_path, text)
    with pytest.raises(DataError, match=re.escape(f"{path}{message}")):
        read_hierarchy(path, ["a"])


def test_classes_that_are_missing_and_files_that_are(tmp_path):
    with pytest.raises(DataError, match=r"birds.txt: class 'gull' and 1 more of the data set is missing"):
        read_hierarchy(written(tmp_path, BIRDS), ["003.Wren", "gull", "tern"])
    with pytest.raises(DataError, match="No such file"):
        read_hierarchy(tmp_path / "none.txt", ["a"])
    (tmp_path / "bytes.txt").write_bytes(b"a \xff\n")
    with pytest.raises(DataError, match="not UTF-8"):
        read_hierarchy(tmp_path / "bytes.txt", ["a"])
