"""What an audit says about its time before the work begins."""

from pathlib import Path

from deceive.auditing.budget import Budget
from deceive.auditing.record.planned import Planned

_AGAIN = "--fresh, or another folder (--out), starts with a new plan."


def ahead(planned: Planned, limit: Budget) -> str:
    """How long a new plan takes, if that is longer than its budget; else empty."""
    if planned.budget is None or planned.expected is None or planned.estimate is None:
        return ""
    budget, total = in_seconds(planned.budget), in_seconds(limit.spent + planned.estimate)
    if limit.spent + planned.estimate > limit.stop:
        return (
            f"Time: up to about {total} with these settings. This call ends after about "
            f"{in_seconds(limit.stop)}; run the same command again to continue."
        )
    if planned.expected <= planned.budget:
        return ""
    if limit.spent > planned.estimate:
        why = f"because the preparation took {in_seconds(limit.spent)}"
    else:
        why = "because even the shortest audit of this model takes that long"
    return f"Time: up to about {total}, more than the budget of {budget}, {why}."


def again(planned: Planned, limit: Budget, folder: Path, *, finished: bool) -> str:
    """What an earlier plan means to this call; empty if it just continues."""
    if planned.budget == limit.seconds:
        if not finished:
            return ""
        return f"This audit is already finished: {_report_in(folder)}. --fresh starts over."
    made = f"planned {_length(planned.budget)}"
    if finished and planned.reductions:
        return (
            f"This audit was {made} and is already finished: {_report_in(folder)}. Another budget "
            f"adds nothing to it; {_AGAIN}"
        )
    if finished:
        return (
            f"This audit is already finished, and nothing was left out: {_report_in(folder)}. "
            "--fresh starts over."
        )
    works = "until it is finished" if limit.seconds is None else _length(limit.seconds)
    made = f"made {_length(planned.budget)}"
    return f"This audit keeps its plan ({made}); this call works on it {works}. {_AGAIN}"


def in_seconds(seconds: float) -> str:
    """A length of time.

    >>> in_seconds(1234.5), in_seconds(0.25)
    ('1,234 s', '0.25 s')
    """
    return f"{seconds:,.0f} s" if seconds >= 10 else f"{seconds:.2g} s"


def _length(budget: float | None) -> str:
    return "without a time limit" if budget is None else f"for {in_seconds(budget)}"


def _report_in(folder: Path) -> Path:
    page = folder / "report.html"
    return page if page.is_file() else folder / "audit.json"
