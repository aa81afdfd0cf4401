"""Foundations of all other parts: errors, checks, files, processes."""
