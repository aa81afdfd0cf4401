"""A linter for plain English: `python -m tools.prose` names file, line and what to write instead.

`passages` finds what a person reads in a file, `rules` has the patterns, and `__main__` the files.
"""

from tools.prose.passages import Passage as Passage
from tools.prose.passages import passages as passages
from tools.prose.rules import RULES as RULES
from tools.prose.rules import Finding as Finding
from tools.prose.rules import findings as findings
