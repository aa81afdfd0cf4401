"""The contestants: each library's targeted iterative attacks, driven as its documentation says.

A library is imported only when it is bound to a network, so that a process which measures one of
them holds no other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from deceive.fooling.ascent import Ascent
from deceive.fooling.fool import fool
from deceive.networks.frozen import FrozenCopy

# The whole box [0, 1] may be used, as `deceive.fool` uses it: a maximum norm of 1 binds no pixel,
# and a Euclidean one of 28 no image, since 28 is the box's diagonal.
MAXIMUM_NORM, EUCLIDEAN_NORM = 1.0, 28.0

SIGN_STEPS = (0.05, 0.1, 0.2, 0.3, 0.5)
EUCLIDEAN_STEPS = (2.0, 4.0, 8.0, 12.0, 16.0)


@dataclass(frozen=True)
class Setting:
    """How a library is asked: which attack, how far a step goes, how many, how many at once."""

    attack: str
    step_size: float
    """Of a pixel's range: of every pixel for sign-gradient attacks, of the mean one for `fool`;
    of the image's Euclidean norm for Euclidean attacks."""
    steps: int
    """The most that an image may take; the peers take all of them."""
    batch: int = 250


class Made(NamedTuple):
    """What an attack made: images (N, C, H, W) in [0, 1], and gradient steps over all of them."""

    images: Tensor
    image_steps: int


# Start images (N, C, H, W) in [0, 1], targets (N,) and a setting in.
Attack = Callable[[Tensor, Tensor, Setting], Made]


@dataclass(frozen=True)
class Contestant:
    """A library, its attacks with the step sizes to choose from, and how to get at them."""

    name: str
    attacks: dict[str, tuple[float, ...]]
    bind: Callable[[nn.Module, float], Attack]
    """From the network and the confidence asked for to the attack."""


def _in_batches(one: Callable[[Tensor, Tensor, Setting], Tensor]) -> Attack:
    """Libraries that take one batch a call are called once a batch."""

    def attack(images: Tensor, targets: Tensor, setting: Setting) -> Made:
        parts = zip(images.split(setting.batch), targets.split(setting.batch), strict=True)
        made = torch.cat([one(x, y, setting) for x, y in parts])
        return Made(made, len(images) * setting.steps)

    return attack


def _deceive(model: nn.Module, confidence: float) -> Attack:
    asked = FrozenCopy(model, torch.zeros(1, *getattr(model, "image_shape", (1, 28, 28))))

    def attack(images: Tensor, targets: Tensor, setting: Setting) -> Made:
        result = fool(
            asked,
            targets,
            confidence=confidence,
            start=images,
            steps=setting.steps,
            ascent=FOOL[setting.attack].model_copy(update={"step_size": setting.step_size}),
            chunk=setting.batch,
        )
        return Made(result.images, int(result.steps.sum()))

    return attack


def _foolbox(model: nn.Module, confidence: float) -> Attack:
    import eagerpy
    from foolbox import PyTorchModel, attacks
    from foolbox.criteria import TargetedMisclassification

    class Confident(TargetedMisclassification):
        """The target's softmax probability is at least `confidence`."""

        def __call__(self, perturbed: Any, outputs: Any) -> Any:
            logits, restore = eagerpy.astensor_(outputs)
            rows = eagerpy.arange(logits, len(logits))
            return restore(logits.softmax(-1)[rows, self.target_classes] >= confidence)

    asked = PyTorchModel(model, bounds=(0, 1), device="cpu")
    known = {
        "LinfBasicIterativeAttack": (attacks.LinfBasicIterativeAttack, MAXIMUM_NORM),
        "LinfMomentumIterativeFastGradientMethod": (
            attacks.LinfMomentumIterativeFastGradientMethod,
            MAXIMUM_NORM,
        ),
        "L2BasicIterativeAttack": (attacks.L2BasicIterativeAttack, EUCLIDEAN_NORM),
        "L2MomentumIterativeFastGradientMethod": (
            attacks.L2MomentumIterativeFastGradientMethod,
            EUCLIDEAN_NORM,
        ),
    }

    def one(images: Tensor, targets: Tensor, setting: Setting) -> Tensor:
        kind, epsilon = known[setting.attack]
        attack = kind(abs_stepsize=setting.step_size, steps=setting.steps, random_start=False)
        _, clipped, _ = attack(asked, images, Confident(targets), epsilons=epsilon)
        return clipped

    return _in_batches(one)


