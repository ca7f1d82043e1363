"""Damage to files: bytes flipped, cut off, spliced, repeated, left out, and header fields set to extremes."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

HEADER = 256
"""Bytes that decoders trust most; half of the damage goes there."""
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
WORDS = (
    b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"\xe2\x80\xae", b"\\ud800", b"\n\n", b"\r", b",,,,", b'"', b"'", b"%s%n",
    b"nan", b"inf", b"1e999", b"-1", b"9" * 5000, b"true", b"null", b"{}", b"x" * 200_000,
    b"[" * 20_000, b"{" * 20_000, b'{"a":' * 20_000, b"(" * 5000,
    b"../../../../etc/passwd", b"/etc/passwd", b"/dev/zero", b"file:///etc/passwd", b"http://127.0.0.1:9/",
    b"&a [*a, *a]", b"<<: *a", b"${oc.env:HOME}", b"${path}", b"${", b"!!python/object/apply:os.system ['true']",
)  # fmt: skip
"""What upsets readers of text."""

Way = Callable[[bytes, bytes, np.random.Generator], bytes]


def _place(data: bytes, random: np.random.Generator) -> int:
    return int(random.integers(0, max(1, min(len(data), HEADER) if random.random() < 0.5 else len(data))))


def flipped(data: bytes, other: bytes, random: np.random.Generator) -> bytes:
    """Other bytes in one to eight places, or other bits."""
    out = bytearray(data)
    for _ in range(int(random.integers(1, 9))):
        at = _place(data, random)
        out[at : at + 1] = bytes(
            [int(random.integers(256)) if random.random() < 0.5 else out[at] ^ (1 << int(random.integers(8)))]
        )
    return bytes(out)


def cut(data: bytes, other: bytes, random: np.random.Generator) -> bytes:
    """The beginning alone."""
    return data[: _place(data, random)]


def spliced(data: bytes, other: bytes, random: np.random.Generator) -> bytes:
    """The beginning of one, and the end of another, which may be of another kind."""
    return data[: _place(data, random)] + other[_place(other, random) :]


def _piece(data: bytes, random: np.random.Generator) -> tuple[int, int]:
    begin = _place(data, random)
    return begin, min(len(data), begin + int(random.integers(1, max(2, len(data) // 4))))


def repeated(data: bytes, other: bytes, random: np.random.Generator) -> bytes:
    """A piece many times over."""
    begin, end = _piece(data, random)
    return data[:end] + data[begin:end] * int(random.integers(1, 40)) + data[end:]


def left_out(data: bytes, other: bytes, random: np.random.Generator) -> bytes:
    """All but a piece."""
    begin, end = _piece(data, random)
    return data[:begin] + data[end:]


def extremes(data: bytes, other: bytes, random: np.random.Generator) -> bytes:
    """Fields of 1, 2, 4 or 8 bytes, of either byte order, that hold the least, the most, or a sign's change."""
    out = bytearray(data)
    for _ in range(int(random.integers(1, 4))):
        size = (1, 2, 4, 8)[int(random.integers(4))]
        value = EXTREMES[int(random.integers(len(EXTREMES)))] % 256**size
        at = int(random.integers(0, max(1, min(len(out), HEADER) - size)))
        out[at : at + size] = value.to_bytes(size, ("little", "big")[int(random.integers(2))])
    return bytes(out)


def padded(data: bytes, other: bytes, random: np.random.Generator) -> bytes:
    """Noise before it, or after it."""
    noise = random.bytes(int(random.integers(1, 300)))
    return noise + data if random.random() < 0.3 else data + noise


def worded(data: bytes, other: bytes, random: np.random.Generator) -> bytes:
    """Something that upsets readers of text, in place of a word or between two."""
    at = int(random.integers(0, len(data) + 1))
    end = at + (int(random.integers(1, 12)) if random.random() < 0.5 else 0)
    return data[:at] + WORDS[int(random.integers(len(WORDS)))] + data[end:]


WAYS: Mapping[str, Way] = {
    "flipped": flipped, "cut": cut, "spliced": spliced, "repeated": repeated, "left out": left_out,
    "extremes": extremes, "padded": padded, "worded": worded,
}  # fmt: skip


def damaged(data: bytes, others: Sequence[bytes], random: np.random.Generator, *, words: bool) -> tuple[str, bytes]:
    """Return what was done to a file, and what is left of it; one in eight is damaged three times."""
    accepted = [way for way in WAYS if words or way != "worded"]
    weights = np.array([3.0 if way in ("flipped", "extremes", "worded") else 1.0 for way in accepted])
    times = 3 if random.random() < 0.125 else 1
    ways = [str(way) for way in random.choice(accepted, size=times, p=weights / weights.sum())]
    for way in ways:
        data = WAYS[way](data, others[int(random.integers(len(others)))], random)
    return " + ".join(ways), data
