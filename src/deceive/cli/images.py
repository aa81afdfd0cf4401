"""Commands that make images: fooling ones, and drawn ones."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from deceive.cli.flags import ending, targets_of
from deceive.cli.parsing import Command
from deceive.cli.screen import show, task
from deceive.common.checks import counted
from deceive.common.errors import InputError

# Default judges: the first that isn't the judged network itself.
_JUDGES = ("judge", "study")


@dataclass(frozen=True)
class FoolCommand(Command):
    """`deceive fool`: its flags, and what it does."""

    together: ClassVar[bool] = True

    target: str = "all"
    """The class to be taken for, or all of them."""
    out: Path = Path("fooled.npz")
    """A .png (for one image) or an .npz with images, targets, confidence, steps, fooled."""
    model: str = "fast"
    """A shipped network, or a safetensors file."""
    count: int = 1
    """Images for each target."""
    confidence: float = 0.99
    """Softmax probability of the target to reach."""
    start: str = "uniform"
    """Where an image begins: uniform, gaussian, smooth, blank or squares."""
    steps: int = 1000
    """The most steps an image may take."""
    judge: str | None = None
    """A network that says what the images look like, if it was trained on the same data; by default
    the shipped judge, or study where that is deceived itself."""
    seed: int = 0
    """Seed of all random numbers."""
    json: bool = False
    """End with one JSON object on stdout."""

    def run(self) -> int:
        import warnings

        from deceive.common import processes
        from deceive.common.errors import NoGradientWarning
        from deceive.fooling.fool import fool
        from deceive.storage.models import load_card, load_network

        network, card = load_network(self.model), load_card(self.model)
        targets = targets_of(self.target, card, "--target")
        if ending(self.out) not in (".npz", ".png"):
            raise InputError(f"--out: expected an .npz, or a .png for one image, got {self.out}")
        total = len(targets) * self.count
        if ending(self.out) == ".png" and total > 1:
            raise InputError(
                f"--out: expected an .npz for {counted(total, 'image')}, got {self.out}; "
                "a .png holds one"
            )
        _check_place(self.out, card)
        judge = _judge(self.judge, card, self.model)
        with task(f"deceiving {self.model}") as report, warnings.catch_warnings():
            warnings.simplefilter("ignore", NoGradientWarning)  # reported at the end
            result = fool(
                network.to(processes.here().device),
                targets,
                count=self.count,
                confidence=self.confidence,
                start=self.start,
                steps=self.steps,
                seed=self.seed,
                callback=lambda now: report(now.finished, now.total),
            )
        processes.on_main(lambda: self._keep(result, network, judge))
        return 0 if bool(result.fooled.all()) else 1

    def _keep(self, result: Any, network: Any, judge: Any) -> None:
        summary: dict[str, Any] = {
            "out": str(self.out),
            "candidates": len(result),
            "fooling_rate": result.fooling_rate,
            "median_steps": result.median_steps,
            "stalled": int(result.stalled.sum()),
        }
        verdict_of_judge = _judged(judge, result, summary)
        if ending(self.out) == ".png":
            target = int(result.targets[0])
            confidence = _write_and_reread(self.out, network, result.levels[0], target)
            short = "" if result.fooled[0] else f", short of {self.confidence:g}"
            verdict = f"is a {target} with confidence {confidence:.4f}{short}"
            steps = counted(int(result.steps[0]), "step")
            text = f"{self.out}: read back, it {verdict}, {steps}"
            summary["confidence"] = confidence
        else:
            from deceive.common.arrays import write_arrays
            from deceive.storage.runs import arrays_of

            arrays = arrays_of(result)
            levels = arrays.pop("levels")
            write_arrays(self.out, images=_without_one_channel(levels), **arrays)
            text = (
                f"{self.out}: {int(result.fooled.sum())} of {len(result)} candidates fool "
                f"{self.model}"
            )
            if result.median_steps is not None:
                text += f", median steps {result.median_steps:g}"
            text += verdict_of_judge
        show(text, summary, self.json, note=result.caution)


@dataclass(frozen=True)
class DrawCommand(Command):
    """`deceive draw`: its flags, and what it does."""

    together: ClassVar[bool] = True

    digit: str = "all"
    """The class to draw, or all of them."""
    count: int = 10
    """Images for each class."""
    out: Path = Path("drawn.png")
    """A .png with all of them in rows, or an .npz with the arrays images and targets."""
    model: str = "draw"
    """A shipped network of the rounds, or a safetensors file."""
    attempts: int = 3
    """How often an image may be drawn: one that the network itself doubts is drawn again."""
    judge: str | None = None
    """A network that says what the images look like, if it was trained on the same data; by default
    the shipped judge, or study where that is deceived itself."""
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
                f"--model: expected a network that draws, whose card says how; {self.model!r} "
                "has no schedule in its card"
            )
        if ending(self.out) not in (".npz", ".png"):
            raise InputError(f"--out: expected a .png or an .npz, got {self.out}")
        _check_place(self.out, card)
        judge = _judge(self.judge, card, self.model)
        targets = targets_of(self.digit, card, "--digit")
        with task(f"drawing with {self.model}") as report:
            result = draw(
                network.to(processes.here().device),
                targets,
                count=self.count,
                seed=self.seed,
                attempts=self.attempts,
                ascent=card.ascent,
                callback=lambda now: report(now.finished, now.total),
            )
        processes.on_main(lambda: self._keep(result, judge, single=len(targets) == 1))
        return 0

    def _keep(self, result: Any, judge: Any, *, single: bool) -> None:
        from deceive.common.arrays import write_arrays
        from deceive.reporting.figures import contact_sheet, save

        summary: dict[str, Any] = {"out": str(self.out), "images": len(result)}
        text = f"{self.out}: {counted(len(result), 'image')}"
        text += _judged(judge, result, summary)
        if ending(self.out) == ".npz":
            images = _without_one_channel(result.levels.numpy())
            write_arrays(self.out, images=images, targets=result.targets.numpy())
        else:
            columns = min(self.count, 10) if single else self.count
            save(contact_sheet(result.levels.numpy(), columns=columns), self.out)
        show(text, summary, self.json)


def _check_place(out: Path, card: Any) -> None:
    """Raise `InputError` before any work if such images can't be written."""
    from deceive.common.files import check_writable

    if ending(out) == ".png" and card.image_shape[0] not in (1, 3, 4):
        raise InputError(f"--out: expected an .npz for images of {card.image_shape[0]} channels")
    check_writable(out)


