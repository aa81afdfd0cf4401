"""The tables of the contests, from their rows alone."""

import statistics
from collections.abc import Mapping, Sequence

from benchmarks.contest import ART, Row, in_words
from benchmarks.spread import Spread, grouped, paired_ratio, significant
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
        "stops early. Attack and step size again chosen on other start images; `fool` as it is by "
        "default takes part too.",
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
    by_contest = grouped(result["rows"], "contest")
    for contest, (title, words) in CONTESTS.items():
        rows = by_contest[contest]
        parts.append(f"### {title}\n\n{words} {rows[0]['images']:,} images a repeat.")
        parts.append(_contest(rows))
    others = [contest for contest in by_contest if contest.startswith(_NETWORK)]
    if others:
        parts.append(f"### {_OTHERS[0]}\n\n{_OTHERS[1]}")
        chosen = {plan["model"]: by_contest["rate 0.99"]}
        chosen |= {name.removeprefix(_NETWORK): by_contest[name] for name in others}
        parts.append(_networks(chosen))
    return "\n\n".join(parts)


# How the contests on other networks are called, and the words around their table.
_NETWORK = "network "
_OTHERS = (
    "On each shipped network",
    "The first table's contest in a line, and the same on the other networks, with fewer settings "
    "tried on fewer images and without captum. Where a library reaches 99% with no setting, it "
    "takes part with one that comes within a point of its best rate.",
)


def _networks(chosen: Mapping[str, Sequence[Row]]) -> str:
    """A line for each network: `fool` beside its fastest peer."""
    lines, medians = [], []
    for network, rows in chosen.items():
        by_library = grouped(rows, "library")
        pace = _paces(by_library)
        peer = _fastest_peer(pace)
        ratio = paired_ratio(pace["deceive"], pace[peer])
        medians.append(ratio.median)
        cells = [
            (
                Spread.of(pace[name]).text(),
                f"{_rate(by_library[name]):.1%}",
                _steps(by_library[name]),
            )
            for name in ("deceive", peer)
        ]
        images = f"{rows[0]['images']:,}"
        lines.append((f"`{network}`", images, *cells[0], peer, *cells[1], ratio.text()))
    heads = (
        "network",
        "images a repeat",
        "`deceive`, fooling images a second",
        "fooling rate",
        "steps an image",
        "fastest peer",
        "its fooling images a second",
        "its fooling rate",
        "its steps an image",
        "× faster",
    )
    middle = significant(statistics.median(medians))
    return markdown.table(heads, lines) + f"\n\n**The median of the networks: {middle} ×.**"


def _contest(rows: Sequence[Row]) -> str:
    by_library = grouped(rows, "library")
    pace = _paces(by_library)
    lines = []
    for name, of in by_library.items():
        one = of[0]
        lines.append(
            (
                name,
                f"{one['attack']}, step {one['step_size']:g}, ≤ {one['steps']} steps"
                if _is_ours(name)
                else f"{one['attack']}, step {one['step_size']:g}, {one['steps']} steps",
                f"{one['batch']}",
                f"{_rate(of):.1%}",
                Spread.of(pace[name]).text(),
                _steps(of),
                Spread.of(1e6 * row["seconds"] / row["image_steps"] for row in of).text(),
                "" if _is_ours(name) else paired_ratio(pace["deceive"], pace[name]).text(),
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
    fastest = _fastest_peer(pace)
    ratio = paired_ratio(pace["deceive"], pace[fastest]).text()
    return markdown.table(heads, lines) + f"\n\n**Against the fastest peer, {fastest}: {ratio} ×.**"


def _is_ours(library: str) -> bool:
    return library.startswith("deceive")


def _paces(by_library: Mapping[str, Sequence[Row]]) -> dict[str, list[float]]:
    """Fooling images a second, repeat by repeat."""
    return {
        name: [row["fooled"] / row["seconds"] for row in rows] for name, rows in by_library.items()
    }


def _fastest_peer(pace: Mapping[str, Sequence[float]]) -> str:
    peers = [name for name in pace if not _is_ours(name)]
    return max(peers, key=lambda name: Spread.of(pace[name]).median)


def _steps(rows: Sequence[Row]) -> str:
    return f"{sum(row['image_steps'] for row in rows) / sum(row['images'] for row in rows):.1f}"


def _rate(rows: Sequence[Row]) -> float:
    return sum(row["fooled"] for row in rows) / sum(row["images"] for row in rows)
