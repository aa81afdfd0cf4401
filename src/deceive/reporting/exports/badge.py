"""An audit as a badge: an SVG of one's own, or the JSON from which shields.io draws one."""

import json
from dataclasses import dataclass
from pathlib import Path

from deceive.auditing.record.schema import AuditReport
from deceive.auditing.shares import percent
from deceive.common.files import write_text
from deceive.common.plotting import import_matplotlib
from deceive.reporting.exports.checks import kind_of_rate
from deceive.reporting.html import write_page

# Up to which rate a badge has which colour; beyond the last it is red.
_COLORS = ((0.01, "brightgreen"), (0.05, "green"), (0.2, "yellow"), (0.5, "orange"))

# Shields' colours by their names.
_HEX = {
    "brightgreen": "#4c1",
    "green": "#97ca00",
    "yellow": "#dfb317",
    "orange": "#fe7d37",
    "red": "#e05d44",
    "lightgrey": "#9f9f9f",
}

# Pixels: the size of the letters, and the space beside each text.
_LETTERS, _SPACE = 11, 5


@dataclass(frozen=True)
class Badge:
    """A label, what it says, and a colour by shields' name."""

    label: str
    message: str
    color: str


def badge_of(report: AuditReport) -> Badge:
    """The greater of the rates at both thresholds; grey if the audit isn't to be relied on."""
    label, rate = kind_of_rate(report), report.worst_rate
    if rate is None:
        return Badge(label, "unknown", "lightgrey")
    if not report.complete or report.warnings:
        why = "incomplete" if not report.complete else "with warnings"
        return Badge(label, f"{percent(rate)}, {why}", "lightgrey")
    color = next((color for most, color in _COLORS if rate <= most), "red")
    return Badge(label, percent(rate), color)


def write_badge(path: Path, report: AuditReport) -> None:
    """Write an audit's badge: shields' endpoint JSON to a `.json`, else an SVG.

    Raises `WriteError` when the file can't be written.
    """
    badge = badge_of(report)
    if path.suffix.lower() == ".json":
        write_text(path, json.dumps({"schemaVersion": 1} | vars(badge)) + "\n")
        return
    left, right = (_width(text) + 2 * _SPACE for text in (badge.label, badge.message))
    write_page(
        path,
        "badge.svg.jinja",
        badge=badge,
        color=_HEX[badge.color],
        left=left,
        right=right,
        space=_SPACE,
        letters=_LETTERS,
    )


def _width(text: str) -> int:
    """Width in pixels. DejaVu Sans is as wide as Verdana, the font that most browsers take."""
    import_matplotlib()
    import matplotlib
    from PIL import ImageFont

    font = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
    return round(ImageFont.truetype(str(font), _LETTERS).getlength(text))
