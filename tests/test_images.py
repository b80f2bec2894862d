"""Reading every kind of picture as RGB."""

import io

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("PIL.ImageOps")

from fastcam.images import PictureError, read_picture  # noqa: E402

RAMP = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)


class TestReading:
    def check(self, path, expected):
        pixels = read_picture(path)
        assert pixels.dtype == np.uint8
        assert pixels.flags.c_contiguous
        assert pixels.flags.writeable
        np.testing.assert_array_equal(pixels, expected)

    @pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tiff", "a.ppm", "zwölf Bilder 猫.png"])
    def test_rgb(self, tmp_path, name):
        Image.fromarray(RAMP).save(tmp_path / name)
        self.check(tmp_path / name, RAMP)

    def test_suffix_does_not_matter(self, tmp_path):
        Image.fromarray(RAMP).save(tmp_path / "a.png")
        self.check((tmp_path / "a.png").rename(tmp_path / "a.jpg"), RAMP)

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("suffix", ["png", "tiff", "jpg"])
    def test_exif_orientation(self, tmp_path, orientation, suffix):
        upright = np.full((16, 24, 3), 60, np.uint8)
        upright[:8, :8] = 200
        undo = {
            1: lambda x: x,
            2: np.fliplr,
            3: lambda x: np.rot90(x, 2),
            4: np.flipud,
            5: lambda x: x.swapaxes(0, 1),
            6: lambda x: np.rot90(x, 1),
            7: lambda x: np.rot90(x, 2).swapaxes(0, 1),
            8: lambda x: np.rot90(x, -1),
        }[orientation]
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"a.{suffix}"
        Image.fromarray(np.ascontiguousarray(undo(upright))).save(
            path, exif=exif, **{"quality": 100} if suffix == "jpg" else {}
        )
        pixels = read_picture(path).astype(int)
        assert pixels.shape == upright.shape
        assert np.abs(pixels - upright).max() <= 3

    def test_orientation_of_a_16_bit_picture(self, tmp_path):
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(np.full((4, 9), 65535, np.uint16)).save(tmp_path / "a.png", exif=exif)
        assert read_picture(tmp_path / "a.png").shape == (9, 4, 3)

    def test_grey(self, tmp_path):
        Image.fromarray(RAMP[..., 0]).save(tmp_path / "a.png")
        self.check(tmp_path / "a.png", RAMP[..., :1].repeat(3, axis=2))

    def test_one_bit(self, tmp_path):
        Image.fromarray(RAMP[..., 0] > 70).save(tmp_path / "a.png")
        self.check(tmp_path / "a.png", ((RAMP[..., :1] > 70) * 255).repeat(3, axis=2))

    @pytest.mark.parametrize("suffix", ["png", "tiff"])
    def test_16_bit_grey_is_scaled_by_257(self, tmp_path, suffix):
        levels = np.array([[0, 128, 129, 257, 32767, 32896, 65406, 65407, 65535]], np.uint16)
        Image.fromarray(levels).save(tmp_path / f"a.{suffix}")
        expected = np.rint(levels / 257).astype(np.uint8)
        self.check(tmp_path / f"a.{suffix}", expected[..., None].repeat(3, axis=2))

    @pytest.mark.parametrize("channels", [3, 4])
    @pytest.mark.parametrize("suffix", ["png", "tiff"])
    def test_16_bit_colour_is_right_to_one_level(self, tmp_path, suffix, channels):
        cv2 = pytest.importorskip("cv2")
        levels = np.random.default_rng(0).integers(0, 65536, (20, 30, channels), dtype=np.uint16)
        levels[..., 3:] = 65535
        cv2.imwrite(str(tmp_path / f"a.{suffix}"), levels)
        error = read_picture(tmp_path / f"a.{suffix}") - levels[..., 2::-1] / 257
        assert np.abs(error).max() < 1

    def test_transparency_is_laid_over_white(self, tmp_path):
        rgba = np.zeros((1, 3, 4), np.uint8)
        rgba[0, :, 3] = 0, 128, 255
        Image.fromarray(rgba).save(tmp_path / "a.png")
        self.check(tmp_path / "a.png", np.array([[255, 127, 0]], np.uint8)[..., None].repeat(3, axis=2))

    def test_transparency_of_grey_and_of_palettes(self, tmp_path):
        Image.fromarray(np.array([[[10, 255], [10, 0]]], np.uint8), "LA").save(tmp_path / "la.png")
        palette = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
        palette.putpalette([10, 20, 30, 40, 50, 60])
        palette.save(tmp_path / "p.png", transparency=1)
        palette.save(tmp_path / "p.gif", transparency=1)
        self.check(tmp_path / "la.png", [[[10] * 3, [255] * 3]])
        self.check(tmp_path / "p.png", [[[10, 20, 30], [255] * 3]])
        self.check(tmp_path / "p.gif", [[[10, 20, 30], [255] * 3]])

    @pytest.mark.parametrize("suffix", ["jpg", "tiff"])
    def test_cmyk(self, tmp_path, suffix):
        colours = np.zeros((16, 48, 3), np.uint8)
        colours[:, :16], colours[:, 16:32] = (200, 30, 30), (20, 90, 200)
        Image.fromarray(colours).convert("CMYK").save(tmp_path / f"a.{suffix}", quality=100)
        assert np.abs(read_picture(tmp_path / f"a.{suffix}").astype(int) - colours).mean() < 4

    def test_first_frame_of_an_animation(self, tmp_path):
        frames = [Image.new("RGB", (4, 3), colour) for colour in ("red", "blue")]
        frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
        self.check(tmp_path / "a.gif", np.full((3, 4, 3), (255, 0, 0)))


