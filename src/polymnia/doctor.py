"""What is right and wrong with this machine for running Polymnia."""

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

EXTRAS = {
    "bundled": ("sklearn", "mlxtend", "onnxruntime", "resvg_py", "gguf"),
    "report": ("matplotlib", "jinja2"),
    "track": ("tensorboard",),
    "serve": ("fastapi", "uvicorn"),
    "search": ("lancedb",),
    "ray": ("ray",),
}


def check() -> list[dict[str, Any]]:
    """Return one row for each thing looked at: what, state ("ok", "missing"), detail."""
    import torch

    from polymnia.data.listing import listing as sources
    from polymnia.encoders.cache import cache_root
    from polymnia.encoders.listing import listing as encoders
    from polymnia.hosts.listing import listing as hosts

    rows = [
        _row("python", sys.version_info >= (3, 11), sys.version.split()[0]),
        _row("torch", True, f"{torch.__version__}, {torch.get_num_threads()} threads, {_devices(torch)}"),
        _row("torchrun / gloo", torch.distributed.is_available(), "several processes"),
    ]
    for extra, modules in EXTRAS.items():
        lacking = [module for module in modules if find_spec(module) is None]
        detail = f"lacks {', '.join(lacking)}: pip install 'polymnia[{extra}]'" if lacking else ", ".join(modules)
        rows.append(_row(f"extra {extra}", not lacking, detail))
    rows += [_row(f"encoder {e['name']}", bool(e["available"]), str(e["licence"])) for e in encoders()]
    rows += [_row(f"host {h['name']}", bool(h["available"]), str(h["licence"])) for h in hosts()]
    rows += [_row(f"data {s['name']}", bool(s["available"]), str(s["state"])) for s in sources()]
    root = cache_root()
    free = shutil.disk_usage(_existing(root)).free
    rows.append(_row("cache", True, f"{root}, {free / 1e9:.1f} GB free"))
    rows.append(
        _row("apt-get", shutil.which("apt-get") is not None, "fetches stamps; elsewhere give an unpacked folder")
    )
    return rows


def _row(what: str, right: bool, detail: str) -> dict[str, Any]:
    return {"what": what, "state": "ok" if right else "missing", "detail": detail}


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


def _devices(torch: Any) -> str:
    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} CUDA devices"
    return "MPS" if torch.backends.mps.is_available() else "no accelerator"
