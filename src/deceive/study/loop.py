"""The four parts of the study, each done once."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from deceive.common.progress import Task
from deceive.data.dataset import Dataset
from deceive.storage.kinds import Row
from deceive.storage.models import load_network
from deceive.storage.runs import Run
from deceive.study.rows import STUDY
from deceive.study.settings import StudySettings
from deceive.study.stages import Stages


def study(data: Dataset, run: Run, settings: StudySettings, task: Task) -> Iterator[Row]:
    """Do the parts that are missing in `run`, and yield the row of each part.

    The parts are `classifier` and `fooling` (part 1), `rubbish` at stages 1 and 2 (parts 2 to 4),
    and `done`. An interrupted study continues with the part it was in.

    Raises `InputError` for settings that don't fit the data, or a folder of another kind of run.
    """
    settings.check(data)
    run = run.of(STUDY)
    stages = Stages(run, data, settings, load_network(settings.judge), task)

    def once(like: Row, make: Callable[[], Row]) -> Row:
        if row := run.row(**like):
            return row
        started = time.perf_counter()
        row = make()
        return run.add(like | row | {"seconds": round(time.perf_counter() - started, 2)})

    yield once({"part": "classifier"}, stages.train_clean)
    yield once({"part": "fooling"}, stages.fool_clean)
    for stage in (1, 2):
        yield once({"part": "rubbish", "stage": stage}, partial(stages.teach, stage))
    seconds = sum(row["seconds"] for row in run.rows() if row["part"] != "done")
    yield run.row(part="done") or run.add({"part": "done", "seconds": round(seconds, 2)})


def summary(rows: list[Row]) -> dict[str, Any]:
    """The rows of a finished study as one object."""
    by_part = {row["part"]: row for row in rows}
    return {
        "classifier": by_part["classifier"],
        "fooling": by_part["fooling"],
        "rubbish": [row for row in rows if row["part"] == "rubbish"],
        "seconds": by_part["done"]["seconds"],
    }
