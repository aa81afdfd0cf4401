"""Hold the contests, write their rows, and make the table and the picture of the rows alone."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from benchmarks import table
from benchmarks.contest import HERE, read, write


def main(
    contest: tyro.conf.Positional[
        Literal[
            "all",
            "ablation",
            "accuracy",
            "drawing",
            "fooling",
            "literal",
            "memory",
            "page",
            "plain",
            "polishing",
            "resistance",
            "scaling",
            "training",
            "table",
        ]
    ] = "all",
    *,
    quick: bool = False,
    model: str | None = None,
    repeats: Annotated[int | None, tyro.conf.arg(metavar="N")] = None,
    count: Annotated[int | None, tyro.conf.arg(metavar="N")] = None,
    steps: Annotated[int | None, tyro.conf.arg(metavar="N")] = None,
    epochs: Annotated[int | None, tyro.conf.arg(metavar="N")] = None,
    minutes: Annotated[tuple[float, ...] | None, tyro.conf.arg(metavar="N")] = None,
    resume: bool = False,
    out: Path | None = None,
) -> None:
    """Side by side with peers: images per second, memory, time to an accuracy, drawing, resistance.

    Args:
        contest: which one to hold; `table` only makes the table again from rows on disk. Ablation,
            drawing, polishing and resistance take long, and are not among `all` unless they are
            quick.
        quick: tiny sizes, to see that it runs; its figures mean nothing.
        model: the network to fool, to resist or to draw with, a shipped name or a file; `fast` by
            default, in polishing `draw`.
        repeats: how often each contestant of a fooling contest, and each size of scaling, has its
            turn; how many seeds are trained with in ablation, training, drawing and the literal
            round, drawn with in polishing, and deceived with in plain.
        count: images a repeat in fooling; candidates from each kind of start in resistance; images
            of each class in plain and polishing.
        steps: the most steps an image may take in fooling and in resistance.
        epochs: the most epochs the original recipe is given.
        minutes: budgets of training in drawing.
        resume: keep the rows of ablation, drawing, polishing and resistance that are on disk, and
            only hold what is missing.
        out: the folder for rows and table; `benchmarks/results` by default, or its `quick`.
    """
    folder = out or HERE / "results" / ("quick" if quick else "")
    if contest == "ablation" or (contest == "all" and quick):
        from benchmarks.contests import ablation

        chosen = ablation.plan(quick, seeds=repeats)
        for result in ablation.run(chosen, read(folder, "ablation") if resume else None):
            write(folder, "ablation", result)
    if contest in ("all", "accuracy"):
        from benchmarks.contests import accuracy

        write(folder, "accuracy", accuracy.run(accuracy.QUICK if quick else accuracy.Plan()))
    if contest == "drawing" or (contest == "all" and quick):
        from benchmarks.contests import drawing

        what = drawing.plan(quick, minutes=minutes, seeds=repeats)
        for result in drawing.run(what, read(folder, "drawing") if resume else None):
            write(folder, "drawing", result)
    if contest in ("all", "fooling"):
        from benchmarks.contests import fooling

        asked = {"model": model, "repeats": repeats, "count": count, "steps": steps}
        write(folder, "fooling", fooling.run(fooling.plan(quick, **asked)))
    if contest in ("all", "literal"):
        from benchmarks.contests import literal

        write(folder, "literal", literal.run(literal.plan(quick, repeats=repeats)))
    if contest in ("all", "memory"):
        from benchmarks.contests import memory

        counts = memory.QUICK if quick else memory.COUNTS
        write(folder, "memory", memory.run(counts, model or memory.MODEL))
    if contest in ("all", "page"):
        from benchmarks.contests import page

        write(folder, "page", page.run(page.QUICK if quick else page.REPEATS))
    if contest in ("all", "plain"):
        from benchmarks.contests import plain

        write(folder, "plain", plain.run(plain.plan(quick, repeats=repeats, count=count)))
    if contest == "polishing" or (contest == "all" and quick):
        from benchmarks.contests import polishing

        what = polishing.plan(quick, model=model, repeats=repeats, count=count)
        for result in polishing.run(what, read(folder, "polishing") if resume else None):
            write(folder, "polishing", result)
    if contest == "resistance" or (contest == "all" and quick):
        from benchmarks.contests import resistance

        what = resistance.plan(quick, model=model, count=count, steps=steps)
        name = f"resistance-{Path(what.model).stem}"
        for result in resistance.run(what, read(folder, name) if resume else None):
            write(folder, name, result)
    if contest in ("all", "scaling"):
        from benchmarks.contests import scaling

        for result in scaling.run(scaling.plan(quick, repeats=repeats)):
            write(folder, "scaling", result)
    if contest in ("all", "training"):
        from benchmarks.contests import training

        write(folder, "training", training.run(training.plan(quick, epochs=epochs, seeds=repeats)))
    is_kept = folder == HERE / "results"
    print(table.make(folder, pictures=HERE.parent / "images" if is_kept else folder))


if __name__ == "__main__":
    tyro.cli(main, prog="python -m benchmarks")
