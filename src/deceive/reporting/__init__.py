"""Figures and HTML reports, made from stored rows alone."""
