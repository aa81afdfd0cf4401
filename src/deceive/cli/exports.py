"""Flags for an audit's files for other tools, and the writing of these."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deceive.common.errors import InputError, WriteError
from deceive.common.files import check_writable


@dataclass(frozen=True, kw_only=True)
class Exports:
    """Files for other tools, written however the audit ends."""

    junit: Path | None = None
    """Write JUnit XML, for CI servers."""
    summary: Path | None = None
    """Write a summary in Markdown; where $GITHUB_STEP_SUMMARY is set, it is appended there too."""
    badge: tuple[Path, ...] = ()
    """Write a badge: an .svg, or a .json from which shields.io draws one; or both."""
    huggingface: Path | None = None
    """Write YAML for a model's page at Hugging Face: a model card's model-index."""
    huggingface_benchmark: str | None = None
    """With --huggingface: ORG/NAME of the benchmark on the Hub that your data are; a file for
    .eval_results/ is written instead."""

    def check(self, out: Path, *, json: bool) -> None:
        """Raise `InputError` for a file that can't be written later.

        Args:
            out: the run folder.
            json: whether stdout is for `audit.json`.
        """
        taken = {os.path.realpath(out / name): "the run folder" for name in _OF_THE_RUN}
        if json:
            taken[os.path.realpath("/dev/stdout")] = "--json"
        for flag, path in self._named():
            try:
                check_writable(path)
            except WriteError as error:
                raise WriteError(f"{flag} {error}") from error
            place = os.path.realpath(path)
            if place in taken:
                raise InputError(
                    f"{flag}: expected a path of its own, got {path}, which {taken[place]} uses too"
                )
            taken[place] = flag
        for path in self.badge:
            if path.suffix.lower() not in (".svg", ".json"):
                raise InputError(f"--badge: expected files ending in .svg or .json, got {path}")
        if self.huggingface_benchmark is not None:
            _check_benchmark(self.huggingface_benchmark, self.huggingface)
        if (step := _step_summary()) is not None:
            check_writable(step)

    def write(self, report: Any, limit: float | None) -> None:
        """Write the files. Raises `WriteError` for the first that can't be written."""
        from deceive.reporting import exports

        if self.junit is not None:
            exports.write_junit(self.junit, report, limit)
        if self.summary is not None:
            exports.write_summary(self.summary, report, limit)
        for path in self.badge:
            exports.write_badge(path, report)
        if self.huggingface is not None:
            exports.write_huggingface(self.huggingface, report, self.huggingface_benchmark)
        if (step := _step_summary()) is not None:
            exports.append_summary(step, report, limit)

    def _named(self) -> Iterator[tuple[str, Path]]:
        for name in ("junit", "summary", "huggingface"):
            if (path := getattr(self, name)) is not None:
                yield f"--{name}", path
        for path in self.badge:
            yield "--badge", path


# A run's own files, which no other output may replace.
_OF_THE_RUN = ("audit.json", "report.html", "rows.jsonl", "settings.json", "environment.json")


def _step_summary() -> Path | None:
    """Where GitHub collects the summary of a workflow's step."""
    name = os.environ.get("GITHUB_STEP_SUMMARY")
    return Path(name) if name else None


def _check_benchmark(name: str, file: Path | None) -> None:
    if file is None:
        raise InputError("--huggingface-benchmark: expected --huggingface FILE with it")
    parts = name.split("/")
    if len(parts) != 2 or not all(parts):
        raise InputError(f"--huggingface-benchmark: expected ORG/NAME, got {name!r}")
