"""From the clock to the plan: a first look at the model, and once it is met, the whole plan."""

from contextlib import suppress
from pathlib import Path

import torch
from torch import nn

from deceive.auditing.attacks import CHUNK
from deceive.auditing.budget import Budget
from deceive.auditing.context import Context
from deceive.auditing.estimate import Facts, total
from deceive.auditing.garbage import GARBAGE, GarbageImages
from deceive.auditing.models.loaded import Loaded
from deceive.auditing.pace import Cost, Pace, cost_of, quicker_step, read_cost
from deceive.auditing.parts.part import Part
from deceive.auditing.parts.transfer import TransferPart
from deceive.auditing.planning import planned, reductions, without_flags
from deceive.auditing.record.planned import EVERYTHING, WHOLE, Before, Groups, Planned
from deceive.auditing.record.rows import AUDIT, SubjectRow, typed_rows
from deceive.auditing.settings import AuditSettings
from deceive.common.errors import InputError
from deceive.data.dataset import Images, RealData, Stack
from deceive.networks.inference import batch_for, logits_of
from deceive.storage.runs import Run

_ALL = 10**9

# Of the budget, what goes into reading training images for their mean, into finding the scaling,
# and into the batch that identifies the model.
_FOR_MEAN, _FOR_SCALING, _FOR_IDENTITY = 0.05, 0.1, 0.03

# Of the budget, what goes into timing each: the first call, questions, steps, all judges.
_FOR_TIMING = 0.005

# Garbage images that are made for the clock, and shown again and again.
_TIMED_WITH = 16

# Scalings that are tried, and how often images are asked about for the identity.
_SCALINGS, _TIMES = 7, 4

# The least of each, however slow the model is.
_LEAST_READ, _LEAST_TRIED, _LEAST_ASKED = 200, 8, 4

# The share of the time left that is planned: the report takes some, and estimates are rough.
_MARGIN = 0.9

# The greatest share of the budget that a group of work may take.
_GROUP = 0.1


def planned_in(out: Path | str | None) -> Planned | None:
    """The plan of the run in this folder; None for a new one, or one that can't be read."""
    if out is None:
        return None
    with suppress(InputError):
        rows = typed_rows(Run.open(Path(out)).of(AUDIT))
        return next((row.planned for row in rows if isinstance(row, SubjectRow)), None)
    return None


def first_look(loaded: Loaded, data: RealData, limit: Budget) -> Before:
    """How much to do before the plan, from one question and a few images read."""
    if limit.seconds is None:
        return EVERYTHING
    read = read_cost(data.validation, limit.clock)
    batch = batch_for(data.image_shape)
    raw = _raw_cost(loaded, data.validation, limit)

    def as_many(share: float, cost: Cost, times: int, least: int) -> int:
        fit = cost.images_in(share * (limit.seconds or 0) / times, batch)
        return max(least, int(min(_ALL, fit)))

    each = raw + Cost(image=read)
    asked = as_many(_FOR_IDENTITY, each, _TIMES, _LEAST_ASKED)
    return Before(
        train=as_many(_FOR_MEAN, Cost(image=read), 1, _LEAST_READ),
        validation=as_many(_FOR_SCALING, each, _SCALINGS, _LEAST_TRIED),
        asked=min(EVERYTHING.asked, asked),
        thorough=asked >= EVERYTHING.asked,
    )


def _raw_cost(loaded: Loaded, images: Images, limit: Budget) -> Cost:
    """What it costs to ask a model before it is met; nothing where it fails, as `meet` says so."""
    model = loaded.model

    def ask(some: torch.Tensor) -> object:
        return logits_of(model, some) if isinstance(model, nn.Module) else model(some.clone())

    try:
        return cost_of(ask, images, limit.clock, batch_for(images.image_shape), _spare(limit))
    except Exception:
        return Cost()


def _spare(limit: Budget) -> float:
    return _FOR_TIMING * (limit.seconds or 0)


def plan(context: Context, parts: list[Part], limit: Budget, before: Before) -> Planned:
    """How much the audit does: all that was asked if it fits the budget, else less.

    Args:
        context: with the settings that were asked for, and all real images.
        parts: what it would do without a limit.
        limit: the budget.
        before: what the audit did before.
    """
    asked = context.settings
    if limit.seconds is None:
        return Planned.whole(asked, before)
    facts = _facts(context, parts, limit)
    settings = planned(asked, facts, _MARGIN * limit.left)
    estimate = total(settings, facts)
    least = total(planned(without_flags(asked), facts, 0), facts)
    unset = min(estimate, max(least, _MARGIN * limit.left))  # what flags add is not waited for
    return Planned(
        budget=limit.seconds,
        expected=max(limit.seconds, limit.spent + unset),
        before=before,
        groups=_groups(facts, settings, limit.seconds),
        settings=settings,
        reductions=reductions(asked, settings, facts),
        exactly=facts.pace.exactly,
        estimate=round(estimate, 2),
    )


def _groups(facts: Facts, settings: AuditSettings, seconds: float) -> Groups:
    """Groups that take a small part of the budget."""
    pace, batch = facts.pace, batch_for(facts.shape)
    step = pace.step if pace.step is not None else pace.question
    chunk = batch_for(facts.shape, CHUNK, gradient=True)

    def as_many(cost: Cost, batch: int, most: int) -> int:
        return max(1, int(min(most, cost.images_in(_GROUP * seconds, batch))))

    return Groups(
        questions=as_many(pace.question + Cost(image=pace.read), batch, WHOLE.questions),
        candidates=as_many(step.times(settings.steps), chunk, WHOLE.candidates),
        searched=as_many(pace.question.times(settings.queries), batch, WHOLE.searched),
    )


def _facts(context: Context, parts: list[Part], limit: Budget) -> Facts:
    data = context.data
    others = context.other_data is not None
    return Facts(
        pace=_pace(context, limit),
        shape=data.image_shape,
        n_classes=data.n_classes,
        validation=len(data.validation),
        test=len(data.test),
        garbage_kinds=len(GARBAGE) + others,
        transfers=sum(isinstance(part, TransferPart) for part in parts),
    )


def _pace(context: Context, limit: Budget) -> Pace:
    """The pace of the model and its judges; nothing for what fails, which the parts say."""
    data, clock, judges = context.data, limit.clock, context.judges
    garbage = GarbageImages("squares", _TIMED_WITH, data.validation, 0)
    most, spare = batch_for(data.image_shape), _spare(limit)
    question, step, asking, made, exactly = Cost(), None, Cost(), 0.0, False
    started = clock()
    noise = Stack(garbage.read(slice(None)))
    made = (clock() - started) / _TIMED_WITH
    with suppress(Exception):
        question = cost_of(context.subject.logits, noise, clock, most, spare)
        for judge in judges:
            asking += cost_of(judge.logits, noise, clock, most, spare / len(judges))
    if context.subject.module is not None:
        step = Cost()
        with suppress(Exception):
            step, exactly = quicker_step(context.climbed, noise, clock, most, spare)
    return Pace(question, step, asking, read_cost(data.validation, clock), made, exactly)
