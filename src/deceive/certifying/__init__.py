"""Proofs: how sure a network can be at most of any image within a distance of a given one."""
