"""What a service accepts, from whom, and how much of it."""

import ipaddress
from dataclasses import dataclass

from polymnia.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """Where it listens, who may ask, and its limits."""

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    """What every request must bring as ``Authorization: Bearer …``; none: only on a loopback address."""
    max_bytes: int = 64 * 2**20
    """Of a request's body."""
    max_headers: int = 16 * 2**10
    """Bytes of a request's headers."""
    max_content: int = 64 * 2**20
    """Bytes of a file of the index that is shown."""
    max_files: int = 8
    """In a request."""
    max_text: int = 20_000
    """Characters of a text."""
    header_seconds: float = 10.0
    """Within which a request's headers must be there."""
    body_seconds: float = 30.0
    """Within which a request's body must be there."""
    decode_seconds: float = 20.0
    """Within which a file must be decoded."""
    decoders: int = 2
    """Processes that decode files."""
    decoder_bytes: int = 4 * 2**30
    """Memory that each may use."""
    rate: float = 50.0
    """Requests a second from one address, in the long run."""
    burst: int = 100
    """Requests at once from one address."""
    batch: int = 32
    """Requests that go through the model together at most."""
    wait: float = 0.003
    """Seconds that a request waits for others to come along."""
    waiting: int = 512
    """Requests that may wait; beyond that, the answer is to come again later."""
    refresh: float = 1.0
    """Seconds between looks at whether another version is in use."""

    def __post_init__(self) -> None:
        for name in (
            "max_bytes",
            "max_headers",
            "max_content",
            "max_files",
            "max_text",
            "decoders",
            "burst",
            "batch",
            "waiting",
        ):
            if getattr(self, name) < 1:
                raise SettingsError(f"service.{name}: {getattr(self, name)} is given; at least 1 is needed")
        for name in ("header_seconds", "body_seconds", "decode_seconds", "rate", "refresh"):
            if getattr(self, name) <= 0:
                raise SettingsError(f"service.{name}: {getattr(self, name)} is given; a number above 0 is needed")
        if not self.token and not loopback(self.host):
            raise SettingsError(
                f"service.host: {self.host} can be reached from elsewhere, so that a token is needed: --token, or "
                "POLYMNIA_TOKEN in the environment. Without one it listens on 127.0.0.1 only"
            )


def loopback(host: str) -> bool:
    """Return whether an address is reached from this machine alone.

    Examples
    --------
    >>> loopback("127.0.0.1"), loopback("::1"), loopback("localhost"), loopback("0.0.0.0"), loopback("example.org")
    (True, True, True, False, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
