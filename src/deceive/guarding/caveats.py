"""What to know about the two audits of `guard` before their figures are compared, in words."""

from deceive.auditing.record.schema import AuditReport
from deceive.auditing.verdict import did_less, failures, still_to_come
from deceive.guarding.rows import AUDITS

# How much audits do, in words: along a gradient, and without one.
_ALONG = {
    "ways": "gradient attacks",
    "starts": "kinds of start",
    "candidates": "candidates from each start",
    "steps": "steps of a candidate at most",
}
_WITHOUT = {
    "searched": "candidates of each search",
    "queries": "queries of a candidate at most",
    "garbage_images": "garbage images of each kind",
}


def caveats(before: AuditReport | None, after: AuditReport | None) -> list[str]:
    """What is missing, failed or may mislead in either audit, in sentences."""
    said = []
    for which, report in zip(AUDITS.values(), (before, after), strict=True):
        if report is None:
            continue
        audit = f"The audit {which}"
        if missing := still_to_come(report):
            said.append(
                f"{audit} is not finished; still to come: {missing}. The same command continues "
                "from here."
            )
        said += [f"{audit} failed in parts: {failure.rstrip('.')}." for failure in failures(report)]
        said += [f"{audit} warns: {warning}" for warning in report.warnings]
    return said


def amounts(before: AuditReport, after: AuditReport) -> str:
    """How much less one audit did than the other, in sentences; empty if both did everything."""
    white = before.model.white_box and after.model.white_box
    words = (_ALONG if white else {}) | _WITHOUT
    numbers = {name: (_number(before, name), _number(after, name)) for name in words}
    said = [f"{a:,} and {b:,} {words[name]}" for name, (a, b) in numbers.items() if a != b]
    first, second = (
        min(each.planned.real_images, each.data.test_images) for each in (before, after)
    )
    if first != second:
        said.insert(0, f"{first:,} and {second:,} test images")
    if said:
        return (
            "To fit their budgets, the audits before and behind the guard did different amounts: "
            f"{'; '.join(said)}. A dash stands for what one of them left out. --budget none does "
            "everything in both."
        )
    return did_less(after).replace("its budget, this audit", "their budgets, both audits")


def _number(report: AuditReport, name: str) -> int:
    value = getattr(report.planned, name)
    return len(value) if isinstance(value, tuple) else int(value)
