"""Measures of drawn images and of confidence."""
