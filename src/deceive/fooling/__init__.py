"""Optimising images until a network is sure of them: starts, objectives, step rules, the loop."""
