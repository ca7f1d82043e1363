import struct
import zlib

import numpy as np
import pytest
from PIL import Image as Pillow

from polymnia.data.modalities.image import Image
from polymnia.errors import DataError


def read(value):
    array = Image().read(value)
    assert array.dtype == np.uint8
    assert array.ndim == 3
    assert array.shape[2] == 3
    return array


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_files_give_the_very_pixels(picture, kind):
    pixels = np.random.default_rng(1).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    np.testing.assert_array_equal(read(picture(kind, pixels)), pixels)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF"])
def test_lossy_files_come_close(picture, kind):
    pixels = np.full((8, 8, 3), (200, 100, 50), dtype=np.uint8)
    assert np.abs(read(picture(kind, pixels)).astype(int) - pixels).max() < 12


def test_a_path_and_its_bytes_read_the_same(picture, tmp_path):
    path = tmp_path / "a.wrong-ending"
    path.write_bytes(picture())
    np.testing.assert_array_equal(read(path), read(path.read_bytes()))


def test_transparency_is_laid_on_white(picture):
    pixels = np.zeros((1, 3, 4), dtype=np.uint8)
    pixels[0, :, 3] = (0, 255, 128)
    np.testing.assert_array_equal(read(picture("PNG", pixels))[0, :, 0], [255, 0, 127])
    np.testing.assert_array_equal(read(pixels)[0, :, 0], [255, 0, 127])


def test_a_transparent_palette_is_laid_on_white(picture):
    flat = Pillow.new("P", (2, 1), 0)
    flat.putpalette([10, 20, 30, 40, 50, 60])
    flat.putpixel((1, 0), 1)
    np.testing.assert_array_equal(read(picture("PNG", flat, transparency=0)), [[[255, 255, 255], [40, 50, 60]]])


def test_orientation_is_applied(picture):
    pixels = np.zeros((2, 4, 3), dtype=np.uint8)
    pixels[0] = 255  # a white upper half
    exif = Pillow.Exif()
    exif[0x0112] = 6  # must be turned clockwise to stand upright
    turned = read(picture("PNG", pixels, exif=exif))
    np.testing.assert_array_equal(turned, np.rot90(pixels, -1))


def test_sixteen_bit_grey_keeps_its_upper_half(picture):
    grey = np.array([[0, 255, 256, 65535]], dtype=np.uint16)
    np.testing.assert_array_equal(read(picture("PNG", grey))[0, :, 1], [0, 0, 1, 255])


@pytest.mark.parametrize("mode", ["L", "LA", "1", "CMYK", "P"])
def test_every_mode_becomes_three_channels(picture, mode):
    kind = "TIFF" if mode == "CMYK" else "PNG"
    assert read(picture(kind, Pillow.new(mode, (6, 3)))).shape == (3, 6, 3)


def test_of_an_animation_the_first_frame_is_taken(picture):
    frames = [Pillow.new("RGB", (4, 4), colour) for colour in ((255, 0, 0), (0, 255, 0))]
    data = picture("GIF", frames[0], save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read(data)[0, 0], [255, 0, 0])


def bomb(width: int, height: int) -> bytes:
    """Return a PNG that announces a huge picture and holds a few bytes."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [(7072, 7072), (12_000, 9_000), (60_000, 60_000)])
def test_a_decompression_bomb_is_refused_before_decoding(size):
    with pytest.raises(DataError, match="pixels"):
        read(bomb(*size))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"])
def test_a_truncated_file_is_refused(picture, kind):
    data = picture(kind)
    with pytest.raises(DataError):
        read(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "empty"),
        (b"no picture", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
        ("photo.png", "got the text 'photo.png'"),
        (np.zeros((4, 4, 3), dtype=np.int64), "dtype int64"),
        (np.zeros((4, 4, 2), dtype=np.uint8), "shape"),
        (np.zeros((0, 4, 3), dtype=np.uint8), "shape"),
        (np.full((4, 4), np.nan), "NaN"),
        (np.full((4, 4), 1.5), r"\[0, 1\]"),
        (None, "missing"),
    ],
)
def test_what_is_no_image_has_a_reason(value, reason):
    with pytest.raises(DataError, match=reason):
        read(value)


def test_unreadable_paths_have_a_reason(tmp_path):
    for path, reason in [(tmp_path / "none.png", "no such file"), (tmp_path, "folder"), (tmp_path / "a\0b", "null")]:
        with pytest.raises(DataError, match=reason):
            read(path)


def test_arrays_of_floats_and_of_grey():
    np.testing.assert_array_equal(read(np.array([[0.0, 0.5, 1.0]]))[0, :, 2], [0, 128, 255])


def test_a_drawing_is_rendered_on_white_to_the_stated_size(svg):
    pytest.importorskip("resvg_py")
    pixels = read(svg)
    assert pixels.shape == (256, 512, 3)
    np.testing.assert_array_equal(pixels[128, 100], [255, 0, 0])
    np.testing.assert_array_equal(pixels[128, 400], [255, 255, 255])


def test_a_drawing_in_points_is_rendered_too(svg):
    pytest.importorskip("resvg_py")
    assert max(read(svg.replace(b'"100"', b'"75pt"').replace(b'"50"', b'"75pt"')).shape) == 512


def test_a_drawing_cannot_pull_in_another_file(picture, tmp_path):
    pytest.importorskip("resvg_py")
    other = tmp_path / "secret.png"
    other.write_bytes(picture("PNG", np.zeros((8, 8, 3), dtype=np.uint8)))
    image = f'<image href="{other}" width="8" height="8"/>'
    drawing = f'<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8">{image}</svg>'
    assert (read(drawing.encode()) == 255).all()


def test_hostile_drawings_end_in_a_reason_and_not_in_a_crash():
    pytest.importorskip("resvg_py")
    rect = '<rect width="9" height="9" fill="red"'
    chain = "".join(f'<mask id="m{i + 1}">{rect} mask="url(#m{i})"/></mask>' for i in range(3000))
    deep = f'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">{chain}{rect} mask="url(#m3000)"/></svg>'
    for drawing in (deep, "<svg", '<svg xmlns="http://www.w3.org/2000/svg" width="0" height="0"/>'):
        with pytest.raises(DataError, match="SVG"):
            read(drawing.encode())
    wide = '<svg xmlns="http://www.w3.org/2000/svg" width="1e9" height="1"/>'
    assert max(read(wide.encode()).shape) == 512


def test_pictures_of_different_size_stand_side_by_side():
    small, large = np.full((2, 5, 3), 7, np.uint8), np.full((4, 3, 3), 9, np.uint8)
    padded, valid = Image().collate([small, large])
    assert padded.shape == (2, 4, 5, 3)
    np.testing.assert_array_equal(padded[1][valid[1]].reshape(large.shape), large)
    assert valid.sum(axis=(1, 2)).tolist() == [10, 12]
