"""What only a real connection can do: send slowly, send huge headers, go away."""

import socket
import threading
import time

import pytest
import uvicorn
from tests.service.conftest import npy

from polymnia.service.app import create_app
from polymnia.service.server import options
from polymnia.service.settings import ServiceSettings


@pytest.fixture(scope="module")
def port(grown):
    """Serve a model on a free port as the command does, and return the port."""
    settings = ServiceSettings(decoders=1, header_seconds=0.5, body_seconds=0.5, max_bytes=1 << 20, port=0, burst=1000)
    server = uvicorn.Server(uvicorn.Config(create_app(grown.folder.path, settings), **options(settings)))
    running = threading.Thread(target=server.run, daemon=True)
    running.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    running.join()


def said(port, *parts, wait=0.0) -> bytes:
    """Send parts over a connection, with a pause before each, and return what comes back."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
        for part in parts:
            line.sendall(part)
            time.sleep(wait)
        line.settimeout(20)
        found = b""
        while block := line.recv(65536):
            found += block
        return found


def test_a_slow_sender_is_not_waited_for(port):
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n"
    began = time.monotonic()
    answer = said(port, head, b"{")
    assert answer.startswith(b"HTTP/1.1 408") and b"within 0.5 seconds" in answer and time.monotonic() - began < 5


@pytest.mark.parametrize("sent", [b"", b"GET /hea", b"GET /health HTTP/1.1\r\nhost: x\r\nx: "])
def test_who_never_ends_the_headers_is_not_waited_for(port, sent):
    began = time.monotonic()
    answer = said(port, *[bytes([byte]) for byte in sent[:4]], sent[4:], wait=0.02)
    assert answer.startswith(b"HTTP/1.1 408") and b"within 0.5 seconds" in answer and time.monotonic() - began < 5


def test_a_later_request_on_a_connection_is_not_waited_for_either(port):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
        for _ in range(2):  # a pause between two requests may be longer than one in the middle of headers
            line.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            found = b""
            while not found.endswith(b"}"):
                found += line.recv(65536)
            assert found.startswith(b"HTTP/1.1 200")
            time.sleep(0.7)
        line.sendall(b"GET /health HTTP/1.1\r\nhost")
        assert line.recv(65536).startswith(b"HTTP/1.1 408")


def test_many_headers_are_refused_as_one_large_one_is(port):
    many = b"".join(b"x-%d: %s\r\n" % (number, b"a" * 100) for number in range(400))
    assert said(port, b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n" + many + b"\r\n").startswith(
        (b"HTTP/1.1 431", b"HTTP/1.1 400")
    )


def test_huge_headers_and_what_is_no_http_are_refused(port):
    huge = b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx: " + b"a" * 20_000 + b"\r\n\r\n"
    assert said(port, huge).startswith((b"HTTP/1.1 431", b"HTTP/1.1 400"))
    assert said(port, b"\x16\x03\x01 nothing like it\r\n\r\n").startswith(b"HTTP/1.1 400")


def test_who_goes_away_leaves_the_service_as_it_was(port):
    body = b"--x\r\ncontent-disposition: form-data; name=features; filename=f\r\n\r\n" + npy("ash") + b"\r\n--x--\r\n"
    head = (
        b"POST /predict HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: multipart/form-data; boundary=x\r\n"
    )
    head += f"content-length: {len(body)}\r\n\r\n".encode()
    for cut in (20, len(head), len(head) + 40, len(head) + len(body)):
        with socket.create_connection(("127.0.0.1", port)) as line:
            line.sendall((head + body)[:cut])
    answer = said(port, head + body)
    assert answer.startswith(b"HTTP/1.1 200") and b'"name":"ash"' in answer
