"""The encoder of pictures that belongs to a unified host: what it draws is what it sees."""

import hashlib
from collections.abc import Sequence

from torch import Tensor

from polymnia.data.modality import Array
from polymnia.encoders.base import Encoder
from polymnia.encoders.weights import digest
from polymnia.errors import SettingsError
from polymnia.hosts.base import Host
from polymnia.hosts.unified import Unified

SEEING = ("*.safetensors", "pytorch_model*.bin", "config.json", "preprocessor_config.json", "processor_config.json")
"""Files of a host's folder that decide which tokens a picture gets."""


class PictureEncoder(Encoder):
    """Pictures as tokens (T, d) of a unified host, codes and what else it reads; a family that draws brings its own.

    Parameters
    ----------
    host : Host
        One that draws.
    loaded : Unified, optional
        The same, loaded.
    """

    name = "pictures of the host"
    kind = "image"

    def __init__(self, host: Host, loaded: Unified | None = None) -> None:
        super().__init__(host.settings)
        self.host = host
        vars(self)["card"] = host.card  # the class has none
        self._loaded = loaded

    @property
    def loaded(self) -> Unified:
        """The host; it is loaded when it is first asked for."""
        if self._loaded is None:
            found = self.host.load()
            if not isinstance(found, Unified):
                raise SettingsError(f"model.host: {self.host.name!r} draws no pictures, and so reads none as tokens")
            self._loaded = found
        return self._loaded

    @property
    def width(self) -> int:
        """The width d of one token."""
        return self.loaded.seen

    @property
    def fingerprint(self) -> str:
        """Of all weights in the host's folder, and of what says how pictures are prepared."""
        found = hashlib.sha256(f"{self.name} {self.host.name}".encode())
        for path in sorted(path for pattern in SEEING for path in self.host.folder().glob(pattern)):
            found.update(f" {path.name} {digest(path)}".encode())
        return found.hexdigest()

    def encode(self, values: Sequence[Array | str]) -> list[Tensor]:
        """Return (T, d) for each picture."""
        return self.loaded.look([value for value in values if not isinstance(value, str)])
