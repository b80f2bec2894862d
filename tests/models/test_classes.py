"""Class names."""

import pytest

from fastcam.models import imagenet_classes, read_classes


def test_imagenet():
    names = imagenet_classes()
    assert len(names) == len(set(names)) == 1000
    assert (names[0], names[285], names[999]) == ("tench", "Egyptian cat", "toilet tissue")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("wren\nrobin\n", ("wren", "robin")),
        ("# source\n# licence\nwren\n#robin\n\n\n", ("wren", "#robin")),
        ("\ufeffZaunkönig\r\n  Rotkehlchen \r\n", ("Zaunkönig", "Rotkehlchen")),
    ],
)
def test_reading(tmp_path, text, names):
    (tmp_path / "classes.txt").write_text(text, encoding="utf-8", newline="")
    assert read_classes(tmp_path / "classes.txt") == names


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no class names"),
        (b"# only\n", "no class names"),
        (b"a\n\nb\n", "line 2 is empty"),
        (b"\xff\xfe", "codec"),
    ],
)
def test_bad_files(tmp_path, content, message):
    (tmp_path / "classes.txt").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_classes(tmp_path / "classes.txt")
