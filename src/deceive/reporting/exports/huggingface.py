"""An audit for a model's page at Hugging Face, in either of its two formats.

`model-index` is part of a model card's metadata, and takes results on any data
(https://github.com/huggingface/hub-docs/blob/main/modelcard.md). `.eval_results/*.yaml` takes
results on data sets that are registered as benchmarks
(https://huggingface.co/docs/hub/eval-results).
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from deceive.auditing.record.measured import KINDS
from deceive.auditing.record.schema import AuditReport
from deceive.auditing.shares import sure
from deceive.common.files import write_text
from deceive.reporting.exports.checks import kind_of_rate


class _Metric(NamedTuple):
    kind: str
    """Its identifier; in a benchmark, its task."""
    name: str
    value: float


def write_huggingface(path: Path, report: AuditReport, benchmark: str | None = None) -> None:
    """Write an audit's figures as YAML, those that it has.

    Args:
        path: where to write it.
        report: what the audit found.
        benchmark: the Hub's name (`ORG/NAME`) of the benchmark that the data are, for a file of
            `.eval_results/`; None for a model card's `model-index`.

    Raises:
        WriteError: when the file can't be written.
    """
    lines = _model_index(report) if benchmark is None else _eval_results(report, benchmark)
    write_text(path, "\n".join(lines) + "\n")


def _model_index(report: AuditReport) -> Iterator[str]:
    yield "model-index:"
    yield f"- name: {_quoted(report.model.name)}"
    yield "  results:"
    yield "  - task:"
    yield "      type: image-classification"
    yield "    dataset:"
    yield f"      type: {_quoted(_identifier(report.data.name))}"
    yield f"      name: {_quoted(report.data.name)}"
    yield "      split: test"
    metrics = [*_main_metrics(report), *_other_metrics(report)]
    yield f"    metrics:{'' if metrics else ' []'}"
    for each in metrics:
        yield f"    - type: {each.kind}"
        yield f"      name: {_quoted(each.name)}"
        yield f"      value: {each.value!r}"


def _eval_results(report: AuditReport, benchmark: str) -> Iterator[str]:
    judges = ", ".join(each.name for each in report.judges) or "none"
    notes = f"deceive {report.deceive}; judges: {judges}; {report.command}"
    metrics = [*_main_metrics(report)]
    for each in metrics:
        yield "- dataset:"
        yield f"    id: {_quoted(benchmark)}"
        yield f"    task_id: {each.kind}"
        yield f"  value: {each.value!r}"
        yield f"  notes: {_quoted(notes)}"
    if not metrics:
        yield "[]"


def _main_metrics(report: AuditReport) -> Iterator[_Metric]:
    if report.clean is not None:
        yield _Metric("accuracy", "Accuracy", report.clean.accuracy)
    kind = kind_of_rate(report)
    for threshold in report.thresholds:
        rate = report.rate(threshold.name)
        if rate is not None:
            at = "its own threshold" if threshold.name == "own" else sure(threshold.confidence)
            identifier = _identifier(f"{kind} {threshold.name}")
            yield _Metric(identifier, f"{kind.capitalize()} at {at}", rate)


def _other_metrics(report: AuditReport) -> Iterator[_Metric]:
    if report.clean is not None:
        error = report.clean.calibration_error
        yield _Metric("expected_calibration_error", "Expected calibration error", error)
    if (own := report.threshold("own")) is not None:
        yield _Metric("threshold", "Its own threshold", own.confidence)
    for each in report.garbage:
        words, confidence = KINDS[each.kind], each.mean_confidence
        if confidence is not None:
            yield _Metric("mean_confidence", f"Mean confidence on {words}", confidence)
        if "msp" in each.scores:
            yield _Metric("roc_auc", f"AUROC against {words}", each.scores["msp"].auroc)


def _quoted(text: str) -> str:
    """Text in double quotes, as YAML and JSON both write it; unprintable characters as spaces."""
    line = "".join(each if each.isprintable() else " " for each in text)
    return json.dumps(line, ensure_ascii=False)


def _identifier(name: str) -> str:
    """Lower-case words joined by underscores."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "unnamed"
