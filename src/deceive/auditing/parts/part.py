"""A part of an audit."""

from typing import Protocol

from deceive.auditing.context import Context
from deceive.auditing.record.rows import PartRow
from deceive.common.progress import Tick


class Part(Protocol):
    """A piece of an audit's work: complete in the run folder, or not there at all."""

    @property
    def name(self) -> str:
        """Its name in the run folder: no other part of the audit has it."""
        ...

    @property
    def words(self) -> str:
        """What it does, for progress and for the list of what is missing."""
        ...

    def run(self, context: Context, tick: Tick) -> PartRow:
        """Do the work, store the arrays, and return the row with the results.

        `tick` may raise an error to end the work early.
        """
        ...
