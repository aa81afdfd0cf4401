"""The command `deceive draw`: draw images by deceiving a network of the rounds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from deceive.cli.images import (
    check_place,
    judge_of,
    judged,
    targets_of,
    without_one_channel,
    write_sheet,
)
from deceive.cli.parsing import Command, ending
from deceive.cli.screen import show, task
from deceive.common.checks import counted
from deceive.common.errors import InputError


@dataclass(frozen=True)
class DrawCommand(Command):
    """`deceive draw`: its flags, and what it does."""

    together: ClassVar[bool] = True

    digit: str = "all"
    """The class to draw, or all for each class."""
    count: int = 10
    """Images for each class."""
    out: Path = Path("drawn.png")
    """A .png with all images in rows, a class a row, each pixel doubled; or an .npz with the arrays
    images and targets."""
    model: str = "draw"
    """A shipped network of the rounds, or a safetensors file."""
    attempts: int = 3
    """Maximum tries per image; an image that the network itself doubts is drawn again."""
    substeps: int | None = None
    """Divide each step into this many shorter ones: slower, with less grain. By default 4 for
    networks of `--preset paint`, whose steps are soft, and 1 for others."""
    polish: int | None = None
    """Steps of polishing; more make images clearer and more alike, and 0 leaves it out. By default
    15 for networks of `--preset paint`, and 10 for others."""
    judge: str | None = None
    """A network trained on the same data that says what the images look like. By default judge for
    networks of MNIST (study when judge itself is deceived), and none for others."""
    seed: int = 0
    """Seed of all random numbers."""
    json: bool = False
    """End with one JSON object on stdout."""

    def run(self) -> int:
        from deceive.common import processes
        from deceive.fooling.drawing import draw
        from deceive.storage.models import load_card, load_network

        network, card = load_network(self.model), load_card(self.model)
        if card.ascent is None or card.ascent.schedule is None:
            raise InputError(
                "--model: expected a network that draws, with a schedule in its card, "
                f"got {self.model!r}"
            )
        check_place(self.out, card)
        judge = judge_of(self.judge, card, self.model)
        targets = targets_of(self.digit, card, "--digit")
        with task(f"drawing with {self.model}") as tick:
            result = draw(
                network.to(processes.here().device),
                targets,
                count=self.count,
                start=card.start,
                seed=self.seed,
                attempts=self.attempts,
                substeps=self.substeps,
                polish="auto" if self.polish is None else self.polish,
                ascent=card.ascent,
                callback=lambda now: tick(now.finished, now.total),
            )
        processes.on_main(lambda: self._keep(result, judge, single=len(targets) == 1))
        return 0

    def _keep(self, result: Any, judge: Any, *, single: bool) -> None:
        from deceive.common.arrays import write_arrays

        summary: dict[str, Any] = {"out": str(self.out), "images": len(result)}
        text = f"{self.out}: {counted(len(result), 'image')}"
        text += judged(judge, result, summary)
        if ending(self.out) == ".npz":
            images = without_one_channel(result.levels.numpy())
            write_arrays(self.out, images=images, targets=result.targets.numpy())
        else:
            write_sheet(result.levels, self.out, count=self.count, single=single)
        show(text, summary, self.json)
