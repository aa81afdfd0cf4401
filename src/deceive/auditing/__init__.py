"""How sure is a classifier of garbage? `audit` finds out, of any model."""

from deceive.auditing.core import audit
from deceive.auditing.scaling import Scaling
from deceive.auditing.schema import Report, read_report
from deceive.auditing.settings import QUICK, THOROUGH, AuditSettings

__all__ = ["QUICK", "THOROUGH", "AuditSettings", "Report", "Scaling", "audit", "read_report"]
