"""Doing the parts of an audit, one after the other, while there is time."""

import time
from collections.abc import Sequence

from deceive.auditing.budget import Budget, OutOfTime
from deceive.auditing.context import Context
from deceive.auditing.grouping import drop_groups, kept_groups
from deceive.auditing.parts.part import Part
from deceive.auditing.record.rows import FailureRow, PartRow
from deceive.common.errors import DamageError, InputError, WriteError
from deceive.common.progress import Task, Tick
from deceive.common.raising import raised


def missing_of(context: Context, parts: Sequence[Part]) -> list[Part]:
    """The parts that the run folder doesn't hold yet."""
    done = {row["part"] for row in context.run.rows()}
    return [part for part in parts if part.name not in done]


def work(context: Context, parts: Sequence[Part], limit: Budget, task: Task) -> None:
    """Do these parts while there is time, and in any case a part or a group of one.

    So every call makes progress, however short its budget is. A part in which the model fails
    doesn't count, since every call tries it again.
    """
    run, before = context.run, kept_groups(context.run)
    whole: list[Part] = []

    def got_on() -> bool:
        return bool(whole) or not kept_groups(run) <= before

    try:
        for part in parts:
            with task(part.words) as report:
                row = _attempt(part, context, limit.watched(report, got_on))
            run.add(row.model_dump(mode="json"))
            drop_groups(run, part.name)
            if not isinstance(row, FailureRow):
                whole.append(part)
            elif row.of == "clean":
                break  # everything else is measured against it
    except OutOfTime:
        pass  # the report names the parts that are missing


def _attempt(part: Part, context: Context, tick: Tick) -> PartRow | FailureRow:
    """Do a part; if the model fails, write a row that says so."""
    started = time.perf_counter()
    try:
        tick(0, 1)
        row = part.run(context, tick)
    except (OutOfTime, KeyboardInterrupt, WriteError, DamageError):
        raise  # none of these is the model's fault
    except BaseException as error:  # a user's model may raise anything, and call sys.exit
        said = str(error) if isinstance(error, InputError) else raised(error)
        return FailureRow(part="failure", of=part.name, reason=said.splitlines()[0])
    return row.model_copy(update={"seconds": round(time.perf_counter() - started, 2)})
