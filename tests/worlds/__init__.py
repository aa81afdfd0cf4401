"""Small worlds with known answers, shared by the tests: data, models, runs and their records.

The networks that everything else stands on are in `conftest`.
"""
