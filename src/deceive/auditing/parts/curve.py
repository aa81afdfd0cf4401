"""Curves of confidence against steps, for candidates that continue beyond every threshold."""

from dataclasses import dataclass

from deceive.auditing.attacks import WAYS, curve
from deceive.auditing.candidates import WHITE_STARTS, start_images, targets_of
from deceive.auditing.context import Context
from deceive.auditing.keeping import arrays_name, keep_curve
from deceive.auditing.parts.part import Part
from deceive.auditing.record.rows import Attacked, CurveRow
from deceive.auditing.settings import WayName, budgets
from deceive.common.progress import Tick


@dataclass(frozen=True)
class CurvePart:
    """The curve of one attack from one kind of start."""

    way: WayName
    start: str

    @property
    def name(self) -> str:
        """Its name in the run folder."""
        return f"curve/{self.way}/{self.start}"

    @property
    def words(self) -> str:
        """What it does."""
        return f"curve: {self.way} from {self.start}"

    def run(self, context: Context, tick: Tick) -> CurveRow:
        """Follow candidates to the greatest budget, and look at them after each."""
        settings = context.settings
        numbers = range(settings.curve_candidates)
        targets = targets_of(numbers, context.data.n_classes, len(numbers))
        asked = budgets(settings.steps)
        arrays = curve(
            context.climbed,
            WAYS[self.way],
            start_images(self.start, numbers, targets, context.data.validation, settings.seed),
            targets,
            budgets=asked,
            seed=settings.seed,
            callback=lambda now: tick(now.finished, now.total),
        )
        attacked = Attacked(
            name=self.way, box="white", start=self.start, arrays=arrays_name(self.name)
        )
        followed = keep_curve(context, attacked, targets, arrays, asked, tick)
        return CurveRow(part=self.name, followed=followed)


def curve_parts(context: Context) -> list[Part]:
    """A curve for every attack without restarts; only from uniform noise, unless all are asked."""
    starts = WHITE_STARTS if context.settings.every_curve else ("uniform",)
    ways = [way for way in context.settings.ways if not WAYS[way].fresh]
    return [CurvePart(way, start) for way in ways for start in starts]
