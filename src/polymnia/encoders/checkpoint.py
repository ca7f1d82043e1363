"""A Hugging Face checkpoint on this machine: its folder, what it is, and which kinds of signal it reads."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polymnia.errors import SettingsError

TEXT_FILES = (
    "config.json", "preprocessor_config.json", "processor_config.json", "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "vocab.txt", "vocab.json", "merges.txt", "*.model",
)  # fmt: skip
"""What decides, beside the weights, which tokens a value gets."""

TOWERS = {"image": "vision", "text": "text", "audio": "audio"}
"""Kind of signal → what a checkpoint of several towers calls the one for it."""

KINDS: dict[str, tuple[str, ...]] = {
    "image": (
        "vit", "deit", "beit", "dinov2", "dinov3_vit", "swin", "convnext", "clip_vision_model", "siglip_vision_model"
    ),
    "audio": ("audio-spectrogram-transformer", "wav2vec2", "hubert", "wavlm", "whisper", "clap_audio_model"),
    "text": (
        "bert", "distilbert", "roberta", "xlm-roberta", "mpnet", "electra", "clip_text_model", "siglip_text_model"
    ),
    "video": ("videomae", "vivit", "timesformer"),
}  # fmt: skip
"""Model types that are known without asking transformers, which takes seconds to import."""

_TASKS = {
    "video": ("VIDEO_CLASSIFICATION",),
    "audio": ("AUDIO_CLASSIFICATION", "CTC", "AUDIO_XVECTOR"),
    "image": ("IMAGE_CLASSIFICATION", "MASKED_IMAGE_MODELING", "BACKBONE"),
    "text": ("MASKED_LM", "TEXT_ENCODING", "SEQUENCE_CLASSIFICATION", "CAUSAL_LM"),
}


class Checkpoint:
    """A folder with configuration, weights and what prepares the input.

    Parameters
    ----------
    path : str
        A folder, or a name such as "google/vit-base-patch16-224", looked up in the local Hugging Face cache first and
        fetched only when it is not there.
    revision : str, optional
        Branch, tag or commit of a name.

    Raises
    ------
    SettingsError
        There is no such folder or name, no network, no weights, or it asks to run code of its own.
    """

    def __init__(self, path: str, revision: str | None = None) -> None:
        self.path = path
        self.folder = _folder(path, revision)
        try:
            self.config: Mapping[str, Any] = json.loads((self.folder / "config.json").read_bytes())
            self.type = str(self.config["model_type"])
        except (OSError, ValueError, KeyError, TypeError):
            raise SettingsError(
                f"{path}: {self.folder} has no config.json that names a model_type; a checkpoint that was saved with "
                f"`save_pretrained` has one"
            ) from None

    @property
    def weights(self) -> list[Path]:
        """The files with weights."""
        return _weights(self.folder)

    @property
    def files(self) -> list[Path]:
        """Everything that decides which tokens a value gets."""
        return self.weights + [path for pattern in TEXT_FILES for path in sorted(self.folder.glob(pattern))]

    @property
    def towers(self) -> list[str]:
        """The kinds of signal it has a tower for, when it has several."""
        return [kind for kind, tower in TOWERS.items() if f"{tower}_config" in self.config]

    def kind(self, given: str | None) -> str:
        """Return the kind of signal it reads, or check the one that is given."""
        accepted = self.towers if len(self.towers) > 1 else [self._known() or self._asked()]
        if given is None and len(accepted) > 1:
            raise SettingsError(f"{self.path} has several towers; set kind to one of: {', '.join(accepted)}")
        if given is not None and given not in accepted:
            raise SettingsError(f"kind: {given!r} is given, and {self.path} ({self.type}) reads {', '.join(accepted)}")
        return accepted[0] if given is None else given

    def _known(self) -> str | None:
        return next((kind for kind, types in KINDS.items() if self.type in types), None)

    def _asked(self) -> str:
        """Find the kind in transformers' own lists, or say that the type cannot be used."""
        from transformers.models.auto import modeling_auto
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

        if self.type not in CONFIG_MAPPING_NAMES:
            wish = self.config.get("auto_map")
            reason = (
                "it asks to run code from its folder, which Polymnia never does"
                if wish
                else "the installed transformers has no such type; a newer one may"
            )
            raise SettingsError(f"{self.path}: model type {self.type!r} cannot be used: {reason}")
        for kind, tasks in _TASKS.items():
            for task in tasks:
                if self.type in getattr(modeling_auto, f"MODEL_FOR_{task}_MAPPING_NAMES", {}):
                    return kind
        raise SettingsError(f"{self.path}: model type {self.type!r} reads none of {', '.join(KINDS)}")


def _folder(path: str, revision: str | None) -> Path:
    local = Path(path).expanduser()
    if local.is_dir():
        if not _weights(local):
            raise SettingsError(f"{path} has no weights: no *.safetensors and no pytorch_model*.bin")
        return local
    if path.startswith((".", "/", "~")) or path.count("/") > 1 or "\\" in path:
        raise SettingsError(f"path: {path!r} is not a folder; give a folder, or a name such as 'openai/whisper-base'")
    return _from_hub(path, revision)


def _from_hub(name: str, revision: str | None) -> Path:
    """Return the folder of a named checkpoint: from this machine if it is there, else from the network."""
    from huggingface_hub import snapshot_download

    reason: Exception | None = None
    for here in (True, False):
        for weights in ("*.safetensors", "pytorch_model*.bin"):
            try:
                folder = snapshot_download(
                    name, revision=revision, local_files_only=here,
                    allow_patterns=[*TEXT_FILES, weights, f"{weights}.index.json"], ignore_patterns=["*/*"],
                )  # fmt: skip
            except Exception as error:  # the hub's client raises its own, the transport's and the system's errors
                reason = error
                break
            if _weights(Path(folder)):
                return Path(folder)
    why = f"{type(reason).__name__}: {str(reason).splitlines()[0][:200]}" if reason else "it has no weights"
    raise SettingsError(
        f"path: {name!r} is neither a folder nor a checkpoint on this machine, and could not be fetched ({why}). "
        f"Check the name; without a network, run `hf download {name}` where there is one, and copy the folder here "
        f"(or point HF_HOME at the copied cache)"
    ) from None


def _weights(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
