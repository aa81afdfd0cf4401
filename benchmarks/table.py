"""The tables and the picture: made of the rows on disk alone."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean, stdev

from benchmarks.contest import Row, Spread, paired_ratio, read, significant
from benchmarks.contests.resistance import OURS
from benchmarks.contests.scaling import slope
from benchmarks.pictures import drawn_side_by_side, ends, quality_against_time, same_starts
from deceive.auditing.verdict import sure
from deceive.common.files import write_text
from deceive.common.markdown import table
from deceive.reporting.figures import save

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
        "Everybody may take as many steps; the peers take all of them, since none of their attacks "
        "stops early. Their attack and step size again chosen on other start images; `fool` at its "
        "defaults.",
    ),
    "copy": (
        "Where the difference comes from",
        "The peers with their settings of the first table, on the copy of the network that `fool` "
        "works with inside (precision and layout): what is left are steps saved and the loop.",
    ),
}


def make(folder: Path, *, pictures: Path) -> str:
    """Write `folder/README.md` from the JSON files beside it, and give its text back.

    The pictures of drawing and plain go into the folder `pictures`, if there are rows for them;
    those of resistance stay beside their rows.
    """
    parts = ["# Benchmarks\n\nMade by `make bench`; what is measured and how: `../README.md`."]
    makers = {"ablation": _ablation, "accuracy": _accuracy, "drawing": _drawing}
    makers |= {"fooling": _fooling}
    makers |= {"literal": _literal, "memory": _memory, "page": _page, "plain": _plain}
    makers |= {"polishing": _polishing}
    makers |= {"scaling": _scaling, "training": _training}
    for name, maker in makers.items():
        result = read(folder, name)
        parts.append(maker(result) if result else f"## {name.capitalize()}\n\nNot measured yet.")
    for path in sorted(folder.glob("resistance-*.json")):
        result = read(folder, path.stem)
        assert result is not None
        parts.append(_resistance(result, f"{path.stem}.png"))
        save(ends(result["rows"]), path.with_suffix(".png"))
    text = "\n\n".join(parts) + "\n"
    write_text(folder / "README.md", text)
    if result := read(folder, "drawing"):
        save(quality_against_time(result["rows"]), pictures / "quality-against-time.png")
        save(drawn_side_by_side(result["rows"]), pictures / "drawn-side-by-side.png")
    if result := read(folder, "plain"):
        save(same_starts(result), pictures / "same-starts.png")
    return text


def _ablation(result: Row) -> str:
    plan = result["plan"]
    by_variant = defaultdict(list)
    for row in result["rows"]:
        by_variant[row["variant"]].append(row)
    lines = []
    for variant, rows in by_variant.items():
        whole = [row for row in rows if "ended" not in row]
        told = f"{len(rows) - len(whole)} of {len(rows)} diverged" if len(whole) < len(rows) else ""
        measured = (
            (
                _over_seeds(whole, "judge_agreement", percent=True),
                _over_seeds(whole, "frechet_distance"),
                _over_seeds(whole, "coverage"),
                _over_seeds(whole, "density"),
                _over_seeds(whole, "validation_accuracy", percent=True),
                _over_seeds(whole, "seconds"),
            )
            if whole
            else ("–",) * 6
        )
        lines.append((variant, *measured, told))
    heads = (
        *("", "judge agrees", "Fréchet distance", "coverage", "density"),
        *("digits read", "time, s", ""),
    )
    return "\n\n".join(
        (
            f"## Ablation\n\nThe `draw` preset with {plan['rounds']:,} rounds twice as large and "
            f"one thing changed; {plan['count']:,} images of each class against the validation "
            f"images; median of {plan['seeds']} seeds (least–greatest).",
            _facts(result["facts"], ()),
            table(heads, lines),
        )
    )


def _accuracy(result: Row) -> str:
    by_name = defaultdict(list)
    for row in result["rows"]:
        by_name[row["architecture"]].append(row)
    lines = []
    for name, rows in by_name.items():
        test = [row["test_accuracy"] for row in rows]
        seconds = Spread.of(row["seconds"] for row in rows)
        lines.append(
            (
                f"`{name}`",
                f"{rows[0]['settings']['epochs']:g}",
                ", ".join(f"{accuracy:.2%}" for accuracy in test),
                f"**{mean(test):.3%}** ± {100 * stdev(test):.3f}",
                f"{mean(row['validation_accuracy'] for row in rows):.2%}",
                f"{seconds.text()} s",
            )
        )
    heads = ("network", "epochs", "test, seed by seed", "mean ± standard deviation")
    return "\n\n".join(
        (
            "## Accuracy\n\nEach network by its own recipe, on 55,000 images; each training "
            "reads the test set when it ends.",
            _facts(result["facts"], ()),
            table((*heads, "validation, mean", "training time"), lines),
        )
    )


def _drawing(result: Row) -> str:
    plan = result["plan"]
    by_training = defaultdict(list)
    for row in result["rows"]:
        by_training[row["minutes"], row["contestant"]].append(row)
    lines = [
        (
            f"{minutes:g}",
            name,
            f"{rows[0]['parameters']:,}",
            _over_seeds(rows, "seconds"),
            _over_seeds(rows, "frechet_distance"),
            _over_seeds(rows, "judge_agreement", percent=True),
            _over_seeds(rows, "density"),
            _over_seeds(rows, "coverage"),
            _over_seeds(rows, "classification_accuracy_score", percent=True),
            _over_seeds(rows, "nearest_median"),
            _over_seeds(rows, "nearest_first_percentile"),
            _over_seeds(rows, "images_per_second"),
        )
        for (minutes, name), rows in sorted(by_training.items(), key=lambda item: item[0][0])
    ]
    everybody = result["rows"]
    lines.append(
        (
            *("", "real images", "", ""),
            _over_seeds(everybody, "floor_frechet_distance"),
            "",
            _over_seeds(everybody, "floor_density"),
            _over_seeds(everybody, "floor_coverage"),
            "",
            _over_seeds(everybody, "held_out_nearest_median"),
            _over_seeds(everybody, "held_out_nearest_first_percentile"),
            "",
        )
    )
    heads = (
        *("minutes", "", "parameters", "trained, s", "Fréchet distance", "judge agrees"),
        *("density", "coverage", "classification accuracy score"),
        *("nearest training image, median", "first percentile", "images a second"),
    )
    return "\n\n".join(
        (
            f"## Drawing\n\n{everybody[0]['images']:,} images of each, against the test images; "
            f"median of seeds (least–greatest), of which there are {plan['seeds']}. Real images "
            "are as many of each digit of the training set; under the nearest training image, of "
            "the test set.",
            _facts(result["facts"], ()),
            table(heads, lines),
        )
    )


def _literal(result: Row) -> str:
    by_recipe = defaultdict(list)
    for row in result["rows"]:
        by_recipe[row["recipe"]].append(row)
    lines = [
        (recipe, *(_over_seeds(rows, field) for field in ("fooling", "training", "seconds")))
        for recipe, rows in by_recipe.items()
    ]
    times = ([row["seconds"] for row in by_recipe[name]] for name in ("original", "deceive"))
    plan = result["plan"]
    return "\n\n".join(
        (
            "## A literal round\n\nSeconds for round 1 of the study's rounds: "
            f"{plan['candidates']:,} fooling images, and a new network trained on the digits and "
            f"all rubbish, {plan['epochs']:g} epochs. The original's are those of "
            f"{plan['share']:,} images and {plan['batches']:,} batches, scaled up.",
            _facts(result["facts"], ()),
            table(("recipe", "to deceive, s", "to train, s", "both, s"), lines),
            f"The original's time over ours: {paired_ratio(*times).text()}.",
        )
    )


def _over_seeds(rows: Sequence[Row], field: str, *, percent: bool = False) -> str:
    """The median of a field with its range, or just the number where there is only one."""
    spread = Spread.of(row[field] * (100 if percent else 1) for row in rows)
    digits = 4 if percent else 3
    text = significant(spread.median, digits)
    if spread.greatest > spread.least:
        text = spread.text(digits)
    return text + "%" * percent


def _fooling(result: Row) -> str:
    plan = result["plan"]
    parts = [
        f"## Fooling\n\nNetwork `{plan['model']}` ({result['weights_sha256'][:12]}…), uniform "
        f"starts, confidence ≥ {plan['confidence']} as 8-bit images in float32, at most "
        f"{plan['steps']} steps an image, {plan['repeats']} repeats in turn: median "
        "(least–greatest).",
        _facts(result["facts"], ("foolbox", "torchattacks", "captum", _ART)),
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
        *("library", "attack", "batch", "fooling rate", "fooling images a second"),
        *("steps an image", "µs an image and step", "`deceive` is × faster"),
    )
    peers = [name for name in by_library if name != "deceive"]
    fastest = max(peers, key=lambda name: Spread.of(pace[name]).median)
    ratio = paired_ratio(pace["deceive"], pace[fastest]).text()
    return table(heads, lines) + f"\n\n**Against the fastest peer, {fastest}: {ratio} ×.**"


def _rate(rows: Sequence[Row]) -> float:
    return sum(row["fooled"] for row in rows) / sum(row["images"] for row in rows)


def _memory(result: Row) -> str:
    counts = sorted({row["images"] for row in result["rows"]})
    libraries = list(dict.fromkeys(row["library"] for row in result["rows"]))
    peaks = {(row["library"], row["images"]): row["mebibytes"] for row in result["rows"]}
    lines = [(name, *(significant(peaks[name, count]) for count in counts)) for name in libraries]
    return "\n\n".join(
        (
            f"## Memory\n\nPeak of resident memory during one call for N images, less what was "
            f"held before it, in MiB; at most {result['steps']} steps, each in a process of its "
            "own. `deceive` and ART cut N images up themselves; the others take them as one batch.",
            _facts(result["facts"], ("foolbox", "torchattacks", "captum", _ART)),
            table(("library", *(f"N = {count:,}" for count in counts)), lines),
        )
    )


def _page(result: Row) -> str:
    def milliseconds(values: Iterable[float]) -> str:
        return f"{Spread.of(values).text()} ms"

    by_speed = defaultdict(list)
    for row in result["one"]:
        by_speed[row["speed"]].append(row["milliseconds"])
    ten = [row["milliseconds"] for row in result["ten"]]
    lines = [
        ("click to 0.99, one image, at 30 steps a second as set", milliseconds(by_speed["30"])),
        ("click to 0.99, one image, at full speed", milliseconds(by_speed["Infinity"])),
        ("ten digits at once, one network", milliseconds(ten)),
        (
            "ten digits at once, each network of panel 3",
            milliseconds(result["all_networks_ten_milliseconds"]),
        ),
        ("steps a second, one image", Spread.of(result["steps_a_second"]).text()),
        ("first load", f"{sum(result['first_load'].values()) / 1e6:.1f} MB"),
    ]
    fooled = sum(row["fooled"] for row in result["ten"])
    return "\n\n".join(
        (
            f"## Page\n\nHeadless Chromium {result['facts']['chromium']}, one thread of "
            f"WebAssembly; each digit {result['repeats']} times, from fresh static. "
            f"{fooled} of {10 * len(ten)} of those at once got there.",
            _facts(result["facts"], ()),
            table(("", "median (range)"), lines),
        )
    )


def _plain(result: Row) -> str:
    by_network = defaultdict(list)
    for row in result["rows"]:
        by_network[row["network"]].append(row)
    lines = [
        (
            f"`{name}`",
            ", ".join(str(row["fooled"]) for row in rows),
            *(_over_seeds(rows, field) for field in ("median_steps",)),
            _over_seeds(rows, "judge_agreement", percent=True),
            _over_seeds(rows, "seen_by_most", percent=True),
            _over_seeds(rows, "frechet_distance"),
        )
        for name, rows in by_network.items()
    ]
    real = significant(result["floor_frechet_distance"])
    lines.append(("real training images", "", "", "", "", real))
    plan, judges = result["plan"], result["judges"]
    heads = (
        *("", f"fooled, of {result['rows'][0]['candidates']}, seed by seed", "median steps"),
        *(f"`{judges[0]}` sees the target", "most judges see it", "Fréchet distance"),
    )
    return "\n\n".join(
        (
            "## Plain\n\n`deceive fool --model NETWORK --target all --count "
            f"{plan['count']}`, the same starts for each; median of {plan['repeats']} seeds "
            f"(least–greatest). The judges are {', '.join(f'`{name}`' for name in judges)}; the "
            f"distance, by the features of `{judges[0]}`, is to the test images.",
            _facts(result["facts"], ()),
            table(heads, lines),
        )
    )


def _polishing(result: Row) -> str:
    plan, floor = result["plan"], result["floor"]
    by_variant = defaultdict(list)
    for row in result["rows"]:
        by_variant[row["variant"]].append(row)
    fields = ("frechet_distance", "density", "coverage", "nearest_median")
    lines = [
        (
            variant,
            *(_over_seeds(rows, field) for field in fields),
            _over_seeds(rows, "judge_agreement", percent=True),
            _over_seeds(rows, "images_per_second"),
        )
        for variant, rows in by_variant.items()
    ]
    lines.append(("real images", *(significant(floor[field]) for field in fields), "", ""))
    heads = (
        *("", "Fréchet distance", "density", "coverage", "nearest training image, median"),
        *("judge agrees", "images a second"),
    )
    return "\n\n".join(
        (
            f"## Polishing\n\nNetwork `{plan['model']}` ({result['weights_sha256'][:12]}…), "
            f"{plan['count']:,} images of each class, drawn as `draw` does it but for one thing; "
            f"the distance from {plan['reference']:,} training images of each class, density and "
            "coverage against the validation images; median of drawing with "
            f"{plan['repeats']} seeds (least–greatest). Real images are other training images; "
            "under the nearest training image, the validation images.",
            _facts(result["facts"], ()),
            table(heads, lines),
        )
    )


def _scaling(result: Row) -> str:
    fool, each_round = result["sizes"]["fool"], result["sizes"]["round"]
    lines = []
    for what, axis in dict.fromkeys((row["what"], row["axis"]) for row in result["rows"]):
        least: dict[int, float] = {}
        for row in result["rows"]:
            if (row["what"], row["axis"]) == (what, axis):
                seconds = row["processor_seconds"]
                least[row["value"]] = min(seconds, least.get(row["value"], seconds))
        each = (f"{value:,}: {significant(1000 * cost)}" for value, cost in least.items())
        exponent = slope(list(least), list(least.values()))
        lines.append((what, axis, "; ".join(each), f"{exponent:.2f}"))
    return "\n\n".join(
        (
            f"## Scaling\n\nMilliseconds of one processor, the least of "
            f"{1 + max(row['repeat'] for row in result['rows'])} turns, as one thing is "
            "varied; and the exponent with which they grow (1: in proportion). `fool`: "
            f"{fool['images']} images, {fool['steps']} steps, on the `fast` network; a round: "
            f"{each_round['images']} candidates, {each_round['steps']} steps, one step of the "
            f"`draw` network ({result['parameters']:,} parameters). 10 classes and 28×28 pixels "
            "in both.",
            _facts(result["facts"], ()),
            table(("", "varied", "milliseconds", "exponent"), lines),
        )
    )


def _training(result: Row) -> str:
    goal, seeds = result["plan"]["goal"], result["plan"]["seeds"]
    lines = []
    fast_times, original_times = [], []
    reached = True
    for seed in range(seeds):
        for recipe, times in (("fast", fast_times), ("original", original_times)):
            rows = [r for r in result["rows"] if r["recipe"] == recipe and r["seed"] == seed]
            last = rows[-1]
            there = last["validation_accuracy"] >= goal
            reached &= there or recipe == "fast"
            times.append(last["seconds"])
            lines.append(
                (
                    str(seed),
                    f"`{recipe}`",
                    " + ".join(f"{r['epochs']:g}" for r in rows)
                    if recipe == "fast"
                    else f"{last['epochs']:g}",
                    f"{significant(last['seconds'])} s",
                    f"{last['validation_accuracy']:.2%}",
                    f"{last['test_accuracy']:.2%}",
                    "yes" if there else "no",
                )
            )
    heads = ("seed", "recipe", "epochs", "time", "validation", "test", f"≥ {goal:.1%}")
    ratio = paired_ratio(original_times, fast_times).text()
    by_epoch = _by_epoch(result)
    return "\n\n".join(
        (
            f"## Training to {goal:.1%} on the validation images\n\n`fast` with a one-cycle "
            f"schedule of {result['chosen_epochs']:g} epochs (the shortest one with which every "
            "seed of the choice got there) against the original recipe; evaluation is off the "
            "clock.",
            _facts(result["facts"], ()),
            table(heads, lines),
            f"**`fast` takes {ratio} × less time"
            + (
                ".**" if reached else "; a lower bound, since the original did not always arrive.**"
            ),
            "The original recipe, validation accuracy by epoch:",
            by_epoch,
        )
    )


def _by_epoch(result: Row) -> str:
    rows = [row for row in result["rows"] if row["recipe"] == "original"]
    seeds = sorted({row["seed"] for row in rows})
    of = {(row["seed"], row["epochs"]): row["validation_accuracy"] for row in rows}
    epochs = sorted({row["epochs"] for row in rows})
    lines = [
        (
            f"{epoch:g}",
            *(f"{of[seed, epoch]:.2%}" if (seed, epoch) in of else "" for seed in seeds),
        )
        for epoch in epochs
    ]
    return table(("epoch", *(f"seed {seed}" for seed in seeds)), lines)


def _resistance(result: Row, picture: str) -> str:
    plan, rows = result["plan"], result["rows"]
    thresholds = {name: sure(each["confidence"]) for name, each in result["thresholds"].items()}
    lines = [
        (
            row["attack"],
            f"{row['candidates']:,}",
            *(
                cell
                for name in ("own", "asked")
                for cell in (
                    _share(row["outcomes"][name]["fooled"]),
                    _share(row["outcomes"][name]["gibberish"]),
                    "" if row["family"] == OURS else f"{len(_alone(row, rows, name))}",
                )
            ),
            f"{row['ends_in_gibberish'] / row['candidates']:.1%}",
            "–"
            if row["mean_confidence_in_gibberish"] is None
            else sure(row["mean_confidence_in_gibberish"]),
            f"{significant(row['seconds'])} s",
        )
        for row in rows
    ]
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
            _facts(result["facts"], ("foolbox", _ART)),
            "\n".join(f"- {said}" for name in ("own", "asked") for said in _compared(result, name)),
            f"![What the attacks end in]({picture})",
            table(heads, lines),
        )
    )


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


_ART = "adversarial-robustness-toolbox"


def _facts(facts: Row, libraries: Sequence[str]) -> str:
    versions = facts["versions"]
    named = ", ".join(f"{name} {versions[name]}" for name in ("torch", *libraries))
    return (
        f"{facts['date']}; {facts['processor']}, {facts['cores']} cores, {facts['threads']} "
        f"threads, load {facts['load_average_at_start']} at the start; `deceive` works in "
        f"{facts['working_dtype']}; {named}."
    )