def _judge(asked: str | None, card: Any, model: str) -> Any:
    """The judge for images of the model with this card, and its name.

    None if it was trained on other data. Raises `InputError` when it is the model itself.
    """
    from deceive.storage.models import load_card, load_network

    for name in _JUDGES if asked is None else (asked,):
        its = load_card(name)
        if its.weights_sha256 == card.weights_sha256:
            continue
        return (name, load_network(name)) if its.data_checksum == card.data_checksum else None
    raise InputError(f"--judge: expected a network other than {model}, got the same one")


def _judged(judge: Any, result: Any, summary: dict[str, Any]) -> str:
    """The judge's agreement, in words and in the summary; empty without a judge."""
    from deceive.judging.measures import agreement

    if judge is None:
        return ""
    name, network = judge
    agreed = agreement(network, result.images, result.targets)
    summary |= {"judge": name, "judge_agreement": agreed}
    by = "the judge" if name == _JUDGES[0] else f"the judge, {name},"
    return f"; {by} takes {agreed:.1%} for their targets"


def _without_one_channel(levels: Any) -> Any:
    """(N, H, W) for images of one channel, else as they are."""
    return levels[:, 0] if levels.shape[1] == 1 else levels


def _write_and_reread(path: Path, network: Any, levels: Any, target: int) -> float:
    """Write levels (C, H, W) as a PNG, read it back, and give the network's confidence in it."""
    import numpy as np
    import torch
    from PIL import Image

    from deceive.common.files import replacing
    from deceive.common.levels import from_levels
    from deceive.networks.inference import probabilities_of

    pixels = levels.permute(1, 2, 0).numpy()
    with replacing(path) as temporary:  # read back from the temporary file, as `path` may be a FIFO
        Image.fromarray(pixels[..., 0] if len(levels) == 1 else pixels).save(
            temporary, format="PNG"
        )
        with Image.open(temporary) as image:
            read = torch.from_numpy(np.array(image)).view(*levels.shape[1:], len(levels))
    return probabilities_of(network, from_levels(read.permute(2, 0, 1)[None]))[0, target].item()
