"""What stored values mean: levels where 0 is white, transparent levels, orientations; written byte by byte."""

import struct
import zlib

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")
cv2 = pytest.importorskip("cv2")

from fastcam.images import PictureError, as_pixels, picture_size, read_picture  # noqa: E402

RNG = np.random.default_rng(0)


def packed(values, bits):
    """Rows of values, the first in the highest bits, each row filled up to whole bytes."""
    wide = values.reshape(len(values), -1).astype(np.uint32)
    ones = (wide[..., None] >> np.arange(bits - 1, -1, -1) & 1).astype(np.uint8)
    return np.packbits(ones.reshape(len(values), -1), axis=1)


def tiff(values, bits, white_is_zero, order="<", kind=1):
    """A TIFF without compression: one channel, values of any width."""
    height, width = values.shape
    whole = bits in (16, 32) and values.astype(values.dtype.newbyteorder(order)).tobytes()
    data = whole or packed(values, bits).tobytes()
    tags = [(256, 3, width), (257, 3, height), (258, 3, bits), (259, 3, 1), (262, 3, 0 if white_is_zero else 1)]
    tags += [(273, 4, 8), (277, 3, 1), (278, 3, height), (279, 4, len(data)), (339, 3, kind)]
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8 + len(data))
    entries = [
        struct.pack(order + "HHI", tag, size, 1)
        + (struct.pack(order + "HH", value, 0) if size == 3 else struct.pack(order + "I", value))
        for tag, size, value in tags
    ]
    return head + data + struct.pack(order + "H", len(tags)) + b"".join(entries) + bytes(4)


