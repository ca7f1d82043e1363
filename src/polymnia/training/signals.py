"""Asked to stop: what Ctrl-C and a polite kill do while there is a state to save."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any


class Catching:
    """Let Ctrl-C and a polite kill set a flag inside the block; elsewhere than in the main thread, do nothing."""

    def __init__(self, handler: Callable[[int, FrameType | None], None]) -> None:
        self.handler = handler
        self.old: dict[int, Any] = {}

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self.old[number] = signal.signal(number, self.handler)
            except ValueError:  # not the main thread
                return

    def __exit__(self, *error: object) -> None:
        for number, handler in self.old.items():
            signal.signal(number, handler)
