"""`checkpoint`: any causal language model of transformers, by a folder or by its name on the hub."""

from dataclasses import dataclass
from pathlib import Path

from polymnia.data.stage import Card
from polymnia.encoders.checkpoint import Checkpoint
from polymnia.errors import SettingsError
from polymnia.hosts.base import Host, register


@register("checkpoint")
class CheckpointHost(Host):
    """A causal language model that was saved with `save_pretrained`; code in its folder is never run."""

    card = Card(
        title="A causal language model of transformers",
        licence="the checkpoint's",
        citation="the checkpoint's",
        get="name it: host: {name: checkpoint, path: HuggingFaceTB/SmolLM2-135M-Instruct}",
    )

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """Which one."""

        path: str = ""
        """A folder, or a name on the hub, looked up on this machine first."""
        revision: str | None = None
        """Branch, tag or commit of a name."""

        def __post_init__(self) -> None:
            if not self.path:
                raise SettingsError(f"model.host.path is missing; {CheckpointHost.card.get}")

    settings: Settings

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)

    @classmethod
    def available(cls) -> bool:
        """Return False: without a path there is nothing."""
        return False

    def folder(self) -> Path:
        """Return the checkpoint's folder."""
        return Checkpoint(self.settings.path, self.settings.revision).folder
