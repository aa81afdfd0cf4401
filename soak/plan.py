"""What a campaign does: its readers, its kinds of runs, and how much of each."""

from dataclasses import dataclass

from soak.readers import READERS
from soak.world import KINDS


@dataclass(frozen=True)
class Plan:
    """What a campaign does."""

    seed: int = 0
    minutes: float = 60.0
    """Time limit; it ends earlier when everything is done."""
    names: tuple[str, ...] = ()
    """Readers and kinds of runs; empty for all."""
    cases: int | None = None
    """Inputs per reader, a twentieth for slow ones; None for as many as time allows."""
    kills: int | None = None
    """Kills per kind of run."""
    workers: int = 2
    replayed: tuple[str, ...] = ()
    """Readers and kinds of runs of the failures to replay, which need the world too."""

    @property
    def prepared(self) -> tuple[list[str], list[str]]:
        """The readers and kinds of runs to prepare the world for."""
        also = Plan(names=self.replayed or ("none",))
        return [*self.readers, *also.readers], [*self.runs, *also.runs]

    @property
    def readers(self) -> list[str]:
        """The selected readers."""
        return [name for name in READERS if not self.names or name in self.names]

    @property
    def runs(self) -> list[str]:
        """The selected kinds of runs; `kill-` distinguishes them from the folders' readers."""
        meant = {name.removeprefix("kill-") for name in self.names}
        return [name for name in KINDS if not self.names or name in meant]
