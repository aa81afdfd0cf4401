"""`draw`: images from fresh noise, over whole schedules, with a network of the rounds."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from deceive.common import arguments, checks, processes
from deceive.common.errors import InputError, NoGradientWarning, warn
from deceive.common.levels import UNIT
from deceive.fooling import checked
from deceive.fooling.ascent import Ascent, Schedule
from deceive.fooling.attempts import Drawing
from deceive.fooling.result import FoolingResult, Progress
from deceive.fooling.starts import starts_of
from deceive.networks.guarded import Network

# The ascent that the shipped `draw` network was trained with, and so draws with.
DRAWING = Ascent(
    rule="sign",
    momentum=0,
    step_size=0.18,
    noise=1,
    schedule=Schedule(steps=20, least_noise=0.03, noise_power=1.5),
)

# How its images are polished: in tiny steps, in noise that falls once more, along the gradient
# itself, which unlike its sign hardly moves pixels that are right. Chosen on the same images as
# what follows.
POLISH = Ascent(
    rule="momentum",
    momentum=0,
    step_size=0.0025,
    noise=0.8,
    schedule=Schedule(steps=10, least_noise=0.2),
)

# The same for an ascent with soft steps, whose images are in grey or colour: as soft, and along the
# gradient over its root mean square. Chosen on validation images (docs/laboratory/fashion.md and
# colour.md).
SOFT_POLISH = Ascent(
    rule="normalised",
    momentum=0,
    step_size=0.01,
    noise=0.6,
    softness=3,
    schedule=Schedule(steps=15, least_noise=0.1),
)

# Each step of a soft ascent is divided into this many. Each substep sees other noise, so less
# chance is left in the image. Chosen on validation images (docs/laboratory/fashion.md). Steps by
# the sign gain nothing from it (docs/laboratory/polishing.md).
SOFT_SUBSTEPS, _MOST_SUBSTEPS = 4, 1000

# The confidence at which an image is accepted, and how often it may be drawn. Chosen on training
# and validation images (docs/laboratory/polishing.md); real digits get a little more than that.
ACCEPTED, ATTEMPTS = 0.5, 3


_POLISHES = "an Ascent, a number of steps, 'auto' or None"


@arguments.taking(
    network=arguments.module,
    polish=arguments.maybe(arguments.of(_POLISHES, Ascent, str, int)),
    ascent=arguments.of("an Ascent", Ascent),
    trajectory=arguments.flag,
    callback=arguments.maybe(arguments.function),
)
@torch.inference_mode(False)  # inference mode has no gradients
def draw(
    network: Network,
    targets: int | Iterable[int] | Tensor,
    *,
    count: int = 1,
    start: str | Tensor = "uniform",
    seed: int = 0,
    polish: Ascent | int | str | None = "auto",
    accepted: float | None = ACCEPTED,
    attempts: int = ATTEMPTS,
    ascent: Ascent = DRAWING,
    substeps: int | None = None,
    chunk: int = 250,
    trajectory: bool = False,
    callback: Callable[[Progress], None] | None = None,
) -> FoolingResult:
    """Draw images of the targets from noise, only by deceiving `network`.

    Each image climbs (`climb`) over the ascent's whole schedule, in noise that falls step by step
    and at first hides all but coarse structure. A network trained in the rounds gives digits that
    way; any other gives static.

    Two things improve them. Images are polished: they take a few more tiny steps along the gradient
    itself. Then the network is run on each image once more, in noise of 0.3 that it is told about.
    An image below the accepted confidence is drawn again from other noise, and the most confident
    attempt is kept (rejection by the network itself, as in Azadi et al. 2019).

    >>> from deceive import Classifier, draw
    >>> network = Classifier("draw", 11, (1, 8, 8)).eval()  # not trained, so this draws static
    >>> draw(network, [3, 7], count=2, accepted=None).levels.shape
    torch.Size([4, 1, 8, 8])

    Args:
        network: images in, logits out; ideally one trained in rounds with this `ascent`.
        targets: class indices; each gets `count` images, which follow one another in the result.
            Leave out the rubbish class, the last output of a network of the rounds: it isn't
            refused here, since a network doesn't say which of its outputs that is.
        count: images per target.
        start: as in `fool`. Take what the network was trained with: `card.start`.
        seed: image number i is the same for any number of images.
        polish: the ascent of those last steps, with a schedule of its own. `auto` takes `POLISH`,
            or `SOFT_POLISH` if the ascent has a softness. A number takes that many of its
            steps, not 10 or 15; more make images clearer and more alike. None or 0 leaves them out.
        accepted: a confidence in (0, 1), over all outputs; None accepts every image.
        attempts: how often an image may be drawn; if `start` is a tensor, only the noise changes.
        ascent: how images climb; it needs a schedule. For a network of other rounds, give those of
            its card: `card = deceive.load_card(path)` has `card.ascent` and `card.start`.
        substeps: divide each step of the ascent into this many, shorter in proportion. More take
            longer and leave less grain; by default 4 where the ascent has a softness, and 1 where
            it has none.
        chunk: how many images are drawn at once; bounds the memory.
        trajectory: keep every step of every image.
        callback: called with a `Progress` after every step of the batch; each attempt, and its
            polishing, counts from 0.

    Returns:
        Images count as fooled where the network's confidence exceeds 0.5.

    Raises:
        InputError: a `ValueError`, for an ascent or a polish without a schedule, and for anything
            that `fool` refuses.
    """
    polishing = _polishing(polish, SOFT_POLISH if ascent.softness else POLISH)
    ascents = {"ascent": ascent} if polishing is None else {"ascent": ascent, "polish": polishing}
    for name, each in ascents.items():
        if each.schedule is None:
            raise InputError(f"{name}: expected one with a schedule, got none")
        checked.aimless(name, each)
    if substeps is None:
        substeps = SOFT_SUBSTEPS if ascent.softness else 1
    checks.at_least("substeps", substeps, 1, _MOST_SUBSTEPS)
    ascents["ascent"] = ascent.divided(substeps)
    checks.at_least("attempts", attempts, 1, checks.MOST)
    checks.seed("seed", seed, checks.SEEDS)
    checked.sizes(0, chunk, seed)
    if accepted is not None:
        checks.open_interval("accepted", accepted, 0, 1)
    size = checked.shape(None, network, start)
    wanted = checked.targets(targets, count, size)
    starts = starts_of(start, len(wanted), size, seed, UNIT)
    net = checked.frozen(network, starts, wanted, UNIT)
    drawing = Drawing(net, [*ascents.values()], chunk, trajectory=trajectory, callback=callback)
    drawn = drawing.best(wanted, start, seed, accepted=accepted, attempts=attempts)
    if drawn.caution is not None and processes.here().is_main:
        warn(drawn.caution, NoGradientWarning)
    return drawn


def _polishing(polish: Ascent | int | str | None, usual: Ascent) -> Ascent | None:
    """How images are polished, if at all; in the usual way for `auto` or a number of steps."""
    if polish is None or isinstance(polish, Ascent):
        return polish
    if isinstance(polish, str):
        if polish != "auto":
            raise InputError(f"polish: expected {_POLISHES}, got {checks.shown(polish)}")
        return usual
    checks.at_least("polish", polish, 0, checks.MOST)
    return Ascent(**usual.settings_with({"schedule": {"steps": polish}})) if polish else None
