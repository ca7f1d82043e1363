"""Connections on which a request does not get to the end of its headers in time are closed; uvicorn waits for ever."""

from asyncio import TimerHandle, Transport

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


def patient(seconds: float) -> type[H11Protocol]:
    """Return uvicorn's protocol of HTTP/1.1 with a limit on how long headers may take.

    Parameters
    ----------
    seconds : float
        From the opening of a connection, or the first byte of a later request, to the end of the headers.
    """

    class Patient(H11Protocol):
        _waiting: TimerHandle | None = None

        def connection_made(self, transport: Transport) -> None:
            super().connection_made(transport)
            self._wait()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state is h11.IDLE:  # something of a request is there, and not all of its headers
                self._wait()
            else:
                self._waited()

        def connection_lost(self, exc: Exception | None) -> None:
            self._waited()
            super().connection_lost(exc)

        def _wait(self) -> None:
            if self._waiting is None:  # more of the headers, byte by byte, gives no more time
                self._waiting = self.loop.call_later(seconds, self._refuse)

        def _waited(self) -> None:
            if self._waiting is not None:
                self._waiting.cancel()
                self._waiting = None

        def _refuse(self) -> None:
            if self.transport.is_closing():
                return
            body = f'{{"error": "the headers were not there within {seconds:g} seconds"}}'.encode()
            headers = {"content-type": "application/json", "content-length": str(len(body)), "connection": "close"}
            sent = [(name.encode(), value.encode()) for name, value in headers.items()]
            for event in (h11.Response(status_code=408, headers=sent), h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
            self.transport.close()

    return Patient
