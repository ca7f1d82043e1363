"""Requests that come at the same time go through the model together."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class Busy(Exception):
    """More wait than may."""


class Batcher(Generic[Asked, Answer]):
    """Collects what is asked for a moment, and answers it at once, in one thread.

    Parameters
    ----------
    answer : callable
        Gets what was asked, and returns as many answers; it runs in a thread, one call at a time.
    most : int
        How many at once.
    wait : float
        Seconds that the first waits for others.
    waiting : int
        How many may wait.
    """

    def __init__(
        self, answer: Callable[[Sequence[Asked]], Sequence[Answer]], *, most: int, wait: float, waiting: int
    ) -> None:
        self.answer, self.most, self.wait = answer, most, wait
        self.queue: asyncio.Queue[tuple[Asked, asyncio.Future[Answer]]] = asyncio.Queue(waiting)
        self.sizes: list[int] = []

    async def ask(self, asked: Asked) -> Answer:
        """Return the answer to one thing.

        Raises
        ------
        Busy
            Too many wait already.
        """
        promised: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        try:
            self.queue.put_nowait((asked, promised))
        except asyncio.QueueFull:
            raise Busy from None
        return await promised

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            held = [await self.queue.get()]
            await self._gather(held)
            asked = [one for one, _ in held]
            try:
                answers = await asyncio.to_thread(self.answer, asked)
            except Exception as error:  # whoever asked is told; the next are answered
                for _, promised in held:
                    if not promised.done():
                        promised.set_exception(error)
                continue
            for (_, promised), answer in zip(held, answers, strict=True):
                if not promised.done():  # who asked may have gone
                    promised.set_result(answer)

    async def _gather(self, held: list[tuple[Asked, "asyncio.Future[Answer]"]]) -> None:
        """Add what comes within the time, up to the most."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self.wait
        while len(held) < self.most:
            left = until - loop.time()
            try:
                held.append(self.queue.get_nowait() if left <= 0 else await asyncio.wait_for(self.queue.get(), left))
            except (asyncio.QueueEmpty, TimeoutError):
                return
