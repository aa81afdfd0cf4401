"""Writes `docs/audit-doors.md`: kinds of model × layouts of data, each audited by one command."""
