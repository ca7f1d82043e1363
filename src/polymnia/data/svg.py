"""SVG to PNG, in a process of its own: a hostile drawing can exhaust stack or memory, which would end ours."""

import subprocess
import sys
from importlib.util import find_spec

from polymnia.errors import DataError, MissingExtra

SECONDS = 20
"""Longest a drawing may take."""
MEMORY = 2 * 2**30
"""Largest address space of the drawing process, in bytes."""

# No file can be opened once the limits hold, so a drawing cannot pull in another file and equal content stays an equal
# picture. Fonts are left out for the same reason: they differ from machine to machine.
_RENDER = """
import sys
import resvg_py
size, memory, seconds = map(int, sys.argv[1:])
text = sys.stdin.buffer.read().decode("utf-8-sig")
try:
    import resource
except ImportError:
    pass
else:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
try:
    png = resvg_py.svg_to_bytes(svg_string=text, width=size, height=size, dpi=96.0, skip_system_fonts=True)
except Exception as error:
    sys.exit("reason: " + str(error).replace(chr(10), " ")[:200])
sys.stdout.buffer.write(png)
"""


def is_svg(data: bytes) -> bool:
    """Return whether a file's content starts like an SVG drawing.

    Examples
    --------
    >>> is_svg(b'<?xml version="1.0"?><svg width="8" height="8"/>'), is_svg(b"<html>")
    (True, False)
    """
    head = data[:8192].removeprefix(b"\xef\xbb\xbf").lstrip()
    return head.startswith(b"<") and b"<svg" in head


def svg_to_png(data: bytes, *, size: int) -> bytes:
    """Return an SVG drawing as PNG whose longer side has `size` pixels; text that is not outlines is left out.

    Raises
    ------
    DataError
        The drawing is damaged, or needs more than 20 seconds or 2 GiB.
    MissingExtra
        resvg-py is not installed.
    """
    if find_spec("resvg_py") is None:
        raise MissingExtra("resvg-py", "bundled")
    command = [sys.executable, "-P", "-c", _RENDER, str(size), str(MEMORY), str(SECONDS)]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=2 * SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise DataError(f"is an SVG drawing that takes longer than {2 * SECONDS} seconds") from None
    if done.returncode == 0 and done.stdout:
        return done.stdout
    said = done.stderr.decode(errors="replace").strip().splitlines()
    reason = next((line.removeprefix("reason: ") for line in said if line.startswith("reason: ")), None)
    if reason is None and done.returncode >= 0:
        reason = said[-1][:200] if said else "nothing was drawn"
    if reason is None:
        reason = f"it exhausts memory, stack or the {SECONDS} seconds allowed (signal {-done.returncode})"
    raise DataError(f"is not a readable SVG drawing: {reason}")
