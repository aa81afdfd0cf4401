"""What an audit says about its judges, in sentences."""

from deceive.auditing.record.measured import Outcome
from deceive.auditing.record.schema import AuditReport

# Judges that read less of the test images than this are weak, and so are those that read less than
# the model by more than the margin.
_ENOUGH, _MARGIN = 0.9, 0.05


def weak_judges(report: AuditReport, outcome: Outcome) -> list[str]:
    """Whether the judges read too little, so that their votes may hide gibberish.

    Nothing is said where they hide nothing: every image that fools the model is gibberish.
    """
    reads, clean, rate = report.judge_accuracy, report.clean, outcome.gibberish_rate
    if reads is None or clean is None or rate is None or rate == outcome.fooling_rate:
        return []
    if reads >= max(_ENOUGH, clean.class_accuracy - _MARGIN):
        return []
    who = "judges read" if len(report.judges) > 1 else "judge reads"
    return [
        f"The {who} only {reads:.1%} of the test images, so the gibberish rate may be too low; the "
        f"fooling rate is {outcome.fooling_rate:.1%}."
    ]
