"""The table and the pictures of all contests, made from the rows on disk alone."""

from pathlib import Path

from benchmarks.contest import Row, read
from benchmarks.registry import CONTESTS, Contest
from deceive.common.files import write_text
from deceive.reporting.figures import save


def make(folder: Path, *, pictures: Path) -> str:
    """Write `folder/README.md` from the JSON files beside it, and return its text.

    Pictures go into the folder `pictures`; those of a contest held once for each network stay
    beside its rows.
    """
    parts = ["# Benchmarks\n\nMade by `make bench`; what is measured and how: `../README.md`."]
    for name, contest in CONTESTS.items():
        paths = sorted(folder.glob(contest.pattern(name)))
        if not paths and not contest.per_model:
            parts.append(f"## {name.capitalize()}\n\nNot measured yet.")
        for path in paths:
            result = _rows(folder, path.stem)
            parts.append(contest.module.table(result))
            for stem, figure in contest.pictures(result).items():
                save(figure, (folder if contest.per_model else pictures) / f"{stem}.png")
    text = "\n\n".join(parts) + "\n"
    write_text(folder / "README.md", text)
    return text


def section(folder: Path, contest: Contest, stem: str) -> str:
    """A contest's part of the table, from its rows in `folder/stem.json`."""
    return contest.module.table(_rows(folder, stem))


def _rows(folder: Path, stem: str) -> Row:
    result = read(folder, stem)
    assert result is not None
    return result
