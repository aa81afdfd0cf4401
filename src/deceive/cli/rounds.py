"""The command `deceive rounds`, with a flag for each of their settings."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import tyro
from pydantic import ValidationError

from deceive.cli.data import DataFlags
from deceive.cli.folders import claimed
from deceive.cli.parsing import Command, about_flag, chosen, flag_error
from deceive.cli.screen import log, show, task
from deceive.common import checks
from deceive.common.checks import counted
from deceive.common.errors import InputError
from deceive.teaching import PRESETS, RoundsSettings, changed

AUTO = "auto"
"""The preset that suits the images."""


@dataclass(frozen=True)
class Choice:
    """The flags that decide which other flags there are, and their defaults."""

    preset: str = AUTO
    """auto (draw or paint, whichever suits the images), draw (until digits emerge), paint (the same
    for images in grey or colour), resist (until gibberish hardly deceives), one (until one network
    reads, resists and draws), or study (the case study's own procedure). Each has flags of its own:
    see --preset NAME --help. Those of draw are shown for auto."""
    file: Annotated[Path | None, tyro.conf.arg(name="settings")] = None
    """A JSON file with settings that replace the preset's."""


@dataclass(frozen=True, kw_only=True)
class RoundsCommand(Choice, DataFlags, Command):
    """`deceive rounds`: its flags, and what it does."""

    together: ClassVar[bool] = True
    resumes: ClassVar[bool] = True

    settings: Annotated[RoundsSettings, tyro.conf.arg(name="")]
    out: Path | None = None
    """The run folder; by default runs/PRESET."""
    tensorboard: bool = False
    """Also write rows, images and news to tensorboard/ in the run folder, while it runs."""
    fresh: bool = False
    """Set aside an earlier run in the same folder, and start over."""
    json: bool = False
    """End with one JSON object on stdout."""

    @classmethod
    def usual(cls, arguments: Sequence[str]) -> Self:
        choice = chosen(Choice, arguments)
        checks.one_of("--preset", choice.preset, (AUTO, *PRESETS))
        preset = _suited(arguments) if choice.preset == AUTO else choice.preset
        try:
            settings = changed(PRESETS[preset], choice.file)
        except ValidationError as error:
            raise flag_error(error) from error
        return cls(preset=choice.preset, file=choice.file, settings=settings)

    def run(self) -> int:
        from deceive.common import processes
        from deceive.storage.models import load_card, load_network
        from deceive.teaching import preset_for

        data = self.load()
        preset = self.preset
        if preset == AUTO:
            preset = preset_for(data.validation)
            if self.named:
                log.print(f"For these images the preset is {preset}.")
        with about_flag("--judge"):
            judge = load_network(self.settings.judge)
        if load_card(self.settings.judge).data_checksum != data.checksum:
            raise InputError(
                f"--judge: expected a network that was trained on the images in {data.folder}, "
                f"got {self.settings.judge!r}, trained on others; deceive train --data makes one"
            )
        if judge.image_shape != data.image_shape:
            reads, are = (
                "×".join(map(str, each)) for each in (judge.image_shape, data.image_shape)
            )
            raise InputError(
                f"--judge: expected a network for images of {are}, got one for {reads}"
            )
        self.settings.check(data)
        if self.tensorboard:
            from deceive.reporting.board import summary_writer

            summary_writer()
        out = self.out or Path("runs") / preset
        with ExitStack() as claims:
            processes.on_main(lambda: claims.enter_context(claimed(out, fresh=self.fresh)))
            self._play(data, judge.to(processes.here().device), out)
        return 0

    def _play(self, data: Any, judge: Any, out: Path) -> None:
        from deceive.common import processes
        from deceive.storage.runs import Run
        from deceive.teaching import rounds
        from deceive.teaching.rows import ROUNDS

        settings = self.settings.model_dump(mode="json") | {"data_checksum": data.checksum}
        run = processes.on_main(lambda: Run(out, settings, ROUNDS))
        board = None
        if self.tensorboard and processes.here().is_main:
            from deceive.reporting.board import Board

            board = Board(run)
        watched = board.listening(task) if board else task
        for row in rounds(data, run, self.settings, judge, watched):
            log.print(f"  {_round_in_words(row)}")
            if board:
                board.show(row)
        processes.on_main(lambda: self._finish(run))

    def _finish(self, run: Any) -> None:
        from deceive.reporting.figures import rounds_pictures
        from deceive.reporting.rounds import write_rounds_page

        rounds_pictures(run)
        page = write_rounds_page(run)
        rows = run.rows()
        last = next(row for row in reversed(rows) if row["part"] == "round")
        show(
            f"{page}: {counted(last['round'], 'round')} in {last['seconds']:.0f} s",
            {"rows": rows, "report": str(page)},
            self.json,
        )


def _suited(arguments: Sequence[str]) -> str:
    """The preset for the images that a command line names: `draw` for help, and where none are."""
    data = chosen(DataFlags, arguments)
    if not data.named or not {"-h", "--help"}.isdisjoint(arguments):
        return "draw"
    from deceive.teaching import preset_for

    return preset_for(data.open().validation)


def _round_in_words(row: dict[str, Any]) -> str:
    if row["part"] == "quality":
        return (
            f"{row['images']:,} fresh images: the judge agrees with {row['judge_agreement']:.1%}, "
            f"Fréchet distance {row['frechet_distance']:.2f} (real images "
            f"{row['floor_frechet_distance']:.2f}), {row['images_per_second']:.0f} images a second"
        )
    said = f"round {row['round']:,}, {row['seconds']:.0f} s: "
    if "fooling_rate" in row:
        said += f"fooled by {row['fooling_rate']:.1%} of {row['images']:,} candidates; "
    if "gibberish_rate" in row:
        said += f"{row['gibberish_rate']:.1%} are gibberish; "
    return said + f"the judge agrees with {row['judge_agreement']:.1%}"
