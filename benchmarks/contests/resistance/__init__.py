"""How hard a network is to fool with gibberish, and whether only its gradient makes it look so.

A network can resist because it knows better, or because its gradient leads nowhere (Athalye et al.
2018). So our attack by its rules stands beside everything that might get round such a gradient:
larger steps, smoothed gradients, restarts, images made for other networks, search without a
gradient, and two other libraries. All try the same candidates.
"""

from benchmarks.contests.resistance.holding import candidates, held, passing, run
from benchmarks.contests.resistance.plan import OURS, QUICK, Plan
from benchmarks.contests.resistance.table import table
from benchmarks.contests.resistance.ways import attacks

__all__ = [
    "OURS",
    "QUICK",
    "Plan",
    "attacks",
    "candidates",
    "held",
    "passing",
    "run",
    "table",
]
