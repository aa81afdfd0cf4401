"""Writes `docs/reference/audit-doors.md`: kinds of model × layouts of data, each audited once."""
