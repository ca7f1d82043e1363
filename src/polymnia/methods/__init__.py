"""What is done about forgetting: one file a method.

``polymnia.methods.DERpp(memory=200)`` returns a method's settings, checked, by the name of its class; the class itself
is in the method's file.
"""

from collections.abc import Callable
from typing import Any


def __getattr__(name: str) -> Callable[..., dict[str, Any]]:
    if name.startswith("_"):
        raise AttributeError(name)
    from dataclasses import asdict

    from polymnia.config import typed
    from polymnia.errors import unknown
    from polymnia.methods.base import METHODS

    kinds = {METHODS.get(registered).__name__: METHODS.get(registered) for registered in METHODS}
    if name not in kinds:
        raise AttributeError(unknown("method", name, kinds))
    kind = kinds[name]

    def settings(**given: Any) -> dict[str, Any]:
        """Return the method's name and settings, as `learn` takes them."""
        return {"name": kind.name, **asdict(typed(kind.Settings, given, where="method", owner=kind.name))}

    return settings
