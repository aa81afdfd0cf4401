"""The section of the table of benchmarks, from the rows alone."""

from collections import defaultdict
from collections.abc import Callable

from benchmarks.contest import Row, in_words
from deceive.common import markdown
from deceive.common.checks import counted

# Kinds of start that began as noise or plain.
_NOISE = ("uniform", "gaussian", "smooth", "blank", "squares")


def table(result: Row) -> str:
    """Every classifier before and behind the guard, and the attacks made for the guard."""
    seeds, candidates = result["plan"]["seeds"], result["plan"]["candidates"]
    sections = [
        "## Guarded classifiers\n\nThe shipped guard in front of classifiers it has never seen, by "
        f"`deceive guard`: means over {counted(seeds, 'training')} (least to greatest). Gibberish "
        f"at 0.99 is that of the worst attack and start, {candidates} candidates each; AUROC is "
        "the least of all kinds of garbage that were not optimised.",
        in_words(result["facts"]),
        markdown.table(("classifier", "", *_COLUMNS), _lines(result["rows"])),
    ]
    if adaptive := [
        (row["name"], each) for row in result["rows"] for each in row.get("adaptive", ())
    ]:
        sections += [
            "Attacks made for the guard: Auto-PGD with step halving (Croce and Hein 2020), "
            "anywhere in [0, 1], along the log-odds of the guarded network or of one of its parts. "
            "An image counts if the guarded network reached its threshold anywhere on the way.",
            markdown.table(
                ("classifier", "from", "along", "steps", "reach the threshold", "gibberish"),
                [_attacked(name, each) for name, each in adaptive],
            ),
        ]
    return "\n\n".join(sections)


def _noise(figures: Row) -> float | None:
    rates = [figures["gibberish"][start] for start in _NOISE]
    return max((rate for rate in rates if rate is not None), default=None)


def _least_auroc(figures: Row) -> float:
    return min(auroc for kind, auroc in figures["auroc"].items() if kind != "optimised")


_COLUMNS: dict[str, Callable[[Row], float | None]] = {
    "reads": lambda figures: figures["accuracy"],
    "real images at 0.99": lambda figures: figures["sure"],
    "gibberish from noise, black, squares": _noise,
    "from another real image": lambda figures: figures["gibberish"]["real"],
    "by search": lambda figures: figures["gibberish"]["search"],
    "least AUROC": _least_auroc,
}


def _lines(rows: list[Row]) -> list[tuple[str, ...]]:
    by_name = defaultdict(list)
    for row in rows:
        by_name[row["name"]].append(row)
    return [
        (name if side == "before" else "", side, *_cells([row[side] for row in each]))
        for name, each in by_name.items()
        for side in ("before", "behind")
    ]


def _cells(found: list[Row]) -> list[str]:
    cells = []
    for column, figure in _COLUMNS.items():
        values = [value for each in found if (value := figure(each)) is not None]
        scale, unit, digits = (1, "", 4) if "AUROC" in column else (100, "%", 2)
        cells.append(_spread([scale * value for value in values], digits, unit))
    return cells


def _spread(values: list[float], digits: int, unit: str) -> str:
    if not values:
        return "–"
    mean = sum(values) / len(values)
    said = f"{mean:.{digits}f}{unit}"
    if len(values) > 1 and max(values) > min(values):
        said += f" ({min(values):.{digits}f} to {max(values):.{digits}f})"
    return said


def _attacked(name: str, each: Row) -> tuple[str, ...]:
    steps = f"{each['steps']:,}" + (", restarts" if each["way"] == "restarts" else "")
    of = f" of {each['candidates']}"
    return (
        name,
        each["start"],
        each["along"],
        steps,
        f"{each['fooled']}{of}",
        f"{each['gibberish']}{of}",
    )
