"""Searches: attacks on a black box, by its answers alone."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from deceive.auditing.black_box import SearchResult, search_black_box
from deceive.auditing.candidates import targets_of
from deceive.auditing.context import Context
from deceive.auditing.keeping import arrays_name, keep_curve, keep_outcomes
from deceive.auditing.parts.part import Part
from deceive.auditing.proposers import SEARCHES
from deceive.auditing.record.rows import Attacked, SearchRow
from deceive.auditing.settings import budgets
from deceive.common.arrays import Arrays
from deceive.common.levels import from_levels
from deceive.common.progress import Tick
from deceive.data.dataset import Stack
from deceive.networks.inference import confidence_of


@dataclass(frozen=True)
class SearchPart:
    """A search by one method; its candidates are a curve too."""

    method: str
    """From `SEARCHES`."""

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
        settings, thresholds = context.settings, context.thresholds
        numbers = range(settings.searched)
        targets = targets_of(numbers, context.data.n_classes, len(numbers))
        asked = budgets(settings.queries, least=30)
        found = search_black_box(
            self.method,
            context.subject.logits,
            targets,
            context.subject.image_shape,
            thresholds=list(thresholds.values()),
            budgets=asked,
            seed=settings.seed,
            callback=tick,
        )
        if context.subject.manner.at_random:
            found = _asked_again(context, found, list(thresholds.values()), targets, tick)
        name = arrays_name(self.name)
        attacked = Attacked(name=self.method, box="black", start="search", arrays=f"{name}-passed")
        going_on = attacked.model_copy(update={"arrays": name})
        ends = {"levels": found.levels.numpy(), "confidence": found.confidence.numpy()}
        followed = keep_curve(context, going_on, targets, ends, asked, tick)
        keep_outcomes(context, attacked, targets, _outcomes(found, thresholds), tick)
        return SearchRow(part=self.name, attacked=attacked, followed=followed)


def search_parts(context: Context) -> list[Part]:
    """Every method for a black box, or where all are asked for; else random search alone."""
    every = context.subject.module is None or context.settings.every_search
    return [SearchPart(method) for method in (SEARCHES if every else ("squares",))]


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
