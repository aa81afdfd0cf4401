"""Rows → the sentences with which a page begins."""

import math

from deceive.common.checks import counted
from deceive.storage.runs import Row


def rounds_findings(rows: list[Row], quality: Row | None) -> list[str]:
    """What the rounds came to, in sentences, the most important one first; none without rows.

    Args:
        rows: of the rounds shown, the first one first.
        quality: the row of the final judgement, where there is one.
    """
    if not rows:
        return []
    first, last = rows[0], rows[-1]
    seen, before = last["judge_agreement"], first["judge_agreement"]
    rounds = (
        f"After {counted(last['round'], 'round')}" if last["round"] else "Before the first round"
    )
    said = [
        f"{rounds} the judge, another network, takes {seen:.1%} of the images for their targets; "
        f"it began with {before:.1%}."
    ]
    if "fooling_rate" in last:
        said.append(
            f"The network is fooled by {last['fooling_rate']:.1%} of fresh candidates, as against "
            f"{first['fooling_rate']:.1%} to begin with."
        )
    if "gibberish_rate" in last:
        said.append(
            f"It is 0.99 sure of {last['digits_sure']:.1%} of the real validation images, and of "
            f"gibberish with {last['gibberish_rate']:.1%} of the candidates: those that get there "
            "and are not what they are taken for in the eyes of the judge."
        )
    if quality:
        said.append(
            f"Of {quality['images']:,} images drawn at the end from fresh noise it takes "
            f"{quality['judge_agreement']:.2%} for their targets. A network that was trained on "
            "those images alone, and never saw a real one, reads "
            f"{quality['classification_accuracy_score']:.2%} of the real test images."
        )
    said.append(
        f"The last network reads {last['test_accuracy']:.2%} of the test images, “rubbish” left "
        f"out. The rounds took {last['seconds'] / 60:.1f} minutes."
    )
    return said


def study_findings(stages: list[Row], steps: int) -> list[str]:
    """What the numbers say, in sentences, the most important one first; none without numbers.

    Args:
        stages: the networks: the clean one, then the taught ones. Each has the values of its rows,
            and None for what is not known yet.
        steps: the most that a candidate might take.
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
            f"It takes {last['caught_all']:.1%} of what was made to deceive the network before it "
            f"for rubbish. It reads {last['test_accuracy']:.2%} of the test digits rightly; the "
            f"clean network reads {clean['test_accuracy']:.2%}."
        )
    agreement, chance = clean["judge_agreement"], clean["chance"]
    # Two standard errors of a share that is really `chance`.
    spread = 2 * math.sqrt(chance * (1 - chance) / clean["candidates"])
    said.append(
        f"The judge, another network, takes {agreement:.1%} of the clean network’s candidates for "
        f"the digit that was wanted; guessing would give {chance:.1%}. "
        + (
            "That is more, so there is something in them that it looks for as well."
            if agreement > chance + spread
            else "So it sees no such digits in them."
        )
    )
    return said


def _harder(clean: Row, last: Row) -> list[str]:
    """One sentence on whether `last` was harder to fool, if both were fooled at all."""
    before, after = clean["median_steps"], last["median_steps"]
    if before is None or after is None:
        return []
    fewer = last["fooling_rate"] - clean["fooling_rate"]
    # Where few candidates succeed they are the easy ones, so neither number says it alone.
    if fewer <= 0 and after >= before:
        verdict = "harder" if (fewer, after) != (0, before) else "neither harder nor easier"
    else:
        verdict = "easier" if fewer >= 0 and after <= before else "harder in one way only"
    times = f", {after / before:.3g} times as many" if before else ""
    return [
        f"Fooling it became {verdict}: the median fooling image took {before:g} steps with the "
        f"clean network and takes {after:g} with the one taught {last['name']}{times}; "
        f"{last['fooling_rate']:.1%} of the candidates succeed, and {clean['fooling_rate']:.1%} "
        "did before."
    ]
