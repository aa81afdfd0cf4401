"""Images per second to a confidence: `deceive.fool` beside its peers, on one network.

Every contestant gets the same network, targets and start images. Whatever comes out is rounded to
8 bits and judged by one function, in float32, outside the clock.
"""

from benchmarks.contests.fooling.holding import run
from benchmarks.contests.fooling.plan import QUICK, Plan
from benchmarks.contests.fooling.table import table

__all__ = ["QUICK", "Plan", "run", "table"]
