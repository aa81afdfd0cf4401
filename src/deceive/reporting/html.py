"""Self-contained HTML pages from templates."""

import base64
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from deceive.auditing.advising import limit_in_words
from deceive.auditing.verdict import sure
from deceive.common.files import write_text

Picture = tuple[str, str]
"""An image's source and its caption."""


def write_page(path: Path, template: str, **values: Any) -> Path:
    """Render a template of `templates/` into a file, and return the file's path.

    A template can use the filters `share` (0.5 → 50.0%), `count` (1000 → 1,000), `plain` (0.50 →
    0.5), `sure` (a confidence, rounded down) and `limit` (when to answer). The first three show a
    dash for None.
    """
    environment = Environment(
        loader=FunctionLoader(_source),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["share"] = lambda value, digits=1: _number(value, f".{digits}%")
    environment.filters["count"] = lambda value: _number(value, ",")
    environment.filters["plain"] = lambda value: _number(value, "g")
    environment.filters["sure"] = sure
    environment.filters["limit"] = limit_in_words
    write_text(path, environment.get_template(template).render(values))
    return path


def embedded(png: bytes) -> str:
    """The content of a PNG as a data URL.

    >>> from deceive.reporting.html import embedded
    >>> embedded(b"PNG")
    'data:image/png;base64,UE5H'
    """
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def _source(name: str) -> str:
    templates = resources.files("deceive.reporting").joinpath("templates")
    return templates.joinpath(name).read_text(encoding="utf-8")


def _number(value: Any, form: str) -> str:
    """A formatted number, or a dash for anything else."""
    return format(value, form) if isinstance(value, int | float) else "–"
