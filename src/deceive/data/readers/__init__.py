"""Layouts of labelled pictures: a reader each."""
