"""The section of the table of benchmarks, from the rows alone."""

from collections import defaultdict
from collections.abc import Callable

from benchmarks.contest import Row, in_words
from deceive.common import markdown

# Kinds of start that began as noise or plain.
_NOISE = ("uniform", "gaussian", "smooth", "blank", "squares")


def table(result: Row) -> str:
    """Every classifier before and behind the guard, and the attacks made for the guard."""
    candidates = result["plan"]["candidates"]
    sections = [
        "## Guarded classifiers\n\nThe shipped guard in front of classifiers it has never seen, by "
        "`deceive guard`: means over its trainings (least to greatest). Gibberish "
        f"at 0.99 is that of the worse of two attacks, or of the worst search, {candidates} "
        "candidates from each kind of start. *Right if it passes* is the accuracy of the "
        "validation images that pass.",
        in_words(result["facts"]),
        markdown.table(("classifier", "trainings", "", *_COLUMNS), _lines(result["rows"])),
    ]
    if scores := _scores(result):
        kinds = list(dict.fromkeys(kind for *_, aurocs in scores for kind in aurocs))
        sections += [
            "AUROC of the confidence, each kind of garbage against real images: the least of all "
            "trainings. Shipped networks were trained once, and meet new garbage with each seed.",
            markdown.table(("classifier", "", *kinds), _scored(scores, kinds)),
        ]
    if adaptive := result["adaptive"]:
        sections += [
            "Attacks made for the guard: Auto-PGD with step halving (Croce and Hein 2020), "
            "anywhere in [0, 1], along the log-odds of the guarded network, of one of its parts, "
            "or of the same classifier behind another guard. A candidate stops at the first image "
            "with which the guarded network reaches its threshold; it is gibberish if `judge` "
            "doesn't see the target in it.",
            markdown.table(
                ("classifier", "from", "along", "most steps", "reach the threshold", "gibberish"),
                [_attacked(each) for each in adaptive],
            ),
        ]
    return "\n\n".join(sections)


def _from_noise(figures: Row) -> list[float]:
    rates = [figures["gibberish"][start] for start in _NOISE]
    return [rate for rate in rates if rate is not None]


def _all_noise(figures: Row) -> float | None:
    rates = _from_noise(figures)
    return sum(rates) / len(rates) if rates else None


_COLUMNS: dict[str, Callable[[Row], float | None]] = {
    "reads": lambda figures: figures["accuracy"],
    "right if it passes": lambda figures: figures.get("passing_accuracy"),
    "real images at 0.99": lambda figures: figures["sure"],
    "gibberish from noise, black, squares": _all_noise,
    "from the worst of these": lambda figures: max(_from_noise(figures), default=None),
    "from another real image": lambda figures: figures["gibberish"]["real"],
    "by search": lambda figures: figures["gibberish"]["search"],
}


def _lines(rows: list[Row]) -> list[tuple[str, ...]]:
    by_name = defaultdict(list)
    for row in rows:
        passing = {"passing_accuracy": row["set"]["passing_accuracy"]}
        by_name[row["name"]].append({**row, "behind": row["behind"] | passing})
    return [
        (*(told if side == "before" else ("", "")), side, *_cells([row[side] for row in each]))
        for name, each in by_name.items()
        for told in [(name, str(len(each)))]
        for side in ("before", "behind")
    ]


def _cells(found: list[Row]) -> list[str]:
    return [
        _spread([value for each in found if (value := figure(each)) is not None])
        for figure in _COLUMNS.values()
    ]


def _spread(values: list[float]) -> str:
    if not values:
        return "–"
    said = f"{sum(values) / len(values):.2%}"
    if max(values) > min(values):
        said += f" ({min(values):.2%} to {max(values):.2%})".replace("% to", " to")
    return said


def _scores(result: Row) -> list[tuple[str, str, dict[str, float]]]:
    """Classifier, side, and its least AUROC for each kind of garbage."""
    found: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    scored = [
        (row["name"], side, row[side]["auroc"])
        for row in result["rows"]
        for side in ("before", "behind")
    ]
    scored += [
        (row["name"], side, row[side]) for row in result["scored"] for side in ("before", "behind")
    ]
    for name, side, aurocs in scored:
        least = found[name, side]
        for kind, auroc in aurocs.items():
            if kind != "optimised":
                least[kind] = min(auroc, least.get(kind, 1.0))
    return [(*key, least) for key, least in found.items()]


def _scored(
    scores: list[tuple[str, str, dict[str, float]]], kinds: list[str]
) -> list[tuple[str, ...]]:
    return [
        (name if side == "before" else "", side, *(f"{aurocs[kind]:.4f}" for kind in kinds))
        for name, side, aurocs in scores
    ]


def _attacked(each: Row) -> tuple[str, ...]:
    steps = f"{each['steps']:,}" + (", restarts" if each["way"] == "restarts" else "")
    of = f" of {each['candidates']}"
    ended = (f"{each[figure]}{of}" for figure in ("fooled", "gibberish"))
    return (each["name"], each["start"], each["along"], steps, *ended)
