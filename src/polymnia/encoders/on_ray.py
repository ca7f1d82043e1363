"""Encode on a Ray cluster: blocks of values go to its workers, their tokens come back in the order of the values.

A block is a whole number of the encoder's batches, so that each value is encoded beside the same others as in one
process, and the tokens are the same to the last bit. Workers only compute; the process that asked writes the cache.
"""

import socket
from collections.abc import Callable, Hashable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from pickle import PicklingError
from typing import Any, TypeVar

from torch import Tensor

from polymnia.cluster import RETRIES, in_order, lost, ray
from polymnia.data.modality import Modality, Raw
from polymnia.encoders.base import Encoder
from polymnia.encoders.values import Advance, encode_values
from polymnia.errors import PolymniaError, StateError

K = TypeVar("K", bound=Hashable)
BATCHES = 4
"""Of the encoder, in a block: what is lost with a worker is computed again."""


class OnRay:
    """Encodes values as `encode_values` does, on the cluster that this process is part of.

    Files are read where they are encoded: every machine of the cluster must see them under the same path.

    Parameters
    ----------
    at_once : int
        How many blocks are encoded at once.
    batches : int
        How many of the encoder's batches make a block.
    """

    def __init__(self, at_once: int, *, batches: int = BATCHES) -> None:
        self.at_once, self.batches = at_once, batches

    def __call__(
        self,
        values: Mapping[K, Raw],
        encoder: Encoder,
        reader: Modality,
        *,
        progress: Advance = lambda done, total: None,
        count: Callable[[int], None] = lambda computed: None,
    ) -> Iterator[tuple[K, Tensor | str]]:
        """Yield for each value its tokens (T, d), or the reason why it has to be set aside; see `encode_values`.

        Raises
        ------
        StateError
            A block's worker was lost again and again, a machine does not see a file, or the encoder cannot be sent.
        SettingsError
            The encoder cannot be sent to a worker.
        """
        names, size = list(values), encoder.batch_size * self.batches
        blocks = [names[first : first + size] for first in range(0, len(names), size)]
        encode = _task()
        packed, read_by, done = ray().put(_packed(encoder)), type(reader).__name__, 0
        key = f"{encoder.name}-{encoder.fingerprint}"

        def begin(block: list[K]) -> Any:
            absolute = [value.absolute() if isinstance(value := values[name], Path) else value for name in block]
            return encode.remote(key, [packed], reader, absolute)

        try:
            for block, (results, computed) in in_order(begin, blocks, at_once=self.at_once):
                count(computed)
                yield from zip(block, results, strict=True)
                done += len(block)
                progress(done, len(names))
        except ray().exceptions.RayError as error:
            raise _told(error, f"encoding with {encoder.name!r} ({read_by})") from None


def _packed(encoder: Encoder) -> bytes:
    try:
        return ray().cloudpickle.dumps(encoder)
    except (PicklingError, TypeError, AttributeError) as error:
        raise StateError(
            f"encoder {encoder.name!r} cannot be sent to another process: {error}. Encode with --engine local"
        ) from None


def _told(error: Any, what: str) -> PolymniaError | BaseException:
    """Return the error that a user is to see."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, PolymniaError):
        return cause
    if lost(error):
        return StateError(
            f"{what}: a worker was lost {RETRIES + 1} times over the same values ({type(error).__name__}), for lack of "
            "memory as a rule; fewer --workers need less. What was encoded is kept, and the same command goes on"
        )
    return cause if isinstance(cause, BaseException) else error


@lru_cache(maxsize=1)
def _task() -> Any:
    return ray().remote(num_cpus=1, max_retries=RETRIES)(_encode)


def _encode(key: str, packed: list[Any], reader: Modality, values: list[Raw]) -> tuple[list[Tensor | str], int]:
    """Encode one block, in a worker; return its results and how many values the encoder was given."""
    for value in values:
        if isinstance(value, Path) and not value.exists():
            raise StateError(
                f"{value} is not on {socket.gethostname()}: every machine of the cluster must see the data under the "
                "same path"
            )
    computed: list[int] = []
    results = dict(encode_values(dict(enumerate(values)), _unpacked(key, packed[0]), reader, count=computed.append))
    return [results[at] for at in range(len(values))], sum(computed)


@lru_cache(maxsize=4)
def _unpacked(key: str, packed: Any) -> Encoder:
    """Return the encoder, which a worker keeps from block to block with the weights that it has loaded."""
    encoder: Encoder = ray().cloudpickle.loads(ray().get(packed))
    return encoder
