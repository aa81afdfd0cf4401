"""The pictures of a guarded classifier's page, from the stored arrays of its two audits."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deceive.auditing.record.measured import KINDS
from deceive.auditing.record.outcomes import stored_outcomes
from deceive.auditing.record.rows import AUDIT, attacked_in
from deceive.auditing.record.schema import AuditReport
from deceive.auditing.record.stored import (
    REAL,
    Sizes,
    garbage_name,
    load_garbage,
    load_real,
    sizes_of,
)
from deceive.common.arrays import Arrays
from deceive.guarding.comparison import STARTS, start_of
from deceive.guarding.model import in_words
from deceive.reporting.audit import in_quotes
from deceive.reporting.figures.galleries import caption
from deceive.reporting.html import Picture, shown
from deceive.storage.runs import Run

# Images in a gallery, those of what came nearest, and pairs of images.
_SHOWN, _NEAREST, _PAIRS = 10, 5, 8

Pair = tuple[str, Picture, Picture]
"""What two pictures show: one as the classifier alone has it, one as behind the guard."""


@dataclass(frozen=True, eq=False)
class Audited:
    """One of the two audits: its folder and what was found."""

    run: Run
    report: AuditReport

    @classmethod
    def of(cls, run: Run, report: AuditReport) -> "Audited":
        """The same, with the run checked to be an audit's."""
        return cls(run.of(AUDIT), report)

    @property
    def sizes(self) -> Sizes:
        """Of its arrays."""
        return sizes_of(self.report.model.image_shape, self.report.data.n_classes)

    @property
    def names(self) -> list[str]:
        """Of its classes, in quotation marks."""
        return in_quotes(self.report.data.class_names)


class Attempt(NamedTuple):
    """Where an attack on the guarded classifier ended."""

    levels: NDArray[np.uint8]
    target: int
    confidence: float
    start: str


def real_images(before: Audited, after: Audited, threshold: float) -> list[Picture]:
    """Some test images, with the answers of both."""
    if not after.run.has_arrays(REAL):
        return []
    alone = _answers(before) if before.run.has_arrays(REAL) else {}
    arrays, pictures = load_real(after.run, after.sizes), []
    for place, image in enumerate(arrays["levels"]):
        said = _guarded(after, arrays, place, threshold)
        lines = [after.names[int(arrays["labels"][place])], *alone.get(image.tobytes(), ())]
        pictures.append((shown(image), "\n".join([*lines, f"guarded: {said}"])))
    return pictures


def _answers(before: Audited) -> dict[bytes, tuple[str]]:
    """What the classifier alone says about its audit's test images, by their bytes."""
    arrays = load_real(before.run, before.sizes)
    answers = zip(arrays["levels"], arrays["answers"], arrays["confidence"], strict=True)
    return {
        image.tobytes(): (f"alone: {_said(before, output, sure)}",)
        for image, output, sure in answers
    }


def same_attack(before: Audited, after: Audited) -> list[Pair]:
    """Where the first attack that both audits ran ends, for the same targets."""
    later = {(each.name, each.start, each.first): each for each in attacked_in(after.run)}
    for each in attacked_in(before.run):
        other = later.get((each.name, each.start, each.first))
        if other is None:
            continue
        first = stored_outcomes(before.run, each, before.sizes)["asked"]
        second = stored_outcomes(after.run, other, after.sizes)["asked"]
        count = min(len(first["targets"]), len(second["targets"]))
        if (first["targets"][:count] == second["targets"][:count]).all():
            return [
                (
                    f"to be {before.names[int(first['targets'][place])]}",
                    (shown(first["levels"][place]), f"alone\n{_sure(first, place)}"),
                    (shown(second["levels"][place]), f"guarded\n{_sure(second, place)}"),
                )
                for place in range(min(count, _PAIRS))
            ]
    return []


def _sure(arrays: dict[str, NDArray[Any]], place: int) -> str:
    only = "" if arrays["fooled"][place] else "only "
    return only + caption("", float(arrays["confidence"][place])).strip()


