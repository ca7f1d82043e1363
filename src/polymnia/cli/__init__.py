"""The command `polymnia`: every verb of the library, and nothing that the library cannot do."""

import sys

from polymnia.errors import PolymniaError


def main() -> None:
    """Run the command; errors made on purpose are printed without a traceback.

    Exit codes: 2 for wrong settings or unusable data, 1 for a damaged or unwritable run, 130 when stopped.
    """
    from polymnia.cli.app import app
    from polymnia.errors import Interrupted, StateError

    try:
        app()
    except PolymniaError as error:
        _complain(f"{'' if isinstance(error, Interrupted) else 'error: '}{error}")
        sys.exit(130 if isinstance(error, Interrupted) else 1 if isinstance(error, StateError) else 2)
    except SystemExit as left:
        if left.code == 130:  # Ctrl-C where no run was under way
            _complain("stopped before there was a state to save; run the same command again")
        raise


def _complain(line: str) -> None:
    from polymnia.cli.console import first

    if first():
        print(line, file=sys.stderr)  # noqa: T201
