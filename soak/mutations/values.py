"""Extreme values: numbers, words and depths that break parsers."""

import random
from collections.abc import Callable

Random = random.Random

Mutation = Callable[[bytes, Random], bytes]

# fmt: off
INTEGERS = (
    0, 1, -1, 2, 7, 127, 128, 255, 256, 65_535, 2**31 - 1, 2**31, -(2**31), 2**32 - 1, 2**32,
    2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**7, 10**12, 10**30,
)
# fmt: on
"""Integers that overflow, wrap around or exhaust memory."""

# fmt: off
FLOATS = (
    "NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e-400", "-0.0", "0.5", "1.0000001",
    "1e308", "5e-324", "0.9999999999999999",
)
# fmt: on
"""Numbers as JSON writes them (Python's reads NaN and Infinity too)."""

# fmt: off
STRINGS = (
    "", " ", "\0", "a\nb", "a | b | 0.0% |", "[/b]", "[bold]", "<script>", "../..", "/", "~", "é",
    "\u2028", "\U0001f600", "\ud800", "\u202e", "%s%n", "$(id)", "nan", "0", "-1", "all",
    "x" * 300, "x" * 100_000, "/dev/null", "None", "١٢", "²",
)
# fmt: on
"""Words that break tables, markup, paths, encodings and parsers."""

DEPTHS = (50, 1000, 3000, 100_000)
"""Nesting depths of JSON; Python's own parser fails at about a thousand."""
