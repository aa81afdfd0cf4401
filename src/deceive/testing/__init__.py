"""Audits in the tests of a project: a plugin of pytest."""
