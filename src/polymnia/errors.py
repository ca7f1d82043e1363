"""The errors Polymnia raises on purpose: each names what was given, what is accepted and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches


class PolymniaError(Exception):
    """Base of every error Polymnia raises on purpose; the command prints it without a traceback."""


class SettingsError(PolymniaError):
    """A setting has a wrong name or value, or two settings do not fit together."""


class DataError(PolymniaError):
    """A value, file or data set cannot be used, and why."""


class StateError(PolymniaError):
    """A run folder is missing, incomplete or damaged."""


class DiskFull(StateError):
    """The state of a run could not be written; the last good one is intact."""


class Interrupted(PolymniaError):
    """A run was asked to stop; its state is saved."""


class MissingExtra(PolymniaError):
    """An optional dependency is not installed.

    Parameters
    ----------
    package : str
        What could not be imported.
    extra : str
        The extra of Polymnia that brings it.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed. It comes with: pip install 'polymnia[{extra}]'")


def nearest(given: str, accepted: Iterable[str]) -> str | None:
    """Return the accepted name closest to the given one, or None when none is close.

    Examples
    --------
    >>> nearest("strenght", ["strength", "decay"])
    'strength'
    """
    names = list(accepted)
    lowered = {name.lower(): name for name in names}
    found = get_close_matches(given.lower(), lowered, n=1, cutoff=0.55)
    return lowered[found[0]] if found else None


def unknown(kind: str, given: str, accepted: Iterable[str]) -> str:
    """Say that a name is unknown, the nearest right one, and all that are accepted.

    Examples
    --------
    >>> print(unknown("method", "ewk", ["ewc", "lwf"]))
    no such method: 'ewk'. Did you mean 'ewc'?
    Accepted: ewc, lwf.
    """
    names = sorted(accepted)
    guess = nearest(given, names)
    hint = f" Did you mean {guess!r}?" if guess else ""
    return f"no such {kind}: {given!r}.{hint}\nAccepted: {', '.join(names) or '(none)'}."
