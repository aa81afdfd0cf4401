"""`audit` measures how sure a classifier is of garbage, for any model."""

from deceive.auditing.core import audit
from deceive.auditing.gate import Gate
from deceive.auditing.models.interface import Interface, Scaling
from deceive.auditing.record.schema import AuditReport, json_schema, read_report
from deceive.auditing.settings import QUICK, THOROUGH, AuditSettings

__all__ = [
    "QUICK",
    "THOROUGH",
    "AuditReport",
    "AuditSettings",
    "Gate",
    "Interface",
    "Scaling",
    "audit",
    "json_schema",
    "read_report",
]
