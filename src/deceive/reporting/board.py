"""A run of rounds as TensorBoard shows it. Reads rows and arrays, and never trains."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from deceive.common.errors import InputError
from deceive.common.progress import Task, Tick
from deceive.reporting.figures import contact_sheet, shown_images
from deceive.storage.kinds import Row
from deceive.storage.runs import Run, round_name
from deceive.teaching.rows import ROUNDS, load_made

# Names of a writer's files.
_EVENTS = "events.out.tfevents.*"

# News arrive every round; they are written once in this many rounds.
_EVERY = 50


def summary_writer() -> Any:
    """A TensorBoard writer. Raises `InputError` when the package is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InputError(
            "--tensorboard: expected the package tensorboard; pip install 'deceive[tensorboard]'"
        ) from error
    return SummaryWriter


class Board:
    """Writes `tensorboard/` in the folder of a run: figures of rows, sheets of images, news.

    It starts by writing all existing rows, so that a resumed run is shown as a whole.

    Raises:
        InputError: when the package tensorboard is not installed.
    """

    def __init__(self, run: Run) -> None:
        self.run = run = run.of(ROUNDS)
        self.shown: list[Row] = []
        folder = run.folder / "tensorboard"
        if folder.is_dir():  # follows symlinks; other files there stay
            for path in folder.glob(_EVENTS):
                path.unlink()
        self.writer = summary_writer()(folder)
        for row in run.rows():
            self.show(row)

    def show(self, row: Row) -> None:
        """Write each number of a row as PART/NAME, and its images as one sheet; once per row."""
        if row in self.shown:
            return
        self.shown.append(row)
        step = row["round"]
        for name, value in row.items():
            if isinstance(value, int | float) and name != "round":
                self.writer.add_scalar(f"{row['part']}/{name}", value, step)
        arrays = "drawn" if row["part"] == "quality" else round_name(step)
        if row["part"] != "rollback" and self.run.has_arrays(arrays):
            levels = shown_images(load_made(self.run, arrays))
            sheet = contact_sheet(levels.reshape(-1, *levels.shape[2:]), columns=levels.shape[1])
            self.writer.add_image(f"{row['part']}/images", sheet, step)
        self.writer.flush()

    def listening(self, task: Task) -> Task:
        """The same task, which also sends its news to this board once in a while."""

        @contextmanager
        def listened(description: str) -> Iterator[Tick]:
            with task(description) as report:

                def both(done: float, total: float, note: str = "") -> None:
                    report(done, total, note)
                    if note and done % _EVERY == 0:
                        self.writer.add_text("news", note, int(done))

                yield both

        return listened
