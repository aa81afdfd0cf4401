"""The command that does the whole case study."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deceive.cli.flags import flag_error
from deceive.cli.folders import claimed
from deceive.cli.screen import log, show, task


@dataclass(frozen=True)
class Study:
    """The whole case study: train, deceive, teach rubbish, deceive again. Resumes by itself."""

    out: Path = Path("runs/study")
    """The run folder."""
    network: str = "fast"
    """Architecture of the classifier: fast, judge or study."""
    judge: str = "judge"
    """Network that says what the fooling images look like; it was trained on the same data."""
    epochs: float | None = None
    """Passes over the training images, each of the three times; by default its own recipe's."""
    training_images: int = 55_000
    """The first so many of the training images."""
    candidates: int = 100
    """Candidates for each digit when a fooling rate is measured."""
    noise_images: int = 6000
    """Images of uniform noise that are taught as rubbish in parts 2 and 4."""
    fooling_images: int = 3000
    """Fooling images that are taught as rubbish in part 4."""
    confidence: float = 0.99
    steps: int = 1000
    """The most steps a candidate may take."""
    data: Path | None = None
    """A folder with MNIST's four files, or another set's of the same form."""
    seed: int = 0
    fresh: bool = False
    """Put an earlier run in the same folder aside, and start anew."""
    json: bool = False
    """End with one JSON object on stdout."""

    def run(self) -> int:
        from pydantic import ValidationError

        from deceive.data.loading import load_data
        from deceive.reporting.figures import study_pictures
        from deceive.reporting.study import write_study_page
        from deceive.storage.runs import Run
        from deceive.study import STUDY, StudySettings, study, summary

        names = set(StudySettings.model_fields)
        try:
            settings = StudySettings(**{k: v for k, v in vars(self).items() if k in names})
        except ValidationError as error:
            raise flag_error(error) from error
        data = load_data(self.data)
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
