"""Curves of confidence against steps, for candidates that continue beyond every threshold."""

from dataclasses import dataclass

from deceive.auditing.attacks import WAYS, curve
from deceive.auditing.candidates import start_images, targets_of
from deceive.auditing.context import Context
from deceive.auditing.grouping import arrays_name, in_groups, joined
from deceive.auditing.keeping import keep_curve
from deceive.auditing.parts.part import Part
from deceive.auditing.record.rows import Attacked, CurveRow
from deceive.auditing.record.stored import FRAMES
from deceive.auditing.settings import StartName, WayName, budgets
from deceive.common.arrays import Arrays
from deceive.common.progress import Tick


@dataclass(frozen=True)
class CurvePart:
    """The curve of one attack from one kind of start."""

    way: WayName
    start: StartName

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

        def followed_from(some: range) -> Arrays:
            chosen = targets[some.start : some.stop]
            return curve(
                context.climbed,
                WAYS[self.way],
                start_images(self.start, some, chosen, context.data.validation, settings.seed),
                chosen,
                budgets=asked,
                seed=settings.seed,
                callback=lambda now: tick(some.start + now.finished, len(numbers)),
            )

        size = context.groups.candidates
        groups = in_groups(
            context.run, self.name, numbers, size, followed_from, FRAMES, **context.sizes
        )
        arrays = joined(groups, dict.fromkeys(FRAMES, 1))
        attacked = Attacked(
            name=self.way, box="white", start=self.start, arrays=arrays_name(self.name)
        )
        followed = keep_curve(context, attacked, targets, arrays, asked, tick)
        return CurveRow(part=self.name, followed=followed)


def curve_parts(context: Context) -> list[Part]:
    """A curve for every attack without restarts; only from uniform noise, unless all are asked."""
    if not context.settings.curve_candidates:
        return []
    starts = context.settings.starts
    if not context.settings.every_curve:
        starts = ("uniform",) if "uniform" in starts else starts[:1]
    ways = [way for way in context.settings.ways if not WAYS[way].fresh]
    return [CurvePart(way, start) for way in ways for start in starts]
