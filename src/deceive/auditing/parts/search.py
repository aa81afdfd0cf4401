"""Searches: attacks on a black box, by its answers alone."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from deceive.auditing.black_box import SearchResult, search_black_box
from deceive.auditing.candidates import targets_of
from deceive.auditing.context import Context
from deceive.auditing.estimate import methods
from deceive.auditing.grouping import arrays_name, in_groups, joined
from deceive.auditing.keeping import keep_curve, keep_outcomes
from deceive.auditing.parts.part import Part
from deceive.auditing.proposers import generation
from deceive.auditing.record.rows import Attacked, SearchRow
from deceive.auditing.record.stored import FRAMES, SEARCHED
from deceive.auditing.settings import budgets
from deceive.common.arrays import Arrays
from deceive.common.levels import from_levels
from deceive.common.progress import Tick
from deceive.data.dataset import Stack
from deceive.networks.inference import batch_for, confidence_of


@dataclass(frozen=True)
class SearchPart:
    """A search by one method; its candidates are a curve too."""

    method: str
    """From `proposers.SEARCHES`."""

    @property
    def name(self) -> str:
        """Its name in the run folder."""
        return f"search/{self.method}"

    @property
    def words(self) -> str:
        """What it does."""
        return f"search: {self.method}"

    def run(self, context: Context, tick: Tick) -> SearchRow:
        """Search until the queries are spent or all candidates are certain."""
        numbers = range(context.settings.searched)
        targets = targets_of(numbers, context.data.n_classes, len(numbers))
        at_once = batch_for(context.data.image_shape) // generation(
            self.method, context.data.image_shape
        )
        groups = in_groups(
            context.run,
            self.name,
            numbers,
            max(1, min(at_once, context.groups.searched)),
            lambda some: self._found(context, some, targets[some.start : some.stop], tick),
            SEARCHED,
            **context.sizes,
        )
        arrays = joined(groups, dict.fromkeys(FRAMES, 1))
        ends = {each: arrays.pop(each) for each in FRAMES}
        name, asked = arrays_name(self.name), budgets(context.settings.queries, least=30)
        attacked = Attacked(name=self.method, box="black", start="search", arrays=f"{name}-passed")
        going_on = attacked.model_copy(update={"arrays": name})
        followed = keep_curve(context, going_on, targets, ends, asked, tick)
        keep_outcomes(context, attacked, targets, arrays, tick)
        return SearchRow(part=self.name, attacked=attacked, followed=followed)

    def _found(self, context: Context, numbers: range, targets: Tensor, tick: Tick) -> Arrays:
        """What a search for some of the candidates comes to: `stored.SEARCHED`."""
        settings, thresholds = context.settings, context.thresholds
        found = search_black_box(
            self.method,
            context.subject.logits,
            targets,
            context.subject.image_shape,
            thresholds=list(thresholds.values()),
            budgets=budgets(settings.queries, least=30),
            seed=settings.seed,
            first=numbers.start,
            callback=tick,
        )
        if context.subject.manner.at_random:
            found = _asked_again(context, found, list(thresholds.values()), targets, tick)
        ends = {"levels": found.levels.numpy(), "confidence": found.confidence.numpy()}
        return ends | _outcomes(found, thresholds)


def search_parts(context: Context) -> list[Part]:
    """Every method for a black box, or where all are asked for; else random search alone."""
    if not context.settings.searched:
        return []
    white_box = context.subject.module is not None
    return [SearchPart(method) for method in methods(context.settings, white_box=white_box)]


def _outcomes(found: SearchResult, thresholds: dict[str, float]) -> Arrays:
    """What became of the candidates at each threshold, in arrays with its name."""
    arrays: Arrays = {}
    for name, passed in zip(thresholds, found.passed, strict=True):
        arrays |= {
            f"{name}_levels": passed.levels.numpy(),
            f"{name}_confidence": passed.confidence.numpy(),
            f"{name}_fooled": passed.fooled.numpy(),
            f"{name}_steps": passed.queries.numpy(),
        }
    return arrays


def _asked_again(
    context: Context, found: SearchResult, thresholds: list[float], targets: Tensor, tick: Tick
) -> SearchResult:
    """What remains after asking the model once more: some answers pass by luck."""

    def confidence(levels: Tensor) -> Tensor:
        return confidence_of(
            context.ask(context.subject, Stack(from_levels(levels)), tick), targets
        )

    passed = []
    for each, threshold in zip(found.passed, thresholds, strict=True):
        again = confidence(each.levels)
        passed.append(replace(each, confidence=again, fooled=each.fooled & (again >= threshold)))
    ends = torch.stack([confidence(levels) for levels in found.levels])
    return replace(found, passed=passed, confidence=ends)
