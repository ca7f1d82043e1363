"""Where the demo's runs go."""

import shutil
from pathlib import Path


def emptied(folder: Path) -> Path:
    """Return a folder for a run; a run that an earlier demo left there is removed."""
    if (folder / "settings.json").exists():
        shutil.rmtree(folder)
    return folder
