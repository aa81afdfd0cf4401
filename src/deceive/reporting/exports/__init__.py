"""An audit for other tools: JUnit, Markdown, badges and model cards, made from its report alone."""

from deceive.reporting.exports.badge import write_badge
from deceive.reporting.exports.huggingface import write_huggingface
from deceive.reporting.exports.junit import write_junit
from deceive.reporting.exports.summary import append_summary, write_summary

__all__ = [
    "append_summary",
    "write_badge",
    "write_huggingface",
    "write_junit",
    "write_summary",
]
