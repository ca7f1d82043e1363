"""Templates to one HTML file: every value is escaped, nothing is loaded from anywhere."""

from pathlib import Path
from typing import Any

from polymnia.errors import MissingExtra
from polymnia.report import theme, units
from polymnia.training.checkpoint import write_atomic

_HERE = Path(__file__).parent / "templates"


def render(template: str, content: dict[str, Any]) -> str:
    """Return the page that a template makes of its content.

    Raises
    ------
    MissingExtra
        jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError:
        raise MissingExtra("jinja2", "report") from None
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for name in ("share", "points", "plain", "amount", "size", "seconds", "probability"):
        environment.filters[name] = getattr(units, name)
    environment.filters["trusted"] = Markup  # for figures and captions that this package wrote itself
    style = theme.style() + (_HERE / "style.css").read_text(encoding="utf-8")
    return environment.get_template(template).render(style=Markup(style), **content)


def write(page: str, path: Path) -> Path:
    """Write a page whole or not at all, and return where it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, page.encode())
    return path


def heat_level(score: float, low: float, high: float) -> int:
    """Return which step of the heat map a score gets.

    Examples
    --------
    >>> heat_level(0.5, 0.0, 1.0), heat_level(0.0, 0.0, 1.0)
    (10, 0)
    """
    share = (score - low) / (high - low) if high > low else 1.0
    return round(min(max(share, 0.0), 1.0) * theme.STEPS)


def flat(settings: dict[str, Any], where: str = "") -> dict[str, Any]:
    """Return nested settings as dotted names, the way `key=value` on the command line writes them.

    Examples
    --------
    >>> flat({"method": {"name": "ewc"}, "seed": 0})
    {'method.name': 'ewc', 'seed': 0}
    """
    found: dict[str, Any] = {}
    for name, value in settings.items():
        dotted = f"{where}.{name}" if where else str(name)
        found |= flat(value, dotted) if isinstance(value, dict) and value else {dotted: value}
    return found


def written(value: Any) -> str:
    """Return a setting's value as YAML would take it.

    Examples
    --------
    >>> written(None), written(True), written(["image", "text"]), written(0.003)
    ('null', 'true', '[image, text]', '0.003')
    """
    if isinstance(value, list | tuple):
        return f"[{', '.join(written(item) for item in value)}]"
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
