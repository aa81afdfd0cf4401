"""An audit as JUnit XML, which Jenkins, GitLab and most other CI servers show.

The elements and attributes are those of Jenkins' schema (junit-10.xsd of its xUnit plugin).
"""

from pathlib import Path
from xml.etree import ElementTree as ET

from deceive.auditing.record.schema import AuditReport
from deceive.auditing.verdict import did_less, verdict
from deceive.common.files import write_text
from deceive.reporting.exports.checks import Check, checks_of, parts_of

_ELEMENTS = {"failed": "failure", "error": "error", "skipped": "skipped"}


def write_junit(path: Path, report: AuditReport, limit: float | None = None) -> None:
    """Write an audit as a suite of test cases, one for each check and each part left undone.

    Args:
        path: where to write the XML.
        report: what the audit found.
        limit: the greatest allowed rate, in [0, 1]; None allows any.

    Raises:
        WriteError: when the file can't be written.
    """
    checks = checks_of(report, limit) + parts_of(report)
    count = {
        "tests": len(checks),
        "failures": sum(each.status == "failed" for each in checks),
        "errors": sum(each.status == "error" for each in checks),
    }
    numbers = {name: str(value) for name, value in count.items()}
    time = {"time": f"{report.seconds:.3f}"}
    suites = ET.Element("testsuites", {"name": "deceive audit"} | numbers | time)
    skipped = {"skipped": str(sum(each.status == "skipped" for each in checks))}
    name = _legal(f"deceive audit of {report.model.name}")
    suite = ET.SubElement(suites, "testsuite", {"name": name} | numbers | skipped | time)
    properties = ET.SubElement(suite, "properties")
    for key, value in _properties(report, limit).items():
        ET.SubElement(properties, "property", {"name": key, "value": _legal(value)})
    for check in checks:
        _add(suite, check, f"deceive.{report.model.name.replace('.', '_')}")
    said = [*verdict(report), did_less(report), *report.notes]
    ET.SubElement(suite, "system-out").text = _legal("\n".join(filter(None, said)))
    ET.indent(suites)
    text = ET.tostring(suites, encoding="unicode")
    write_text(path, f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n')


def _add(suite: ET.Element, check: Check, class_name: str) -> None:
    case = ET.SubElement(
        suite, "testcase", {"name": _legal(check.name), "classname": _legal(class_name)}
    )
    if check.status != "passed":
        reason = {"message": _legal(check.reason)}
        kind = {} if check.status == "skipped" else {"type": check.key}
        ET.SubElement(case, _ELEMENTS[check.status], reason | kind).text = _legal(check.reason)
    if check.figures:
        lines = [f"{name}: {value}" for name, value in check.figures.items()]
        ET.SubElement(case, "system-out").text = _legal("\n".join(lines))


def _properties(report: AuditReport, limit: float | None) -> dict[str, str]:
    """What was audited, and the main figures as plain numbers."""
    advice = report.advice
    numbers = {
        "limit": limit,
        "rate_asked": report.rate("asked"),
        "rate_own": report.rate("own"),
        "worst_rate": report.worst_rate,
        "accuracy": report.clean.accuracy if report.clean else None,
        "advised_threshold": advice.limit.threshold if advice else None,
        "advised_stops": advice.mean if advice else None,
    }
    numbers |= {f"threshold_{each.name}": each.confidence for each in report.thresholds}
    words = {
        "deceive": report.deceive,
        "command": report.command,
        "complete": str(report.complete).lower(),
        "model": report.model.name,
        "format": report.model.format,
        "data": report.data.name,
        "classes": str(report.data.n_classes),
        "judges": ", ".join(each.name for each in report.judges) or "none",
        "advised_score": advice.limit.score if advice else "none",
    }
    return words | {name: repr(value) for name, value in numbers.items() if value is not None}


def _legal(text: str) -> str:
    """Text without the characters that XML forbids."""
    return "".join(each if each.isprintable() or each == "\n" else " " for each in text)
