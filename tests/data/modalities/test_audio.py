import numpy as np
import pytest

from polymnia.data.modalities.audio import Audio
from polymnia.errors import DataError


def read(value):
    sound = Audio().read(value)
    assert sound.dtype == np.float32
    assert sound.ndim == 1
    assert np.abs(sound).max() <= 1
    return sound


def loudest(sound) -> float:
    """Return the frequency with most energy, in Hz."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(np.argmax(spectrum) * 16_000 / len(sound))


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "AIFF", "CAF"])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_a_tone_keeps_its_pitch_length_and_level(tone, kind, rate):
    sound = read(tone(kind, rate=rate, seconds=1.0))
    assert len(sound) == pytest.approx(16_000, abs=40)
    assert loudest(sound) == pytest.approx(440, abs=2)
    assert np.abs(sound[1000:-1000]).max() == pytest.approx(0.5, abs=0.02)


def test_resampling_agrees_with_the_wave_itself(tone):
    sound = read(tone("WAV", rate=44_100, seconds=1.0, subtype="FLOAT"))
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert np.abs(sound - wave)[200:-200].max() < 1e-4


def test_resampling_lets_nothing_above_eight_kilohertz_fold_back(tone):
    sound = read(tone("WAV", rate=48_000, seconds=1.0, hertz=7000))
    assert loudest(sound) == pytest.approx(7000, abs=2)
    folded = read(tone("WAV", rate=48_000, seconds=1.0, hertz=12_000))
    assert np.abs(folded[500:-500]).max() < 1e-3


def test_channels_are_averaged(tmp_path):
    import soundfile

    wave = 0.8 * np.sin(np.arange(8000) / 9)
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([wave, 0 * wave], axis=1), 16_000, subtype="FLOAT")
    np.testing.assert_allclose(read(path), wave / 2, atol=1e-6)


@pytest.mark.parametrize(("kind", "codec"), [("mp4", "aac"), ("webm", "libopus"), ("adts", "aac")])
def test_what_soundfile_cannot_read_goes_through_av(sound_in_container, kind, codec):
    sound = read(sound_in_container(kind, codec))
    assert len(sound) == pytest.approx(16_000, abs=500)
    assert loudest(sound) == pytest.approx(440, abs=3)
    assert np.abs(sound[2000:-2000]).max() == pytest.approx(0.5, abs=0.03)  # two equal channels average to themselves


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.8])
def test_a_file_that_is_cut_short_is_refused(tone, kind, share):
    data = tone(kind, seconds=2.0)
    with pytest.raises(DataError, match=r"truncated|not a readable"):
        read(data[: int(len(data) * share)])


@pytest.mark.parametrize(("kind", "codec"), [("mp4", "aac"), ("webm", "libopus")])
def test_a_container_that_is_cut_short_is_refused(sound_in_container, kind, codec):
    data = sound_in_container(kind, codec, seconds=2.0)
    with pytest.raises(DataError, match=r"truncated|not a readable"):
        read(data[: len(data) // 2])


def test_an_unknown_length_in_the_header_is_no_truncation(tone):
    data = bytearray(tone("WAV"))
    at = data.index(b"data") + 4
    data[at : at + 4] = b"\xff\xff\xff\xff"  # what a recorder writes that cannot go back
    assert len(read(bytes(data))) == 8000


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "empty"),
        (b"no sound" * 50, "not a readable audio"),
        (b"#EXTM3U\n#EXTINF:5,\n/etc/hostname\n#EXT-X-ENDLIST\n", "not a readable audio"),
        (b"ffconcat version 1.0\nfile '/etc/hostname'\n", "not a readable audio"),
        ("a.wav", "got the text"),
        (np.zeros(0, np.float32), "length is zero"),
        (np.zeros(1000, np.float32), "silent"),
        (np.full(10, np.nan), "10 of 10 samples that are NaN"),
        (np.full(10, 3000.0), r"values up to 3000"),
        (np.zeros((2, 10)), "shape"),
        (np.zeros(10, np.int64), "dtype int64"),
        (np.full(16_000 * 601, 0.5, np.float32), "longer than 600 seconds"),
    ],
)
def test_what_is_no_sound_has_a_reason(value, reason):
    with pytest.raises(DataError, match=reason):
        read(value)


def test_files_without_sound_have_a_reason(tone, film, tmp_path):
    import soundfile

    for name, samples in [("silent.wav", np.zeros(1000)), ("nothing.wav", np.zeros(0))]:
        soundfile.write(tmp_path / name, samples, 16_000)
    with pytest.raises(DataError, match="silent"):
        read(tmp_path / "silent.wav")
    with pytest.raises(DataError, match="zero"):
        read(tmp_path / "nothing.wav")
    with pytest.raises(DataError, match="no sound track"):
        read(film())


def test_a_file_of_floats_with_nan_is_refused(tmp_path):
    import soundfile

    wave = np.sin(np.arange(1000))
    wave[5] = np.nan
    soundfile.write(tmp_path / "nan.wav", wave, 16_000, subtype="FLOAT")
    with pytest.raises(DataError, match="1 of 1,000 samples"):
        read(tmp_path / "nan.wav")


def test_a_long_file_is_refused_by_its_length(tone):
    class Short(Audio):
        max_seconds = 1

    data = tone("FLAC", seconds=1.5)
    assert len(read(data)) == 24_000
    with pytest.raises(DataError, match="longer than 1 seconds"):
        Short().read(data)
