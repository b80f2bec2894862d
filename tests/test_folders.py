"""Finding pictures."""

import os

import pytest

from fastcam.folders import MARK, find_pictures
from fastcam.result_files import write_csv


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


class TestWhatIsLeftOutIsSaid:
    def search(self, *paths, **kwargs):
        said = []
        return [os.path.basename(path) for path in find_pictures(paths, on_left_out=said.append, **kwargs)], said

    def test_a_folder_that_cannot_be_read(self, tmp_path, monkeypatch):
        touch(tmp_path, "a.png", "locked/b.png", "z/c.png")
        scandir = os.scandir

        def refusing(path):
            if os.path.basename(path) == "locked":
                raise PermissionError(13, "Permission denied", path)
            return scandir(path)

        monkeypatch.setattr(os, "scandir", refusing)
        found, (one,) = self.search(tmp_path)
        assert found == ["a.png", "c.png"]
        assert str(one) == f"{tmp_path / 'locked'}: a folder that cannot be read (Permission denied)"
        assert one.missed
        with pytest.raises(PermissionError, match="locked"):
            self.search(tmp_path / "locked")

    @pytest.mark.parametrize("target", ["elsewhere", ".."])
    def test_a_link_to_a_folder(self, tmp_path, target):
        touch(tmp_path, "in/a.png", "elsewhere/b.png")
        (tmp_path / "in" / "link").symlink_to(tmp_path / target, target_is_directory=True)
        found, (one,) = self.search(tmp_path / "in")
        assert found == ["a.png"]
        assert str(one) == f"{tmp_path / 'in' / 'link'}: a link to a folder; name it to search it"
        assert one.missed
        if target == "elsewhere":
            assert self.search(tmp_path / "in" / "link") == (["b.png"], [])

    def test_a_link_to_a_picture_counts_and_one_to_nothing_is_said(self, tmp_path):
        touch(tmp_path, "b.png", "in/a.png")
        (tmp_path / "in" / "c.png").symlink_to(tmp_path / "b.png")
        (tmp_path / "in" / "d.png").symlink_to(tmp_path / "none.png")
        found, (one,) = self.search(tmp_path / "in")
        assert found == ["a.png", "c.png"]
        assert "d.png: No such file" in str(one)

    @pytest.mark.parametrize("suffix", ["heic", "HEIF", "jxl", "svg", "exr"])
    def test_what_pillow_may_not_read_counts_and_is_named_when_it_is_read(self, tmp_path, suffix):
        touch(tmp_path, f"a.{suffix}", "b.txt", "c.json")
        assert self.search(tmp_path) == ([f"a.{suffix}"], [])

    @pytest.mark.parametrize("suffix", ["nef", "CR2", "dng"])
    def test_raw_formats_are_not_taken_by_their_previews(self, tmp_path, suffix):
        touch(tmp_path, "a.png", f"b.{suffix}")
        for path in (tmp_path, tmp_path / "*"):
            found, (one,) = self.search(path)
            assert found == ["a.png"]
            assert str(one).endswith(f"b.{suffix}: a camera's raw format; develop it first")

    def test_a_pipe_is_not_read(self, tmp_path):
        touch(tmp_path, "a.png")
        os.mkfifo(tmp_path / "b.png")
        found, (one,) = self.search(tmp_path)
        assert found == ["a.png"]
        assert str(one).endswith("b.png: not a regular file")


class TestOverlays:
    search = TestWhatIsLeftOutIsSaid.search

    @pytest.mark.parametrize("mark", ["boxes.csv", MARK])
    def test_those_of_an_earlier_run_are_known_wherever_they_lie(self, tmp_path, mark):
        touch(tmp_path, "a.png", "old/overlays/a.png", "old/overlays/sub/b.png", "deep/overlays/c.png")
        if mark == "boxes.csv":
            write_csv(tmp_path / "old" / mark, [])
        else:
            touch(tmp_path / "old", mark)
        for given in (tmp_path, tmp_path / "**" / "*.png", tmp_path / "**" / "*"):
            found, said = self.search(given)
            assert sorted(found) == ["a.png", "c.png"]
            assert len(said) == 1
            assert not said[0].missed
            assert str(tmp_path / "old" / "overlays") in str(said[0])
        assert self.search(tmp_path / "old" / "overlays") == (["a.png", "b.png"], [])

    def test_results_go_where_the_pictures_are(self, tmp_path):
        touch(tmp_path, "a.png", "sub/b.png", "overlays/a.png")
        for given in (tmp_path, tmp_path / "*", tmp_path / "*.png"):
            found, said = self.search(given, exclude=tmp_path)
            assert found == (["a.png"] if given.name == "*.png" else ["a.png", "b.png"])
            assert len(said) == (given.name != "*.png")
        assert self.search(tmp_path / "overlays" / "a.png", exclude=tmp_path) == (["a.png"], [])
        with pytest.raises(FileNotFoundError, match="without pictures"):
            self.search(tmp_path / "overlays", exclude=tmp_path)

    def test_another_boxes_csv_is_not_ours(self, tmp_path):
        touch(tmp_path, "a.png", "overlays/b.png")
        (tmp_path / "boxes.csv").write_text("x,y\n1,2\n")
        assert self.search(tmp_path) == (["a.png", "b.png"], [])
