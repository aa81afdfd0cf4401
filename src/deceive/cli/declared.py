"""Flags that declare how an audited model, and its judges, take images and what they return."""

from dataclasses import dataclass
from typing import Any, Literal

from deceive.cli.data import sides
from deceive.common.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Declared:
    """How the model takes its images; by default that is found out."""

    size: str | None = None
    """HxW, such as 48x192: stretch pictures to this height and width; by default what the model
    declares, else the pictures' own size."""
    resize: int | None = None
    """Resize the shorter side of a picture to this length, before --crop."""
    crop: str | None = None
    """N or HxW: cut out the middle, after --resize."""
    bounds: tuple[float, float] | None = None
    """The model's pixel values for black and white; by default what the model declares, else the
    usual scaling that it reads best with."""
    mean: tuple[float, ...] | None = None
    """For a model that takes normalised images: the mean, one number or one per channel."""
    std: tuple[float, ...] | None = None
    """For a model that takes normalised images: the standard deviation, likewise."""
    preprocess: str | None = None
    """module:function, or path/to/file.py:function, instead of a scaling: from images
    (N, C, H, W) in [0, 1] to what the model takes."""
    output: str | None = None
    """For a model with several outputs: the one to read, by name or by number from 0."""
    class_names: str | None = None
    """A name for each of the model's outputs, in their order: A,B,C, or a file with one name a
    line. Classes of the data that are numbers get these names."""
    rubbish_class: int | None = None
    """The index of the output that stands for none of the classes."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where the models run; auto: on a GPU if there is one."""
    judge_size: str | None = None
    """Like --size, for the models given by --judge; by default what each declares."""
    judge_resize: int | None = None
    """Like --resize, for the models given by --judge."""
    judge_crop: str | None = None
    """Like --crop, for the models given by --judge."""
    judge_bounds: tuple[float, float] | None = None
    """Like --bounds, for the models given by --judge; by default what each declares, else the
    scaling that it reads best with."""
    judge_mean: tuple[float, ...] | None = None
    """Like --mean, for the models given by --judge."""
    judge_std: tuple[float, ...] | None = None
    """Like --std, for the models given by --judge."""
    judge_preprocess: str | None = None
    """Like --preprocess, for the models given by --judge."""
    judge_output: str | None = None
    """Like --output, for the models given by --judge."""
    judge_rubbish_class: int | None = None
    """Like --rubbish-class, for the models given by --judge."""

    def interface(self, prefix: Literal["", "judge_"]) -> Any:
        """What the flags with this prefix declare. Raises `InputError` that begins with a flag."""
        from deceive.auditing import Interface, Scaling
        from deceive.auditing.class_names import names_in

        def given(*names: str) -> dict[str, Any]:
            values = {name: getattr(self, prefix + name) for name in names}
            return {name: value for name, value in values.items() if value is not None}

        try:
            scaling = given("bounds", "mean", "std")
            declared: dict[str, Any] = {
                name: sides(name, value) for name, value in given("size", "crop").items()
            }
            if not prefix and self.class_names is not None:
                declared["class_names"] = names_in(self.class_names)
            return Interface(
                scaling=Scaling(**scaling) if scaling else None,
                device=self.device,
                **declared,
                **given("output", "rubbish_class", "resize", "preprocess"),
            )
        except InputError as error:
            name, colon, rest = str(error).partition(":")
            raise InputError(f"--{(prefix + name).replace('_', '-')}{colon}{rest}") from error
