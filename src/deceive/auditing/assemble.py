"""The folder of an audit → its `audit.json`. Reads what is stored, and asks no model."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from deceive.auditing.attacks import arrays_named
from deceive.auditing.rows import AUDIT, Sizes, load_outcomes, sizes_of
from deceive.auditing.schema import (
    VERSION,
    Attack,
    Clean,
    Curve,
    Data,
    Failure,
    Garbage,
    Headline,
    Judge,
    Model,
    Name,
    Outcome,
    Report,
    Threshold,
)
from deceive.auditing.settings import QUICK, THOROUGH, AuditSettings
from deceive.common.arrays import Arrays
from deceive.common.errors import InputError
from deceive.common.files import write_text
from deceive.common.flags import command_line, flags_of
from deceive.common.version import __version__
from deceive.storage.runs import Row, Run

_NAMES: tuple[Name, Name] = ("asked", "own")

# The arrays of an attack's candidates, at each threshold.
Outcomes = dict[Name, Arrays]

# Share of stalled candidates from which the audit warns.
_STALLED = 0.1


def write_audit(run: Run) -> Report:
    """Write `audit.json` in the run folder from what is there, finished or not, and give it back.

    Raises `InputError` when the folder holds no audit, or a file of it is damaged.
    """
    report = assemble(run)
    write_text(run.folder / "audit.json", report.model_dump_json(indent=2) + "\n")
    return report


def assemble(run: Run) -> Report:
    """Everything that an audit has found so far.

    Raises `InputError` when the folder holds no audit, or one of another version of this package.
    """
    if run.word != AUDIT.word:
        raise InputError(f"{run.folder}: expected the folder of an audit, found another run's")
    if (version := run.settings.get("audit")) != VERSION:
        raise InputError(
            f"{run.folder}: expected an audit of schema version {VERSION}, got version "
            f"{version!r}; choose another folder, or start anew with --fresh"
        )
    run = run.of(AUDIT)
    subject = run.row(part="subject")
    if subject is None:
        raise InputError(f"{run.folder}: expected the audited model's row, got none")
    try:
        return _assembled(run, subject)
    except (KeyError, ValidationError) as error:
        said = error.errors()[0]["msg"] if isinstance(error, ValidationError) else repr(error)
        raise InputError(
            f"{run.folder}: expected consistent rows of one audit, got others ({said})"
        ) from error


def _assembled(run: Run, subject: Row) -> Report:
    rows = {row["part"]: row for row in run.rows()}
    plan: dict[str, str] = subject["plan"]
    failures = {
        row["of"]: row["reason"]
        for row in run.rows()
        if row["part"] == "failure" and row["of"] not in rows
    }
    missing = [words for name, words in plan.items() if name not in rows and name not in failures]
    if "clean" in failures:
        missing = []  # everything else needs it, so more time would not help
    attacks = [row for row in rows.values() if "attack" in row]
    clean = rows.get("clean")
    warnings = [said for row in rows.values() for said in row.get("warnings", [])]
    sizes = sizes_of(subject["model"]["image_shape"], subject["data"]["n_classes"])
    stored = [(row, stored_outcomes(run, row, sizes)) for row in attacks]
    headlines = _headlines(stored)
    warnings += _without_gradient(headlines)
    return Report(
        deceive=__version__,
        command=command(run.settings, **subject["again"]),
        complete=not missing and not failures,
        missing=list(dict.fromkeys(missing)),
        failures=[Failure(part=plan[name], reason=said) for name, said in failures.items()],
        warnings=list(dict.fromkeys(warnings)),
        notes=subject["notes"],
        model=Model.model_validate(subject["model"]),
        data=Data.model_validate(subject["data"]),
        judges=_judges(subject["judges"], clean),
        judge_accuracy=clean["judge_accuracy"] if clean else None,
        settings=AuditSettings(**{name: run.settings[name] for name in AuditSettings.model_fields}),
        clean=Clean(**_fields(clean, Clean)) if clean else None,
        thresholds=[Threshold(**each) for each in clean["thresholds"]] if clean else [],
        headlines=headlines,
        attacks=_attacks(stored),
        curves=[
            Curve(name=row["curve"], **_fields(row, Curve))
            for row in rows.values()
            if "curve" in row
        ],
        garbage=[Garbage(**_fields(row, Garbage)) for row in rows.values() if "kind" in row],
        seconds=round(sum(row.get("seconds", 0) for row in rows.values()), 2),
    )


def _judges(judges: list[Row], clean: Row | None) -> list[Judge]:
    accuracies = clean["judge_accuracies"] if clean else [None] * len(judges)
    if len(accuracies) != len(judges):
        raise InputError(
            f"judge_accuracies: expected one for each of {len(judges)} judges, "
            f"got {len(accuracies)}"
        )
    return [
        Judge.model_validate(judge | {"accuracy": accuracy})
        for judge, accuracy in zip(judges, accuracies, strict=True)
    ]


def command(
    settings: Row, *, data: str | None = None, other_data: str | None = None, trust: bool = False
) -> str:
    """The command that reproduces an audit.

    Args:
        settings: the run's.
        data: the folder of the real images, where it isn't MNIST.
        other_data: the folder given as --other-data, if any.
        trust: whether --trust was given.
    """
    words = [settings["model"]]
    if data is not None:
        words += ["--data", data]
    given = AuditSettings(**{name: settings[name] for name in AuditSettings.model_fields})
    preset = min((QUICK, THOROUGH), key=lambda each: len(flags_of(given, each)))
    if preset is THOROUGH:
        words.append("--thorough")
    if trust:
        words.append("--trust")
    if settings["judges"] != ["auto"]:
        words += ["--judge", *(settings["judges"] or ["none"])]
    if other_data is not None:
        words += ["--other-data", other_data]
    words += _declared("", settings["interface"])
    words += _declared("judge-", settings["judge_interface"])
    return command_line("audit", *words, *flags_of(given, preset))


def _declared(prefix: str, interface: Row) -> list[str]:
    """The flags for what is declared of a model."""
    words = []
    for name, values in (interface["scaling"] or {}).items():
        if values is not None:
            words += [f"--{prefix}{name}", *(repr(value).removesuffix(".0") for value in values)]
    for name in ("output", "rubbish_class"):
        if interface[name] is not None:
            words += [f"--{prefix}{name.replace('_', '-')}", str(interface[name])]
    return words


def stored_outcomes(run: Run, row: Row, sizes: Sizes) -> Outcomes:
    """The outcomes of an attack's candidates by threshold: levels, fooled and so on.

    Raises `InputError` when they are missing, damaged, or of other sizes.
    """
    arrays = load_outcomes(run, row, sizes)
    return {name: arrays_named(arrays, name) | {"targets": arrays["targets"]} for name in _NAMES}


def gibberish(arrays: Arrays) -> NDArray[np.bool_] | None:
    """Which candidates the model is sure of and the judges are not; None without judges."""
    if "judged" not in arrays:
        return None
    found: NDArray[np.bool_] = arrays["fooled"] & (arrays["judged"] != arrays["targets"])
    return found


def _attacks(stored: list[tuple[Row, Outcomes]]) -> list[Attack]:
    """The groups of one attack from one start are put together."""
    together: dict[tuple[str, str, str], list[Outcomes]] = {}
    for row, outcomes in stored:
        key = (row["attack"], row["box"], row["start"])
        together.setdefault(key, []).append(outcomes)
    return [
        Attack.model_validate(
            {
                "name": attack,
                "box": box,
                "start": start,
                "outcomes": [_outcome(name, [group[name] for group in groups]) for name in _NAMES],
            }
        )
        for (attack, box, start), groups in together.items()
    ]


def _outcome(name: Name, groups: list[Arrays]) -> Outcome:
    fooled = np.concatenate([group["fooled"] for group in groups])
    steps = np.concatenate([group["steps"] for group in groups])
    judged = [each for group in groups if (each := gibberish(group)) is not None]
    nonsense = np.concatenate(judged) if len(judged) == len(groups) else None
    stalled = [group["stalled"] for group in groups if "stalled" in group]
    return Outcome(
        threshold=name,
        candidates=len(fooled),
        fooling_rate=float(fooled.mean()),
        gibberish_rate=None if nonsense is None else float(nonsense.mean()),
        median=_median(steps[fooled]),
        gibberish_median=None if nonsense is None else _median(steps[nonsense]),
        stalled=float(np.concatenate(stalled).mean()) if stalled else None,
    )


def _headlines(stored: list[tuple[Row, Outcomes]]) -> list[Headline]:
    """For each box, the candidates with which any attack succeeds."""
    headlines = []
    for box in ("white", "black"):
        here = [(row, each) for row, each in stored if row["box"] == box]
        if here:
            outcomes = [_union(name, [(row, each[name]) for row, each in here]) for name in _NAMES]
            headlines.append(Headline.model_validate({"box": box, "outcomes": outcomes}))
    return headlines


def _union(name: Name, stored: list[tuple[Row, Arrays]]) -> Outcome:
    """One candidate is one start image and target, whichever attacks have tried it."""
    fooled: dict[tuple[str, int], bool] = {}
    nonsense: dict[tuple[str, int], bool] = {}
    steps: dict[tuple[str, int], int] = {}
    to_nonsense: dict[tuple[str, int], int] = {}
    stalled: dict[tuple[str, int], list[bool]] = {}
    judged = True
    for row, arrays in stored:
        # In a black box a candidate is a target and a number; there is no start that all share.
        start = row["start"] if row["box"] == "white" else ""
        first = int(row.get("first", 0))
        found = gibberish(arrays)
        judged &= found is not None
        for place, reached in enumerate(arrays["fooled"].tolist()):
            key = (start, first + place)
            fooled[key] = fooled.get(key, False) or reached
            if found is not None:
                nonsense[key] = nonsense.get(key, False) or bool(found[place])
            taken = int(arrays["steps"][place])
            if reached:
                steps[key] = min(steps.get(key, taken), taken)
            if found is not None and found[place]:
                to_nonsense[key] = min(to_nonsense.get(key, taken), taken)
            if "stalled" in arrays:
                stalled.setdefault(key, []).append(bool(arrays["stalled"][place]))
    stuck = [not fooled[key] and sum(each) > len(each) / 2 for key, each in stalled.items()]
    return Outcome(
        threshold=name,
        candidates=len(fooled),
        fooling_rate=sum(fooled.values()) / len(fooled),
        gibberish_rate=sum(nonsense.values()) / len(fooled) if judged else None,
        median=_median([*steps.values()]),
        gibberish_median=_median([*to_nonsense.values()]) if judged else None,
        stalled=sum(stuck) / len(stuck) if stuck else None,
    )


def _without_gradient(headlines: list[Headline]) -> list[str]:
    """The warning about vanished gradients, if it applies."""
    share = max(
        (each.stalled or 0 for headline in headlines for each in headline.outcomes), default=0
    )
    if share < _STALLED:
        return []
    return [
        f"The gradient vanished (0, or too small for float32) for {share:.0%} of the candidates "
        "of the gradient attacks, so their failure says nothing about how hard the model is to "
        "fool. Let the model return logits, not probabilities; if it rounds its input, trust the "
        "black-box search instead."
    ]


def _median(steps: Sequence[int] | NDArray[np.int64]) -> float | None:
    return float(np.median(steps)) if len(steps) else None


def _fields(row: Row, schema: type[Any]) -> Row:
    return {name: row[name] for name in schema.model_fields if name in row}
