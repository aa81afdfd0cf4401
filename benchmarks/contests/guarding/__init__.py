"""What the shipped guard makes of classifiers that it has never seen, and what gets past it.

Each classifier is guarded by `deceive guard`, and audited before and behind the guard. Attacks made
for a guarded network follow: along the gradients of guard and classifier together and of each
alone, by step halving and with restarts.
"""

from benchmarks.contests.guarding.holding import run
from benchmarks.contests.guarding.plan import QUICK, Plan
from benchmarks.contests.guarding.table import table

__all__ = ["QUICK", "Plan", "run", "table"]