def _torchattacks(model: nn.Module, confidence: float) -> Attack:
    import torchattacks

    def made(setting: Setting) -> Any:
        step, steps = setting.step_size, setting.steps
        if setting.attack == "PGD":
            return torchattacks.PGD(model, MAXIMUM_NORM, step, steps, random_start=False)
        if setting.attack == "MIFGSM":
            return torchattacks.MIFGSM(model, MAXIMUM_NORM, step, steps)
        return torchattacks.PGDL2(model, EUCLIDEAN_NORM, step, steps, random_start=False)

    def one(images: Tensor, targets: Tensor, setting: Setting) -> Tensor:
        attack = made(setting)
        attack.set_mode_targeted_by_label(quiet=True)
        return attack(images, targets)

    return _in_batches(one)


def _captum(model: nn.Module, confidence: float) -> Attack:
    from captum.robust import PGD

    attack = PGD(model, nn.CrossEntropyLoss(reduction="none"), lower_bound=0, upper_bound=1)

    def one(images: Tensor, targets: Tensor, setting: Setting) -> Tensor:
        return attack.perturb(
            images, MAXIMUM_NORM, setting.step_size, setting.steps, targets, targeted=True
        )

    return _in_batches(one)


def _art(model: nn.Module, confidence: float) -> Attack:
    from art.attacks.evasion import MomentumIterativeMethod, ProjectedGradientDescent
    from art.estimators.classification import PyTorchClassifier

    shape = tuple(getattr(model, "image_shape", (1, 28, 28)))
    n_classes = getattr(model, "n_outputs", 10)
    asked = PyTorchClassifier(
        model,
        loss=nn.CrossEntropyLoss(),
        input_shape=shape,
        nb_classes=n_classes,
        clip_values=(0, 1),
        device_type="cpu",
    )
    known: dict[str, tuple[Any, Any, float]] = {
        "ProjectedGradientDescent": (ProjectedGradientDescent, "inf", MAXIMUM_NORM),
        "MomentumIterativeMethod": (MomentumIterativeMethod, "inf", MAXIMUM_NORM),
        "ProjectedGradientDescent, norm 2": (ProjectedGradientDescent, 2, EUCLIDEAN_NORM),
    }

    def attack(images: Tensor, targets: Tensor, setting: Setting) -> Made:
        kind, norm, epsilon = known[setting.attack]
        made = kind(
            asked,
            norm=norm,
            eps=epsilon,
            eps_step=setting.step_size,
            max_iter=setting.steps,
            targeted=True,
            batch_size=setting.batch,
            verbose=False,
        )
        fooling = torch.from_numpy(made.generate(images.numpy(), targets.numpy()))
        return Made(fooling, len(images) * setting.steps)

    return attack


# The ascents of `fool`, with its own momentum; the batch is its `chunk`.
DEFAULT = "fool by momentum"
FOOL = {DEFAULT: Ascent(), "fool by polyak": Ascent(rule="polyak")}
DECEIVE = Contestant(
    "deceive",
    {
        DEFAULT: (Ascent().step_size, 0.02, 0.05, 0.1, 0.15),
        "fool by polyak": (Ascent().step_size, 0.02, 0.05),
    },
    _deceive,
)

PEERS = (
    Contestant(
        "foolbox",
        {
            "LinfBasicIterativeAttack": SIGN_STEPS,
            "LinfMomentumIterativeFastGradientMethod": SIGN_STEPS,
            "L2BasicIterativeAttack": EUCLIDEAN_STEPS,
            "L2MomentumIterativeFastGradientMethod": EUCLIDEAN_STEPS,
        },
        _foolbox,
    ),
    Contestant(
        "torchattacks",
        {"PGD": SIGN_STEPS, "MIFGSM": SIGN_STEPS, "PGDL2": EUCLIDEAN_STEPS},
        _torchattacks,
    ),
    Contestant("captum", {"PGD": SIGN_STEPS}, _captum),
    Contestant(
        "ART",
        {
            "ProjectedGradientDescent": SIGN_STEPS,
            "MomentumIterativeMethod": SIGN_STEPS,
            "ProjectedGradientDescent, norm 2": EUCLIDEAN_STEPS,
        },
        _art,
    ),
)