def surest_garbage(before: Audited, after: Audited, threshold: float) -> list[Pair]:
    """For each kind of garbage, the image that each is surest of."""
    pairs = []
    for each in after.report.garbage:
        name = garbage_name(each.kind)
        if each.kind == "optimised" or not all(x.run.has_arrays(name) for x in (before, after)):
            continue
        alone, guarded = (load_garbage(x.run, each.kind, x.sizes) for x in (before, after))
        said = _said(before, alone["predicted"][0], alone["confidence"][0])
        behind = _guarded(after, guarded, 0, threshold)
        pairs.append(
            (
                KINDS[each.kind],
                (shown(alone["levels"][0]), f"alone\n{said}"),
                (shown(guarded["levels"][0]), f"guarded\n{behind}"),
            )
        )
    return pairs


class Through(NamedTuple):
    """What an attack on the guarded classifier came to: the surest image for each target."""

    gibberish: list[Picture]
    """What passes; if nothing does, what came nearest."""
    passes: bool
    """Whether any gibberish does."""
    real: list[Picture]
    """What passes and most judges take for the target."""


def through(after: Audited, threshold: float) -> Through:
    """What gets through behind the guard."""
    gibberish, real = _surest(after)
    passes = any(each.confidence >= threshold for each in gibberish)
    return Through(
        _shown(after, gibberish, threshold) if passes else _shown(after, gibberish, 0)[:_NEAREST],
        passes,
        _shown(after, real, threshold),
    )


def _surest(after: Audited) -> tuple[list[Attempt], list[Attempt]]:
    """For each target the surest gibberish, and the surest image in which judges see it."""
    best: tuple[dict[int, Attempt], dict[int, Attempt]] = ({}, {})
    for attacked in attacked_in(after.run):
        for arrays in stored_outcomes(after.run, attacked, after.sizes).values():
            targets = arrays["targets"]
            real = arrays["judged"] == targets if "judged" in arrays else targets < 0
            for place, target in enumerate(targets.tolist()):
                group, confidence = best[int(real[place])], float(arrays["confidence"][place])
                if target not in group or confidence > group[target].confidence:
                    levels = arrays["levels"][place].copy()  # or all of them stay in memory
                    group[target] = Attempt(levels, target, confidence, start_of(attacked))
    return [*best[0].values()], [*best[1].values()]


def _shown(after: Audited, found: list[Attempt], least: float) -> list[Picture]:
    """Those with at least this confidence, the surest first."""
    chosen = sorted(found, key=lambda each: -each.confidence)[:_SHOWN]
    return [
        (
            shown(each.levels),
            f"{caption(after.names[each.target], each.confidence)}\nfrom {STARTS[each.start]}",
        )
        for each in chosen
        if each.confidence >= least
    ]


def refused_images(arrays: Arrays | None, names: list[str]) -> list[Picture]:
    """Real images that don't pass, each with its class and both answers."""
    if arrays is None:
        return []
    pictures = []
    for place, image in enumerate(arrays["levels"]):
        label, alone, guarded = (
            names[int(arrays[each][place])] for each in ("labels", "alone", "answers")
        )
        said = caption(alone, float(arrays["alone_confidence"][place]))
        sure = float(arrays["confidence"][place])
        none = float(arrays["none_of_these"][place]) if "none_of_these" in arrays else 0.0
        behind = in_words(guarded, sure, none, passes=False)
        pictures.append((shown(image), f"{label}\nalone: {said}\nguarded: {behind}"))
    return pictures


def _guarded(after: Audited, arrays: Arrays, place: int, threshold: float) -> str:
    """What the guarded classifier answers, in the words of all its answers."""
    sure = arrays["predicted_confidence" if "predicted_confidence" in arrays else "confidence"]
    output = int(arrays["predicted" if "predicted" in arrays else "answers"][place])
    if output >= len(after.names):  # the arrays of an earlier version tell no more
        return in_words("", 0.0, float(sure[place]), passes=False)
    none = float(arrays["rubbish"][place]) if "rubbish" in arrays else 0.0
    passes = bool(sure[place] >= threshold)
    return in_words(after.names[output], float(sure[place]), none, passes=passes)


def _said(audited: Audited, output: Any, confidence: Any) -> str:
    """What the classifier alone answers: outputs after the classes, if any, are rubbish."""
    names = audited.names
    word = names[int(output)] if int(output) < len(names) else "none of these"
    return caption(word, float(confidence))
