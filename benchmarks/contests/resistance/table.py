"""The table of attacks, from their rows alone."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.contest import ART, Row, in_words
from benchmarks.contests.resistance.plan import OURS
from benchmarks.spread import significant
from deceive.auditing.shares import sure
from deceive.common import markdown


def table(result: Row) -> str:
    """The section of the table of benchmarks, from the rows alone."""
    plan, rows = result["plan"], result["rows"]
    thresholds = {name: sure(each["confidence"]) for name, each in result["thresholds"].items()}
    lines = [_line(row, rows) for row in rows]
    heads = ["attack", "candidates"]
    for name in ("own", "asked"):
        at = thresholds[name]
        heads += [f"fooled at {at}", f"gibberish at {at}", "of it, not by ours"]
    heads += ["ends in gibberish", "mean confidence in it", "time"]
    passed = "; ".join(
        f"{words}, {thresholds[name]}, which {result['thresholds'][name]['test_share']:.1%} of the "
        "real test images pass"
        for name, words in (("own", "its own threshold"), ("asked", "the usual one"))
    )
    return "\n\n".join(
        (
            f"## Resistance of `{plan['model']}`\n\nCandidates are {plan['count']} start images "
            "of each kind (of black ones, one for each class) with their targets; the same for "
            f"every attack, but search begins where it likes. At two thresholds: {passed}. "
            f"Judges: {', '.join(result['judges'])}. {len(rows)} attacks.",
            in_words(result["facts"], ("foolbox", ART)),
            "\n".join(f"- {said}" for name in ("own", "asked") for said in _compared(result, name)),
            f"![What the attacks end in](resistance-{Path(plan['model']).stem}.png)",
            markdown.table(heads, lines),
        )
    )


def _line(row: Row, rows: Sequence[Row]) -> list[str]:
    """One attack: at each threshold, then what it ends in."""
    line = [row["attack"], f"{row['candidates']:,}"]
    for name in ("own", "asked"):
        outcome = row["outcomes"][name]
        alone = "" if row["family"] == OURS else f"{len(_alone(row, rows, name))}"
        line += [_share(outcome["fooled"]), _share(outcome["gibberish"]), alone]
    confidence = row["mean_confidence_in_gibberish"]
    return [
        *line,
        f"{row['ends_in_gibberish'] / row['candidates']:.1%}",
        "–" if confidence is None else sure(confidence),
        f"{significant(row['seconds'])} s",
    ]


def _compared(result: Row, threshold: str) -> list[str]:
    """Whether any other attack did better than ours at this threshold, in words."""
    at = sure(result["thresholds"][threshold]["confidence"])
    ours = [row for row in result["rows"] if row["family"] == OURS]
    others = [row for row in result["rows"] if row["family"] != OURS]
    said = []
    for measure, words in (("gibberish", "Gibberish"), ("fooled", "Fooling")):
        found = {row["attack"]: row["outcomes"][threshold][measure] for row in ours}
        best = max(found, key=lambda name: found[name].count("1"))
        together = "".join(max(bits) for bits in zip(*found.values(), strict=True))
        sentence = (
            f"{words} at {at}: the best of ours, {best}, finds {_share(found[best])}, all of ours "
            f"together {_share(together)}. "
        )
        better = []
        for row in others:
            bits = row["outcomes"][threshold][measure]
            of_ours = max((its[: len(bits)] for its in found.values()), key=lambda b: b.count("1"))
            if bits.count("1") > of_ours.count("1"):
                better.append(f"{row['attack']} ({_share(bits)}, ours there {_share(of_ours)})")
        sentence += f"Better: {'; '.join(better)}." if better else "None of the others did better."
        if others:
            alone = set().union(
                *(_alone(row, result["rows"], threshold, measure) for row in others)
            )
            sentence += f" Found by others alone: {len(alone)} of {len(together)} candidates."
        said.append(sentence)
    return said


def _alone(row: Row, rows: Sequence[Row], threshold: str, measure: str = "gibberish") -> set[int]:
    """The candidates with which this attack succeeds and none of ours does."""
    ours = [each["outcomes"][threshold][measure] for each in rows if each["family"] == OURS]
    bits = row["outcomes"][threshold][measure]
    return {
        place
        for place, bit in enumerate(bits)
        if bit == "1" and all(each[place] == "0" for each in ours)
    }


def _share(bits: str) -> str:
    return f"{bits.count('1') / len(bits):.1%}"
