"""The command `deceive export`: write a network as an ONNX graph."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from deceive.cli.parsing import Command, ending
from deceive.cli.screen import show
from deceive.common.errors import InputError


@dataclass(frozen=True)
class ExportCommand(Command):
    """`deceive export`: its flags, and what it does."""

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="[MODEL]")] = "fast"
    """A shipped network, or a safetensors file. The graph takes images with pixels in [0, 1] and
    gives logits. A network for images in noise (draw, judge-in-noise, one), or one that the preset
    paint made, takes a second input, noise: for each image, the standard deviation of the gaussian
    noise that you have added to its pixels; 0 for none."""
    out: Path | None = None
    """Where the graph goes; by default the network's name with .onnx, in this folder."""
    gradient: bool = False
    """Also write the gradient of the objective with respect to the pixels; the graph then takes
    targets too."""
    training_step: bool = False
    """Write a step of training instead, for programs that can only ask networks: the graph takes
    (weights, state, number, learning_rate, images, labels), and noise as above, and gives new
    weights and state, the loss and the logits. All weights are one vector; the state begins as
    zeros, and the number of the step at 1."""
    objective: str = "log_odds"
    """The objective whose gradient is written: log_odds, log_probability, logit or margin."""
    json: bool = False
    """End with one JSON object on stdout."""

    def run(self) -> int:
        from deceive.common.files import check_writable
        from deceive.storage.export import export_onnx
        from deceive.storage.models import load_network
        from deceive.storage.stepping import export_training_step

        out = self.out or Path(f"{Path(self.model).stem}.onnx")
        if ending(out) != ".onnx":
            raise InputError(f"--out: expected a name that ends in .onnx, got {out}")
        check_writable(out, streams=False)
        if self.training_step and self.gradient:
            raise InputError("--training-step: expected no --gradient beside it, got both")
        network = load_network(self.model)
        if self.training_step:
            export_training_step(network, out)
            takes = ["weights", "state", "number", "learning_rate", "images", "labels"]
            gives = ["new_weights", "new_state", "loss", "logits"]
        else:
            export_onnx(network, out, gradient=self.gradient, objective=self.objective)
            takes = ["images", *(["targets"] * self.gradient)]
            gives = ["logits", *(["gradient"] * self.gradient)]
        takes += ["noise"] * network.hears_noise
        size = out.stat().st_size
        show(
            f"{out}: ({', '.join(takes)}) to ({', '.join(gives)}), {size / 1e6:.2f} MB",
            {
                "out": str(out),
                "bytes": size,
                "gradient": self.gradient,
                "training_step": self.training_step,
                "objective": self.objective if self.gradient else None,
            },
            self.json,
        )
        return 0
