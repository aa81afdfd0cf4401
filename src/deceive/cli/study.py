"""The command `deceive study`: run the whole case study."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import tyro

from deceive.cli.data import DataFlags
from deceive.cli.folders import claimed
from deceive.cli.parsing import Command
from deceive.cli.screen import log, show, task
from deceive.study import STUDY, StudySettings, study, summary


@dataclass(frozen=True, kw_only=True)
class StudyCommand(DataFlags, Command):
    """`deceive study`: its flags, and what it does."""

    resumes: ClassVar[bool] = True

    settings: Annotated[StudySettings, tyro.conf.arg(name="")]
    out: Path = Path("runs/study")
    """The run folder."""
    fresh: bool = False
    """Set aside an earlier run in the same folder, and start over."""
    json: bool = False
    """End with one JSON object on stdout."""

    @classmethod
    def usual(cls, arguments: Sequence[str]) -> Self:
        return cls(settings=StudySettings())

    def run(self) -> int:
        from deceive.reporting.figures import study_pictures
        from deceive.reporting.study import write_study_page
        from deceive.storage.runs import Run

        settings = self.settings
        data = self.load()
        settings.check(data)
        rows = []
        with claimed(self.out, fresh=self.fresh):
            run = Run(self.out, settings.model_dump() | {"data_checksum": data.checksum}, STUDY)
            for row in study(data, run, settings, task):
                rows.append(row)
                log.print(f"  {_in_words(row)}")
                study_pictures(run)
                page = write_study_page(run)
        show(
            f"{page}: done in {rows[-1]['seconds']:.0f} s of work",
            summary(rows) | {"report": str(page)},
            self.json,
        )
        return 0


def _in_words(row: dict[str, Any]) -> str:
    match row["part"]:
        case "classifier":
            return f"trained {row['network']}: {row['test_accuracy']:.2%} of the test set"
        case "fooling":
            return f"deceived it: {_fooling_in_words(row)}"
        case "rubbish":
            return (
                f"taught it {row['name']} as rubbish ({row['rubbish_images']:,} images in all): it "
                f"catches {row['caught']:.0%} of the last ten, reads {row['test_accuracy']:.2%} of "
                f"the test set; deceived again: {_fooling_in_words(row)}"
            )
    return "all four parts are done"


def _fooling_in_words(row: dict[str, Any]) -> str:
    median = row["median_steps"]
    return (
        f"{row['fooling_rate']:.1%} of {row['candidates']:,} candidates"
        + (f", median steps {median:g}" if median is not None else "")
        + f"; the judge agrees with {row['judge_agreement']:.1%} (chance {row['chance']:.0%})"
    )
