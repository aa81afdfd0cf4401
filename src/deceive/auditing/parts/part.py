"""What a part of an audit is."""

from typing import Protocol

from deceive.auditing.context import Context
from deceive.auditing.record.rows import PartRow
from deceive.common.progress import Tick


class Part(Protocol):
    """A piece of an audit's work. It is whole in the run folder, or not there."""

    @property
    def name(self) -> str:
        """Its name in the run folder: no other part of the audit has it."""
        ...

    @property
    def words(self) -> str:
        """What it does, for progress and for the list of what is missing."""
        ...

    def run(self, context: Context, tick: Tick) -> PartRow:
        """Do the work, store the arrays, and give the row that says what was found.

        `tick` may raise an error to end the work early.
        """
        ...
