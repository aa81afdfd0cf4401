"""The tables of the contests, from their rows alone."""

from collections import defaultdict
from collections.abc import Sequence

from benchmarks.contest import ART, Row, in_words
from benchmarks.spread import Spread, paired_ratio
from deceive.common import markdown

# What each contest asks; the words around its table.
CONTESTS = {
    "rate 0.99": (
        "At a fooling rate of 99% or more",
        "Each library at the attack, step size, number of steps and batch that gave it the most "
        "fooling images a second among those that fooled 99% of other start images (or, where none "
        "did, came within a point of its best).",
    ),
    "rate 0.95": (
        "At a fooling rate of 95% or more",
        "The same at a lower bar.",
    ),
    "rate 0": (
        "At any fooling rate",
        "The same with no rate asked for: the most fooling images a second, however many "
        "candidates are thrown away.",
    ),
    "budget": (
        "With the same budget",
        "All may take equally many steps; the peers take all of them, since none of their attacks "
        "stops early. Their attack and step size again chosen on other start images; `fool` at its "
        "defaults.",
    ),
    "copy": (
        "Where the difference comes from",
        "The peers with their settings of the first table, on the copy of the network that `fool` "
        "works with inside (precision and layout): what is left are steps saved and the loop.",
    ),
}


def table(result: Row) -> str:
    """The section of the table of benchmarks, from the rows alone."""
    plan = result["plan"]
    parts = [
        f"## Fooling\n\nNetwork `{plan['model']}` ({result['weights_sha256'][:12]}…), uniform "
        f"starts, confidence ≥ {plan['confidence']} as 8-bit images in float32, at most "
        f"{plan['steps']} steps an image, {plan['repeats']} repeats in turn: median "
        "(least–greatest).",
        in_words(result["facts"], ("foolbox", "torchattacks", "captum", ART)),
    ]
    for contest, (title, words) in CONTESTS.items():
        rows = [row for row in result["rows"] if row["contest"] == contest]
        parts.append(f"### {title}\n\n{words} {rows[0]['images']:,} images a repeat.")
        parts.append(_contest(rows))
    return "\n\n".join(parts)


def _contest(rows: Sequence[Row]) -> str:
    by_library = defaultdict(list)
    for row in rows:
        by_library[row["library"]].append(row)
    pace = {name: [row["fooled"] / row["seconds"] for row in of] for name, of in by_library.items()}
    lines = []
    for name, of in by_library.items():
        one = of[0]
        lines.append(
            (
                name,
                f"{one['attack']}, step {one['step_size']:g}, ≤ {one['steps']} steps"
                if name == "deceive"
                else f"{one['attack']}, step {one['step_size']:g}, {one['steps']} steps",
                f"{one['batch']}",
                f"{_rate(of):.1%}",
                Spread.of(pace[name]).text(),
                f"{sum(row['image_steps'] for row in of) / sum(row['images'] for row in of):.1f}",
                Spread.of(1e6 * row["seconds"] / row["image_steps"] for row in of).text(),
                "" if name == "deceive" else paired_ratio(pace["deceive"], pace[name]).text(),
            )
        )
    heads = (
        "library",
        "attack",
        "batch",
        "fooling rate",
        "fooling images a second",
        "steps an image",
        "µs an image and step",
        "`deceive` is × faster",
    )
    peers = [name for name in by_library if name != "deceive"]
    fastest = max(peers, key=lambda name: Spread.of(pace[name]).median)
    ratio = paired_ratio(pace["deceive"], pace[fastest]).text()
    return markdown.table(heads, lines) + f"\n\n**Against the fastest peer, {fastest}: {ratio} ×.**"


def _rate(rows: Sequence[Row]) -> float:
    return sum(row["fooled"] for row in rows) / sum(row["images"] for row in rows)