class TestBrokenFiles:
    @pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "gif", "bmp", "tiff"])
    @pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
    def test_cut_short(self, tmp_path, suffix, share):
        noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
        path = tmp_path / f"a.{suffix}"
        Image.fromarray(noise).save(path)
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(PictureError, match=f"a.{suffix}: "):
            read_picture(path)

    @pytest.mark.parametrize("content", [b"", b"no picture", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n" + bytes(100)])
    def test_not_a_picture(self, tmp_path, content):
        (tmp_path / "a.png").write_bytes(content)
        with pytest.raises(PictureError, match=r"a\.png: "):
            read_picture(tmp_path / "a.png")

    def test_flipped_bytes_are_a_picture_or_a_picture_error(self, tmp_path):
        random = np.random.default_rng(0)
        for suffix in ("png", "tiff", "jpeg"):
            buffer = io.BytesIO()
            Image.fromarray(RAMP).save(buffer, suffix)
            whole = np.frombuffer(buffer.getvalue(), np.uint8)
            for _ in range(40):
                broken = whole.copy()
                broken[random.integers(0, min(len(whole), 200), 3)] = random.integers(0, 256, 3)
                (tmp_path / "a").write_bytes(broken.tobytes())
                try:
                    pixels = read_picture(tmp_path / "a")
                except PictureError:
                    continue
                assert pixels.dtype == np.uint8
                assert pixels.shape[2] == 3

    def test_missing(self, tmp_path):
        with pytest.raises(PictureError, match=r"a\.png: no such file"):
            read_picture(tmp_path / "a.png")

    def test_a_folder(self, tmp_path):
        with pytest.raises(PictureError, match=str(tmp_path)):
            read_picture(tmp_path)

    @pytest.mark.parametrize("dtype", [np.float32, np.int32])
    def test_pixels_without_a_fixed_range(self, tmp_path, dtype):
        Image.fromarray(np.zeros((3, 4), dtype)).save(tmp_path / "a.tiff")
        with pytest.raises(PictureError, match=r"a\.tiff: pixels of mode '[FI]' have no fixed range"):
            read_picture(tmp_path / "a.tiff")
