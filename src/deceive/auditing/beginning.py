"""Beginning an audit in its run folder, or continuing one: it has to be the same model."""

from collections.abc import Callable
from dataclasses import replace

from deceive.auditing import budget_in_words
from deceive.auditing.about import identities_of, prepared_in_words, subject_row
from deceive.auditing.budget import Budget
from deceive.auditing.context import Context
from deceive.auditing.models.identity import recognise
from deceive.auditing.parts.part import Part
from deceive.auditing.parts.plan import parts_of
from deceive.auditing.parts.transfer import surrogates_of
from deceive.auditing.record.planned import Before, Planned
from deceive.auditing.scheduling import plan
from deceive.auditing.working import missing_of
from deceive.data.sampling import SampledData


def begun(
    context: Context,
    limit: Budget,
    earlier: Planned | None,
    before: Before,
    notes: list[str],
    tell: Callable[[str], None],
) -> tuple[Context, list[Part]]:
    """The audit as it is planned, and the parts that are missing.

    Args:
        context: with the settings that were asked for, and all real images.
        limit: the budget; it is stretched where even the least takes longer.
        earlier: the plan of a run that is continued.
        before: what the audit did before.
        notes: what it learnt about the judges.
        tell: called with a sentence each on its time and on how the model is shown images.

    Raises:
        InputError: when the run folder holds an audit of another model or other judges.
    """
    context = replace(context, surrogates=surrogates_of(context))
    recognise(context.run, identities_of(context, before.asked))
    limit.alive()
    planned = earlier or plan(context, parts_of(context), limit, before)
    if planned.expected is not None and planned.budget == limit.seconds:
        limit.stretch(planned.expected)
    context = _following(context, planned)
    parts = parts_of(context)
    missing = missing_of(context, parts)
    said = budget_in_words.ahead(planned, limit)
    if earlier is not None:
        said = budget_in_words.again(earlier, limit, context.run.folder, finished=not missing)
    if said:
        tell(said)
    if context.run.row(part="subject") is None:
        context.run.add(subject_row(context, parts, planned, notes).model_dump(mode="json"))
    if missing:
        tell(f"Images: {prepared_in_words(context.subject)}")
    return context, missing


def _following(context: Context, planned: Planned) -> Context:
    """What a plan makes of an audit: its settings, and a sample of the real images."""
    settings, real = planned.settings, planned.settings.real_images
    data = SampledData.of(context.data).at_most(settings.seed, real, test=real)
    return replace(
        context, data=data, settings=settings, groups=planned.groups, exactly=planned.exactly
    )
