"""Self-contained HTML pages from templates."""

import base64
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape
from numpy.typing import NDArray

from deceive.auditing.shares import sure
from deceive.common.files import write_text
from deceive.reporting.figures.files import photograph, png

# The longest side of an image that is shown pixel by pixel.
_PIXELS = 100

# Flags, and lines of Python, in a sentence.
_CODE = re.compile(
    r'(--[a-z][a-z-]+(?: (?:none|train|[\d.]*\d)\b)*|gate = [\w.]+\(".*?"\)|gate\([a-z_, ]+\))'
)

Picture = tuple[str, str]
"""An image's source and its caption."""


def write_page(path: Path, template: str, **values: Any) -> Path:
    """Render a template of `templates/` into a file, and return the file's path.

    A template can use the filters `share` (0.5 → 50.0%), `count` (1000 → 1,000), `plain` (0.50 →
    0.5), `duration` (seconds, in words), `sure` (a confidence, rounded down), `marked` (a sentence
    with code in it) and `setting` (a value of settings, in words). `share`, `count` and `plain`
    show a dash for None.
    """
    environment = Environment(
        loader=FunctionLoader(_source),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["share"] = lambda value, digits=1: number_in_words(value, f".{digits}%")
    environment.filters["count"] = lambda value: number_in_words(value, ",")
    environment.filters["plain"] = lambda value: number_in_words(value, "g")
    environment.filters["duration"] = duration_in_words
    environment.filters["sure"] = sure
    environment.filters["marked"] = marked
    environment.filters["setting"] = setting_in_words
    write_text(path, environment.get_template(template).render(values))
    return path


def setting_in_words(value: Any) -> str:
    """A value of settings, as it is written in text.

    >>> [setting_in_words(value) for value in (("sign", "adam"), True, None, 10_000, 0.99)]
    ['sign, adam', 'yes', 'none', '10,000', '0.99']
    """
    if isinstance(value, list | tuple):
        return ", ".join(map(setting_in_words, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.6g}" if isinstance(value, float) else str(value or "none")


def marked(sentence: str) -> Markup:
    """A sentence as HTML, with the flags and the Python in it as code.

    >>> marked("<b> & --budget none")
    Markup('&lt;b&gt; &amp; <code>--budget none</code>')
    """
    parts = _CODE.split(sentence)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part)
        for place, part in enumerate(parts)
    )


def embedded(content: bytes, kind: str = "png") -> str:
    """The content of a picture as a data URL.

    >>> from deceive.reporting.html import embedded
    >>> embedded(b"PNG")
    'data:image/png;base64,UE5H'
    """
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def shown(image: NDArray[Any]) -> str:
    """An image (C, H, W) uint8 as a data URL: pixel for pixel, unless it is large."""
    if is_large(image.shape):
        return embedded(photograph(image), "webp")
    return embedded(png(image))


def is_large(shape: Sequence[int]) -> bool:
    """Whether images (C, H, W) are shown as photographs, not pixel by pixel.

    >>> is_large((1, 28, 28)), is_large((3, 224, 224))
    (False, True)
    """
    return max(shape[1:]) > _PIXELS


def _source(name: str) -> str:
    templates = resources.files("deceive.reporting").joinpath("templates")
    return templates.joinpath(name).read_text(encoding="utf-8")


def number_in_words(value: Any, form: str) -> str:
    """A formatted number, or a dash for anything else.

    >>> number_in_words(0.5, ".1%"), number_in_words(None, ".1%")
    ('50.0%', '–')
    """
    return format(value, form) if isinstance(value, int | float) else "–"


def duration_in_words(seconds: float) -> str:
    """A duration with its unit: seconds, or minutes from one minute on.

    >>> [duration_in_words(seconds) for seconds in (0.6, 42, 240)]
    ['1 second', '42 seconds', '4.0 minutes']
    """
    if seconds < 59.5:
        return f"{seconds:.0f} second{'s' if round(seconds) != 1 else ''}"
    return f"{seconds / 60:.1f} minutes"
