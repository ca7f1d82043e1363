"""Files of requests are decoded in processes of their own, within a time and a memory limit."""

import asyncio
from typing import Any

from polymnia.data.modality import MODALITIES
from polymnia.errors import DataError, MissingExtra, PolymniaError
from polymnia.service.settings import ServiceSettings


class Decoder:
    """Recognises and reads files' contents; one that takes too long, or too much, costs its process and no more.

    Parameters
    ----------
    settings : ServiceSettings
        How many processes, and their limits.

    Raises
    ------
    MissingExtra
        pebble is not installed.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        try:
            from pebble import ProcessPool
        except ImportError:
            raise MissingExtra("pebble", "serve") from None
        from multiprocessing import get_context

        self.seconds = settings.decode_seconds
        self.pool = ProcessPool(
            max_workers=settings.decoders, context=get_context("spawn"), initializer=_limited,
            initargs=[settings.decoder_bytes],
        )  # fmt: skip

    async def kinds(self, data: bytes) -> tuple[str, ...]:
        """Return the kinds of signal that a file's content can be read as, the likeliest first."""
        found: tuple[str, ...] = await self._in_process(_kinds, data)
        return found

    async def read(self, kind: str, data: bytes) -> Any:
        """Return the checked array, or text, of a file's content.

        Raises
        ------
        DataError
            It cannot be read, or takes more time or memory than is allowed.
        """
        return await self._in_process(_read, kind, data)

    async def thumbnail(self, kind: str, data: bytes, *, side: int) -> bytes:
        """Return a small JPEG of a picture, or of the middle of a film; errors as those of `read`."""
        found: bytes = await self._in_process(_thumbnail, kind, data, side)
        return found

    async def wav(self, data: bytes) -> bytes:
        """Return a sound as WAV, which every browser plays; errors as those of `read`."""
        found: bytes = await self._in_process(_wav, data)
        return found

    async def _in_process(self, work: Any, *given: Any) -> Any:
        from concurrent.futures import CancelledError, TimeoutError

        from pebble import ProcessExpired

        try:
            return await asyncio.wrap_future(self.pool.schedule(work, args=given, timeout=self.seconds))
        except TimeoutError:
            raise DataError(f"takes longer than {self.seconds:g} seconds to decode") from None
        except (ProcessExpired, CancelledError, MemoryError):
            raise DataError("takes more memory to decode than is allowed, or broke the decoder") from None

    def close(self) -> None:
        """End the processes."""
        self.pool.stop()
        self.pool.join()


def _limited(memory: int) -> None:
    """Limit a process's memory, where the system can."""
    try:
        import resource
    except ImportError:  # no such thing on this system
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _kinds(data: bytes) -> tuple[str, ...]:
    from polymnia.data.recognise import recognise

    return _plainly(recognise, data)


def _read(kind: str, data: bytes) -> Any:
    return _plainly(MODALITIES.get(kind)().read, data)


def _thumbnail(kind: str, data: bytes, side: int) -> bytes:
    from polymnia.data.thumbnail import thumbnail

    return thumbnail(_read(kind, data), side=side)


def _wav(data: bytes) -> bytes:
    import io

    import soundfile

    from polymnia.data.sound import RATE

    held = io.BytesIO()
    soundfile.write(held, _read("audio", data), RATE, format="WAV", subtype="PCM_16")
    return held.getvalue()


def _plainly(work: Any, data: bytes) -> Any:
    """Do the work; an error crosses to the other process by its words alone."""
    try:
        return work(data)
    except PolymniaError as error:
        raise DataError(str(error)) from None
