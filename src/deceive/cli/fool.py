"""The command `deceive fool`: optimise images until a network takes them for a class."""

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
from deceive.common.checks import counted, one_of


@dataclass(frozen=True)
class FoolCommand(Command):
    """`deceive fool`: its flags, and what it does."""

    together: ClassVar[bool] = True

    target: str = "all"
    """The class that the network should see, or all for every class."""
    out: Path = Path("fooled.npz")
    """A .png: one image pixel by pixel, more of them in rows, a class a row, each pixel doubled. Or
    an .npz with images, targets, confidence, steps, fooled."""
    model: str = "fast"
    """A shipped network, or a safetensors file."""
    count: int = 1
    """Images for each target."""
    confidence: float = 0.99
    """The softmax probability of the target to reach."""
    start: str = "uniform"
    """The kind of start image: uniform, gaussian, smooth, blank or squares."""
    rule: str = "momentum"
    """How steps follow the gradient: momentum, sign, adam, normalised or polyak. polyak takes the
    fewest, and changes images more."""
    steps: int = 1000
    """The most steps an image may take."""
    judge: str | None = None
    """A network trained on the same data that says what the images look like; by default judge, or
    study when judge itself is deceived."""
    seed: int = 0
    """Seed of all random numbers."""
    json: bool = False
    """End with one JSON object on stdout."""

    def run(self) -> int:
        import warnings

        from deceive.common import processes
        from deceive.common.errors import NoGradientWarning
        from deceive.fooling.ascent import Ascent
        from deceive.fooling.fool import fool
        from deceive.fooling.rules import RULES
        from deceive.storage.models import load_card, load_network

        one_of("--rule", self.rule, RULES)
        network, card = load_network(self.model), load_card(self.model)
        targets = targets_of(self.target, card, "--target")
        check_place(self.out, card)
        judge = judge_of(self.judge, card, self.model)
        with task(f"deceiving {self.model}") as tick, warnings.catch_warnings():
            warnings.simplefilter("ignore", NoGradientWarning)  # reported at the end
            result = fool(
                network.to(processes.here().device),
                targets,
                count=self.count,
                confidence=self.confidence,
                start=self.start,
                steps=self.steps,
                seed=self.seed,
                ascent=Ascent(rule=self.rule),
                callback=lambda now: tick(now.finished, now.total),
            )
        processes.on_main(lambda: self._keep(result, network, judge, single=len(targets) == 1))
        return 0 if bool(result.fooled.all()) else 1

    def _keep(self, result: Any, network: Any, judge: Any, *, single: bool) -> None:
        summary: dict[str, Any] = {
            "out": str(self.out),
            "candidates": len(result),
            "fooling_rate": result.fooling_rate,
            "median_steps": result.median_steps,
            "stalled": int(result.stalled.sum()),
        }
        agreed = judged(judge, result, summary)
        is_png = ending(self.out) == ".png"
        if is_png and len(result) == 1:
            text = self._write_png(result, network, summary)
        else:
            if is_png:
                write_sheet(result.levels, self.out, count=self.count, single=single)
            else:
                self._write_arrays(result)
            text = self._found(result) + agreed
        show(text, summary, self.json, note=result.caution)

    def _write_png(self, result: Any, network: Any, summary: dict[str, Any]) -> str:
        """Write the image, read it back, and report the network's confidence in it."""
        import torch

        from deceive.auditing.shares import sure
        from deceive.common.levels import from_levels
        from deceive.networks.inference import probabilities_of
        from deceive.reporting.figures import read_png, save

        target = int(result.targets[0])
        levels = torch.from_numpy(read_png(save(result.levels[0].numpy(), self.out)))
        confidence = probabilities_of(network, from_levels(levels[None]))[0, target].item()
        summary["confidence"] = confidence
        short = "" if result.fooled[0] else f", short of {self.confidence:g}"
        steps = counted(int(result.steps[0]), "step")
        article = "an" if str(target).startswith("8") or target in (11, 18) else "a"
        return (
            f"{self.out}: {self.model} is {sure(confidence)} sure that it is {article} {target}"
            f"{short}, after {steps}"
        )

    def _write_arrays(self, result: Any) -> None:
        from deceive.common.arrays import write_arrays
        from deceive.storage.runs import arrays_of

        arrays = arrays_of(result)
        levels = arrays.pop("levels")
        write_arrays(self.out, images=without_one_channel(levels), **arrays)

    def _found(self, result: Any) -> str:
        """How many images fool the network."""
        text = f"{self.out}: {int(result.fooled.sum())} of {len(result)} images fool {self.model}"
        if result.median_steps is not None:
            text += f", in a median of {result.median_steps:g} steps"
        return text
