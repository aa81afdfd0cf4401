"""Labelled images from disk."""
