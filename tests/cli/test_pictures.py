"""Where overlays go."""

import os

import numpy as np
from command import Image, paint, rows, run


class TestOverlays:
    def test_each_picture_gets_one_in_its_own_size(self, here):
        paint(here / "in" / "a.png", size=(90, 70), box=(10, 10, 50, 60))
        run("in")
        overlay = np.array(Image.open(here / "out" / "overlays" / "a.png"))
        assert overlay.shape == (90, 70, 3)
        assert (overlay != np.array(Image.open(here / "in" / "a.png"))).any()

    def test_equal_names_in_two_folders(self, here):
        for folder, colour in (("one", "red"), ("two", "green")):
            paint(here / folder / "x.png", colour)
            paint(here / folder / "x.bmp", colour)
        run("one", "two")
        written = sorted(
            path.relative_to(here / "out" / "overlays").as_posix() for path in here.glob("out/overlays/*/*")
        )
        assert written == ["one/x.bmp.png", "one/x.png", "two/x.bmp.png", "two/x.png"]
        assert len({row["file"] for row in rows(here)}) == 4

    def test_none_on_request(self, here):
        paint(here / "a.png")
        run("a.png", "--no-overlay")
        assert sorted(os.listdir("out")) == ["boxes.csv", "boxes.json", "dataset.json"]

    def test_they_are_not_taken_for_pictures_the_next_time(self, here):
        paint(here / "a.png")
        for _ in range(2):
            run(".")
            assert [row["file"] for row in rows(here)] == ["a.png"]
