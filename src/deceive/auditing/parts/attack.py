"""Attacks along the gradient: a part for each attack, kind of start and group of candidates."""

from dataclasses import dataclass

from deceive.auditing.attacks import WAYS, attack
from deceive.auditing.candidates import start_images, targets_of
from deceive.auditing.context import Context
from deceive.auditing.grouping import arrays_name
from deceive.auditing.keeping import keep_outcomes
from deceive.auditing.parts.part import Part
from deceive.auditing.record.rows import Attacked, AttackRow
from deceive.auditing.settings import StartName, WayName
from deceive.common.progress import Tick

# Added to the seed for each further attempt; large, to stay clear of other audits' seeds.
_ATTEMPT = 1_000_003


@dataclass(frozen=True)
class AttackPart:
    """An attack on a group of the candidates from one kind of start."""

    way: WayName
    start: StartName
    numbers: range
    """Of the candidates, among all from this start."""
    group: int
    """The number of the group."""

    @property
    def name(self) -> str:
        """Its name in the run folder."""
        return f"attack/{self.way}/{self.start}/{self.group}"

    @property
    def words(self) -> str:
        """What it does."""
        return f"attack: {self.way} from {self.start}"

    def run(self, context: Context, tick: Tick) -> AttackRow:
        """Try the candidates, to both thresholds at once."""
        settings = context.settings
        targets = targets_of(
            self.numbers,
            context.data.n_classes,
            settings.candidates,
            earlier=settings.candidates * settings.starts.index(self.start),
            total=settings.candidates * len(settings.starts),
        )
        arrays = attack(
            context.climbed,
            WAYS[self.way],
            lambda attempt: start_images(
                self.start,
                self.numbers,
                targets,
                context.data.validation,
                settings.seed + _ATTEMPT * attempt,
            ),
            targets,
            context.thresholds,
            settings,
            lambda now: tick(now.finished, now.total),
        )
        attacked = Attacked(
            name=self.way,
            box="white",
            start=self.start,
            first=self.numbers.start,
            arrays=arrays_name(self.name),
        )
        keep_outcomes(context, attacked, targets, arrays, tick)
        return AttackRow(part=self.name, attacked=attacked)


def attack_parts(context: Context) -> list[Part]:
    """Every requested attack, from every start, in groups of candidates."""
    parts: list[Part] = []
    group = context.groups.candidates
    for way in context.settings.ways:
        for start in context.settings.starts:
            if start == "blank" and WAYS[way].fresh:
                continue  # there is only one such start
            count = context.settings.candidates
            if start == "blank":  # there is only one black image per target
                count = min(context.data.n_classes, count)
            parts += [
                AttackPart(way, start, range(first, min(count, first + group)), first // group)
                for first in range(0, count, group)
            ]
    return parts
