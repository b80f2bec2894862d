"""Finding pictures."""

import os

import pytest

from fastcam.folders import find_pictures


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


class TestFinding:
    def test_folder_is_searched_below_sorted_without_hidden_ones(self, tmp_path):
        touch(tmp_path, "b.png", "a.JPG", "notes.txt", "sub/c.webp", ".hidden.png", ".git/d.png", "noext")
        names = [path.relative_to(tmp_path).as_posix() for path in find_pictures([tmp_path])]
        assert names == ["a.JPG", "b.png", "sub/c.webp"]

    def test_a_file_named_outright_counts_whatever_it_is_called(self, tmp_path):
        touch(tmp_path, "picture.dat", ".hidden")
        assert find_pictures([tmp_path / "picture.dat", tmp_path / ".hidden"]) == [
            tmp_path / "picture.dat",
            tmp_path / ".hidden",
        ]

    def test_globs(self, tmp_path):
        touch(tmp_path, "a/1.png", "a/2.txt", "b/deep/3.png", "c.png")
        found = find_pictures([str(tmp_path / "a" / "*"), str(tmp_path / "**" / "3.*"), str(tmp_path / "b*")])
        assert [path.name for path in found] == ["1.png", "3.png"]

    def test_an_existing_name_is_not_a_glob(self, tmp_path):
        touch(tmp_path, "photo[1].png", "photo1.png")
        assert find_pictures([str(tmp_path / "photo[1].png")]) == [tmp_path / "photo[1].png"]

    def test_order_is_that_of_the_arguments_and_each_file_comes_once(self, tmp_path, monkeypatch):
        touch(tmp_path, "z.png", "a.png")
        monkeypatch.chdir(tmp_path)
        found = find_pictures(["z.png", ".", str(tmp_path / "a.png"), "z.png"])
        assert [os.fspath(path) for path in found] == ["z.png", "a.png"]

    def test_results_of_an_earlier_run_are_left_out(self, tmp_path):
        touch(tmp_path, "a.png", "out/overlays/a.png")
        assert find_pictures([tmp_path], exclude=tmp_path / "out") == [tmp_path / "a.png"]
        named = tmp_path / "out" / "overlays" / "a.png"
        assert find_pictures([named], exclude=tmp_path / "out") == [named]

    @pytest.mark.parametrize("path", ["missing.png", "*.tiff", "empty"])
    def test_what_matches_nothing_is_an_error(self, tmp_path, path):
        (tmp_path / "empty").mkdir()
        touch(tmp_path, "a.png")
        with pytest.raises(FileNotFoundError, match="folder without pictures" if path == "empty" else "matches"):
            find_pictures([tmp_path / "a.png", tmp_path / path])
