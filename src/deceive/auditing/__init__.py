"""How sure is a classifier of garbage? `audit` finds out, of any model."""

from deceive.auditing.core import audit
from deceive.auditing.scaling import Interface, Scaling
from deceive.auditing.schema import Report, read_report
from deceive.auditing.settings import QUICK, THOROUGH, AuditSettings

__all__ = [
    "QUICK",
    "THOROUGH",
    "AuditSettings",
    "Interface",
    "Report",
    "Scaling",
    "audit",
    "read_report",
]
