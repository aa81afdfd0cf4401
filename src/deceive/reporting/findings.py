"""The sentences at the top of a page, from rows."""

import math

from deceive.common.checks import counted
from deceive.reporting.html import duration_in_words
from deceive.storage.kinds import Row


def rounds_findings(rows: list[Row], quality: Row | None) -> list[str]:
    """The outcome of rounds in sentences, the most important one first; none without rows.

    Args:
        rows: those of the measured rounds, in order.
        quality: the row of the final judgement, if any.
    """
    if not rows:
        return []
    first, last = rows[0], rows[-1]
    seen, before = last["judge_agreement"], first["judge_agreement"]
    rounds = (
        f"After {counted(last['round'], 'round')}" if last["round"] else "Before the first round"
    )
    said = [
        f"{rounds} another network, the judge, sees the target in {seen:.1%} of the images; at "
        f"first it was {before:.1%}."
    ]
    if "fooling_rate" in last:
        said.append(
            f"The network is fooled by {last['fooling_rate']:.1%} of fresh candidates, compared "
            f"with {first['fooling_rate']:.1%} at the start."
        )
    if "gibberish_rate" in last:
        said.append(
            f"It is 99% sure of the right class in {last['digits_sure']:.1%} of the real "
            f"validation images. {last['gibberish_rate']:.1%} of the candidates are gibberish: it "
            "is 99% sure of a class that the judge does not see."
        )
    if quality:
        said.append(
            f"The judge sees the target in {quality['judge_agreement']:.2%} of "
            f"{quality['images']:,} images drawn at the end from fresh noise. A network trained on "
            "those images alone, which never saw a real one, reads "
            f"{quality['classification_accuracy_score']:.2%} of the real test images."
        )
    said.append(
        f"The last network reads {last['test_accuracy']:.2%} of the test images correctly, not "
        f"counting “rubbish” as an answer. The rounds took {duration_in_words(last['seconds'])}."
    )
    return said


def study_findings(stages: list[Row], steps: int) -> list[str]:
    """The outcome of a study in sentences, the most important one first; none without numbers.

    Args:
        stages: one row for each network, the clean one first; None for what isn't known yet.
        steps: the most steps that a candidate could take.
    """
    deceived = [stage for stage in stages if stage["fooling_rate"] is not None]
    if not deceived:
        return []
    clean, last = deceived[0], deceived[-1]
    taught = last is not clean
    if last["fooling_rate"]:
        still = "still " if taught else ""
        said = [f"The network is {still}fooled, by {last['fooling_rate']:.1%} of all candidates."]
    else:
        said = [
            f"None of {last['candidates']:,} candidates fooled the network within {steps:,} steps; "
            "with more steps, or in another way, some might."
        ]
    if taught:
        said += _harder(clean, last)
        said.append(
            f"It recognises {last['caught_all']:.1%} of the images made to deceive the network "
            f"before it as rubbish. It reads {last['test_accuracy']:.2%} of the test digits "
            f"correctly; the clean network reads {clean['test_accuracy']:.2%}."
        )
    agreement, chance = clean["judge_agreement"], clean["chance"]
    # Two standard errors of a share that is really `chance`.
    spread = 2 * math.sqrt(chance * (1 - chance) / clean["candidates"])
    said.append(
        f"Another network, the judge, sees the target in {agreement:.1%} of the clean network’s "
        f"candidates; guessing would give {chance:.1%}. "
        + (
            "That is more than chance, so they contain something that it looks for too."
            if agreement > chance + spread
            else "So it sees no digits in them."
        )
    )
    return said


def _harder(clean: Row, last: Row) -> list[str]:
    """One sentence on whether `last` was harder to fool, if both were fooled at all."""
    before, after = clean["median_steps"], last["median_steps"]
    if before is None or after is None:
        return []
    fewer = last["fooling_rate"] - clean["fooling_rate"]
    # If few candidates succeed, they are the easy ones, so neither number is enough.
    if fewer <= 0 and after >= before:
        verdict = (
            "harder to fool"
            if (fewer, after) != (0, before)
            else "neither harder nor easier to fool"
        )
    else:
        verdict = (
            "easier to fool" if fewer >= 0 and after <= before else "harder to fool in one way"
        )
    times = f", {after / before:.3g} times as many" if before else ""
    return [
        f"It became {verdict}: the median fooling image took {before:g} steps with the "
        f"clean network and takes {after:g} with the one taught {last['name']}{times}; "
        f"{last['fooling_rate']:.1%} of the candidates succeed, and {clean['fooling_rate']:.1%} "
        "did before."
    ]