def png(values, bits, colour, *chunks):
    """A PNG of rows that are not filtered; colour as the standard numbers it."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in packed(values, bits))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)), *chunks]
    chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    sums = [(kind, data, zlib.crc32(kind + data)) for kind, data in chunks]
    written = [struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check) for kind, data, check in sums]
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


def both_ways(path):
    """From the file, and from an image that was opened."""
    pixels = read_picture(path)
    with Image.open(path) as picture:
        np.testing.assert_array_equal(as_pixels(picture), pixels)
    return pixels


def rgb(grey):
    return np.repeat(grey[..., None], 3, axis=2)


class TestWhereZeroIsWhite:
    @pytest.mark.parametrize("white_is_zero", [False, True])
    @pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
    def test_tiff_of_every_width(self, tmp_path, bits, white_is_zero):
        values = RNG.integers(0, 1 << bits, (5, 11)).astype(np.uint16)
        (tmp_path / "a.tif").write_bytes(tiff(values, bits, white_is_zero))
        share = values / ((1 << bits) - 1)
        wanted = np.rint(255 * (1 - share if white_is_zero else share))
        np.testing.assert_array_equal(both_ways(tmp_path / "a.tif"), rgb(wanted))
        if bits not in (2, 4):  # which OpenCV does not read
            theirs = cv2.imread(str(tmp_path / "a.tif"), cv2.IMREAD_COLOR).astype(int)
            assert np.abs(theirs - rgb(wanted)).max() <= 1

    @pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
    def test_compressed(self, tmp_path, compression):
        values = RNG.integers(0, 65536, (5, 11)).astype(np.uint16)
        Image.fromarray(values).save(tmp_path / "a.tif", compression=compression, tiffinfo={262: 0})
        with Image.open(tmp_path / "a.tif") as written:
            assert written.tag_v2[262] == 0
        theirs = cv2.imread(str(tmp_path / "a.tif"), cv2.IMREAD_COLOR).astype(int)
        assert np.abs(theirs - both_ways(tmp_path / "a.tif")).max() <= 1

    def test_twelve_bits_reach_from_black_to_white(self, tmp_path):
        values = np.array([[0, 1, 2048, 4094, 4095, 100]], np.uint16)
        (tmp_path / "a.tif").write_bytes(tiff(values, 12, False))
        np.testing.assert_array_equal(both_ways(tmp_path / "a.tif"), rgb(np.rint(values / 4095 * 255)))

    def test_the_other_byte_order(self, tmp_path):
        values = RNG.integers(0, 65536, (5, 11)).astype(np.uint16)
        (tmp_path / "a.tif").write_bytes(tiff(values, 16, False, order=">"))
        np.testing.assert_array_equal(both_ways(tmp_path / "a.tif"), rgb(np.rint(values / 257)))
        # Pillow does not open it: refused, not inverted.
        (tmp_path / "a.tif").write_bytes(tiff(values, 16, True, order=">"))
        with pytest.raises(PictureError, match=r"a\.tif: "):
            read_picture(tmp_path / "a.tif")

    @pytest.mark.parametrize("white_is_zero", [False, True])
    @pytest.mark.parametrize(("dtype", "kind"), [(np.float32, 3), (np.int32, 2), (np.int16, 2)])
    def test_pixels_without_a_fixed_range(self, tmp_path, dtype, kind, white_is_zero):
        data = tiff(np.ones((3, 4), dtype), np.dtype(dtype).itemsize * 8, white_is_zero, kind=kind)
        (tmp_path / "a.tif").write_bytes(data)
        with pytest.raises(PictureError, match=r"a\.tif: "):
            read_picture(tmp_path / "a.tif")

    @pytest.mark.parametrize("highest", [255, 1000, 4095, 65535])
    def test_pgm_by_its_own_highest_level(self, tmp_path, highest):
        values = RNG.integers(0, highest + 1, (5, 11)).astype(np.uint16)
        values[0, :2] = 0, highest
        data = values.astype(">u2" if highest > 255 else np.uint8).tobytes()
        (tmp_path / "a.pgm").write_bytes(f"P5 11 5 {highest}\n".encode() + data)
        assert np.abs(both_ways(tmp_path / "a.pgm") - rgb(values / highest * 255)).max() <= 0.51


class TestTransparentLevels:
    @pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
    def test_grey(self, tmp_path, bits):
        most = (1 << bits) - 1
        values = RNG.integers(0, min(most, 20) + 1, (9, 13)).astype(np.uint16)
        if bits == 16:
            values *= 257
        for level in (values[3, 5], 0, most):
            values[0, 0] = level
            path = tmp_path / f"{level}.png"
            path.write_bytes(png(values, bits, 0, (b"tRNS", struct.pack(">H", level))))
            wanted = np.where(values == level, 255, np.rint(values / most * 255))
            np.testing.assert_array_equal(both_ways(path), rgb(wanted))

    def test_grey_of_16_bits_hides_that_level_alone(self, tmp_path):
        values = np.array([[256, 257, 258, 259]], np.uint16)
        (tmp_path / "a.png").write_bytes(png(values, 16, 0, (b"tRNS", struct.pack(">H", 257))))
        assert both_ways(tmp_path / "a.png")[0, :, 0].tolist() == [1, 255, 1, 1]

    @pytest.mark.parametrize("bits", [8, 16])
    def test_colour(self, tmp_path, bits):
        values = np.array([[[1, 2, 3], [1, 2, 4], [0, 2, 3], [1, 200, 3]]], np.uint16)
        if bits == 16:
            values = values * 256 + 7
            values[0, 1] = values[0, 0] + [0, 0, 1]
        (tmp_path / "a.png").write_bytes(png(values, bits, 2, (b"tRNS", struct.pack(">HHH", *values[0, 0].tolist()))))
        wanted = values >> (bits - 8)
        wanted[0, 0] = 255
        np.testing.assert_array_equal(both_ways(tmp_path / "a.png"), wanted)

    def test_colour_of_16_bits_turned(self, tmp_path):
        values = RNG.integers(0, 2, (4, 6, 3)).astype(np.uint16) * 257
        exif = Image.Exif()
        exif[274] = 6
        chunks = (b"tRNS", struct.pack(">HHH", 0, 257, 257)), (b"eXIf", exif.tobytes()[6:])
        (tmp_path / "a.png").write_bytes(png(values, 16, 2, *chunks))
        wanted = np.where((values == [0, 257, 257]).all(axis=2, keepdims=True), 255, values >> 8)
        assert (wanted == 255).any()
        np.testing.assert_array_equal(both_ways(tmp_path / "a.png"), np.rot90(wanted, -1))
        np.testing.assert_array_equal(read_picture(tmp_path / "a.png", upright=False), wanted)

    def test_a_lost_colour_is_not_guessed(self, tmp_path):
        values = np.full((2, 2, 3), 257, np.uint16)
        (tmp_path / "a.png").write_bytes(png(values, 16, 2, (b"tRNS", struct.pack(">HHH", 257, 257, 257))))
        with Image.open(tmp_path / "a.png") as picture:
            picture.load()
            with pytest.raises(PictureError, match="hand in its path"):
                as_pixels(picture)

    @pytest.mark.parametrize("bits", [1, 2, 4, 8])
    def test_palettes(self, tmp_path, bits):
        count = min(1 << bits, 16)
        palette, alpha = RNG.integers(0, 256, (count, 3)), RNG.integers(0, 256, count)
        values = RNG.integers(0, count, (7, 9)).astype(np.uint16)
        chunks = (b"PLTE", palette.astype(np.uint8).tobytes()), (b"tRNS", alpha.astype(np.uint8).tobytes())
        (tmp_path / "a.png").write_bytes(png(values, bits, 3, *chunks))
        share = alpha[values][..., None] / 255
        wanted = palette[values] * share + 255 * (1 - share)
        assert np.abs(both_ways(tmp_path / "a.png") - wanted).max() <= 1

    @pytest.mark.parametrize("bits", [8, 16])
    @pytest.mark.parametrize(("colour", "channels"), [(4, 2), (6, 4)])
    def test_channels_of_alpha(self, tmp_path, bits, colour, channels):
        most = (1 << bits) - 1
        values = RNG.integers(0, most + 1, (7, 9, channels)).astype(np.uint16)
        (tmp_path / "a.png").write_bytes(png(values, bits, colour))
        share = values[..., -1:] / most
        wanted = (values[..., :-1] * share + most * (1 - share)) / most * 255
        # The high bytes of a value and of its alpha, each up to a level off.
        assert np.abs(both_ways(tmp_path / "a.png") - wanted).max() <= 2


UPRIGHT = {
    1: lambda x: x,
    2: np.fliplr,
    3: lambda x: np.rot90(x, 2),
    4: np.flipud,
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: np.rot90(x, 2).swapaxes(0, 1),
    8: lambda x: np.rot90(x),
}


class TestOrientation:
    STORED = RNG.integers(0, 256, (16, 24, 3), dtype=np.uint8)

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize(
        ("kind", "options"),
        [
            ("png", {}),
            ("webp", {"lossless": True}),
            ("tif", {}),
            ("tif", {"compression": "tiff_lzw"}),
            ("jpg", {"quality": 100, "subsampling": 0}),
            ("mpo", {"quality": 100, "subsampling": 0, "save_all": True}),
        ],
    )
    def test_stored_and_upright(self, tmp_path, kind, options, orientation):
        exif = Image.Exif()
        exif[274] = orientation
        path = tmp_path / f"a.{kind}"
        picture = Image.fromarray(self.STORED)
        picture.save(path, exif=exif, **options, **({"append_images": [picture]} if kind == "mpo" else {}))
        off = 12 if kind in ("jpg", "mpo") else 0
        assert picture_size(path) == (16, 24)
        stored = read_picture(path, upright=False).astype(int)
        assert stored.shape == self.STORED.shape
        assert np.abs(stored - self.STORED).max() <= off
        wanted = UPRIGHT[orientation](self.STORED)
        shown = both_ways(path).astype(int)
        assert shown.shape == wanted.shape
        assert np.abs(shown - wanted).max() <= off

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_of_16_bits_where_zero_is_white(self, tmp_path, orientation):
        values = RNG.integers(0, 256, (4, 6)).astype(np.uint16) * 257
        Image.fromarray(values).save(tmp_path / "a.tif", tiffinfo={262: 0, 274: orientation})
        wanted = rgb(255 - values // 257)
        np.testing.assert_array_equal(read_picture(tmp_path / "a.tif", upright=False), wanted)
        np.testing.assert_array_equal(both_ways(tmp_path / "a.tif"), UPRIGHT[orientation](wanted))
        assert picture_size(tmp_path / "a.tif") == (4, 6)

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "CMYK", "I;16"])
    def test_tiff_of_every_mode(self, tmp_path, mode, orientation):
        levels = RNG.integers(0, 2, (7, 12), dtype=np.uint8) * 255
        picture = Image.fromarray(levels)
        picture = Image.fromarray(levels.astype(np.uint16) * 257) if mode == "I;16" else picture.convert(mode)
        picture.save(tmp_path / "a.tif", tiffinfo={274: orientation})
        np.testing.assert_array_equal(read_picture(tmp_path / "a.tif", upright=False), rgb(levels))
        np.testing.assert_array_equal(both_ways(tmp_path / "a.tif"), UPRIGHT[orientation](rgb(levels)))
        assert picture_size(tmp_path / "a.tif") == (7, 12)

    def test_an_orientation_that_is_none(self, tmp_path):
        Image.fromarray(self.STORED).save(tmp_path / "a.tif", tiffinfo={274: 9})
        np.testing.assert_array_equal(both_ways(tmp_path / "a.tif"), self.STORED)
        assert picture_size(tmp_path / "a.tif") == (16, 24)


def test_a_broken_image_in_memory_is_a_picture_error(tmp_path):
    Image.fromarray(RNG.integers(0, 256, (60, 80, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    with (
        Image.open(tmp_path / "a.png") as picture,
        pytest.raises(PictureError, match="a PngImageFile cannot be read: "),
    ):
        as_pixels(picture)
