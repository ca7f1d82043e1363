import numpy as np
import pytest

from polymnia.data.modalities.video import Video
from polymnia.errors import DataError

UPRIGHT = bytes.fromhex("00010000 00000000 00000000 00000000 00010000 00000000 00000000 00000000 40000000")
CLOCKWISE = bytes.fromhex("00000000 00010000 00000000 ffff0000 00000000 00000000 00000000 00000000 40000000")
"""The matrix in an MP4 track's header, as it is, and as a telephone held upright writes it."""


def read(value):
    frames = Video().read(value)
    assert frames.dtype == np.uint8
    assert frames.ndim == 4
    return frames


@pytest.mark.parametrize(
    ("kind", "codec"), [("mp4", "mpeg4"), ("matroska", "mpeg4"), ("avi", "mpeg4"), ("webm", "libvpx")]
)
def test_the_middles_of_equal_parts_are_taken(film, kind, codec):
    frames = read(film(kind, codec, frames=40))
    assert frames.shape == (16, 16, 32, 3)
    wanted = 6 * np.floor((np.arange(16) + 0.5) * 40 / 16)
    assert np.abs(frames.mean((1, 2, 3)) - wanted).max() < 5


def test_a_short_film_is_taken_whole(film):
    assert read(film(frames=3)).shape == (3, 16, 32, 3)


def test_an_animated_gif_is_a_video(picture):
    from PIL import Image as Pillow

    frames = [Pillow.new("L", (8, 6), 80 * i) for i in range(3)]
    assert read(picture("GIF", frames[0], save_all=True, append_images=frames[1:], duration=100)).shape == (3, 6, 8, 3)


def test_stated_rotation_is_applied(film):
    data = film(frames=4)
    at = data.rfind(UPRIGHT)
    turned = read(data[:at] + CLOCKWISE + data[at + len(CLOCKWISE) :])
    np.testing.assert_array_equal(turned, np.rot90(read(data), -1, axes=(1, 2)))


@pytest.mark.parametrize(("kind", "codec"), [("mp4", "mpeg4"), ("matroska", "mpeg4"), ("webm", "libvpx")])
def test_a_film_that_is_cut_short_is_refused(film, kind, codec):
    data = film(kind, codec)
    for share in (0.05, 0.3, 0.55):
        with pytest.raises(DataError):
            read(data[: int(len(data) * share)])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "empty"),
        (b"no film" * 50, "not a readable video"),
        (b"#EXTM3U\n#EXTINF:5,\n/etc/hostname\n#EXT-X-ENDLIST\n", "not a readable video"),
        ("a.mp4", "got the text"),
        (np.zeros((4, 4, 3), np.uint8), "shape"),
        (np.zeros((4, 4, 4, 3), np.int32), "dtype int32"),
        (np.full((2, 4, 4, 3), np.inf), "NaN"),
        (np.broadcast_to(np.uint8(0), (1, 4000, 4000, 3)), "limit is 9,500,000"),
    ],
)
def test_what_is_no_video_has_a_reason(value, reason):
    with pytest.raises(DataError, match=reason):
        read(value)


def test_sound_alone_is_no_video(sound_in_container):
    with pytest.raises(DataError, match="no pictures"):
        read(sound_in_container())


def test_limits_are_checked_before_decoding(film):
    class Small(Video):
        max_pixels = 100

    class Brief(Video):
        max_seconds = 2

    class Few(Video):
        max_frames = 10

    for kind, reason in [(Small, "32 × 16 pixels"), (Brief, "4 seconds; the limit is 2"), (Few, "more than 10 frames")]:
        with pytest.raises(DataError, match=reason):
            kind().read(film())


def test_films_of_different_size_stand_side_by_side():
    films = [np.full((2, 4, 4, 3), 5, np.uint8), np.full((3, 2, 6, 3), 6, np.uint8)]
    padded, valid = Video().collate(films)
    assert padded.shape == (2, 3, 4, 6, 3)
    assert valid.sum((1, 2, 3)).tolist() == [32, 36]
