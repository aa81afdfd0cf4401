"""Training a classifier on labelled images held in memory. Knows nothing of rubbish."""

import functools
import math
import time
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Generator, Tensor, nn

from deceive.common import arguments, checks, processes
from deceive.common.errors import InputError
from deceive.networks.classifier import Classifier
from deceive.networks.guarded import Network, guard_of
from deceive.networks.inference import answers_of, device_of, logits_of, working_dtype


class TrainingSettings(BaseModel):
    """How a network is trained: AdamW under a one-cycle (Smith 2018) or a constant rate."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: float = Field(default=8, gt=0, lt=10_000)
    """Passes over the images; the last may be a part of one."""
    batch_size: int = Field(default=250, ge=2, lt=checks.MOST)
    learning_rate: float = Field(default=0.01, gt=0, le=checks.GREATEST)
    """The greatest one; under "one-cycle" it is reached after 30% of the steps."""
    schedule: Literal["one-cycle", "constant"] = "one-cycle"
    weight_decay: float = Field(default=0.01, ge=0, le=checks.GREATEST)
    label_smoothing: float = Field(default=0.05, ge=0, lt=1)
    """Szegedy et al. 2016."""
    rotation: float = Field(default=8, ge=0, le=180)
    """Greatest turn of an image, in degrees."""
    scaling: float = Field(default=0.08, ge=0, lt=1)
    """Greatest stretch along each axis, and greatest shear, as a share."""
    translation: float = Field(default=2, ge=0, le=checks.GREATEST)
    """Greatest shift along each axis, in pixels."""
    elasticity: float = Field(default=0.6, ge=0, le=checks.GREATEST)
    """Elastic distortion (Simard et al. 2003): standard deviation, in pixels along each axis, of
    the shifts at a grid of 5×5 knots, between which they are interpolated."""
    adversarial_radius: float = Field(default=0, ge=0, le=checks.GREATEST)
    """How far an adversary may move an image before the network learns from it (Madry et al. 2018);
    at 0 there is none."""
    adversarial_norm: Literal["pixel", "image"] = "pixel"
    """Of what that is the radius: of what each pixel may change by (L∞), or of the Euclidean
    distance between images (L2)."""
    adversarial_steps: int = Field(default=5, ge=1, lt=checks.MOST)
    """Its steps up the loss: of half the radius for pixels, and for images of such a size that all
    together are one and a half times the radius."""

    @model_validator(mode="after")
    def _no_pixel_leaves_the_bounds(self) -> "TrainingSettings":
        if self.adversarial_norm == "pixel" and self.adversarial_radius > 1:
            raise ValueError(
                "expected an adversarial_radius of at most 1 for pixels, "
                f"got {self.adversarial_radius}"
            )
        return self


class TrainingProgress(NamedTuple):
    """Where a call of `fit` stands, given to its callback after every step."""

    step: int
    steps: int
    epoch: float
    loss: float


@arguments.taking(
    network=arguments.module,
    images=arguments.images,
    labels=arguments.labels,
    settings=arguments.maybe(arguments.of("TrainingSettings", TrainingSettings)),
    still=arguments.maybe(arguments.mask),
    callback=arguments.maybe(arguments.function),
)
def fit(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    settings: TrainingSettings | None = None,
    *,
    seed: int = 0,
    still: Tensor | None = None,
    callback: Callable[[TrainingProgress], None] | None = None,
) -> float:
    """Train `network` in place, and leave it in evaluation mode.

    Among several processes (`processes.join`) each takes its share of every batch, and gradients
    are averaged; augmentation, dropout and the statistics of batch normalisation are each one's
    own, the last averaged when all is done.

    Args:
        network: images (N, C, H, W) in [0, 1] in, logits (N, K) out.
        images: (N, C, H, W) float32 in [0, 1].
        labels: (N,) int64 in 0 to K - 1.
        settings: how; the defaults are the `fast` network's.
        seed: for the order, the augmentation and dropout.
        still: (N,) bool, the images that augmentation leaves alone; none by default.
        callback: called after every step with a `TrainingProgress`.

    Returns:
        Seconds of wall time.

    Raises:
        InputError: when images, labels, `still` and the network's logits don't fit each other,
            when the network has nothing to train, when a batch has not 2 images for each process,
            or the loss is no longer finite.
    """
    checks.seed("seed", seed)
    settings = settings or TrainingSettings()
    if len(images) != len(labels) or len(images) < settings.batch_size:
        raise InputError(
            f"images: expected at least a batch of {settings.batch_size}, and as many labels; "
            f"got {len(images)} images and {len(labels)} labels"
        )
    if still is not None:
        arguments.as_many("still", still, len(images), "images")
    if not any(each.requires_grad for each in network.parameters()):
        raise InputError("network: expected parameters to train, got none with requires_grad")
    labels = labels.long()
    extremes = torch.stack(labels.aminmax()).cpu()
    here, part = processes.here(), processes.share(settings.batch_size)
    if settings.batch_size < 2 * here.count:
        raise InputError(
            f"batch_size: expected at least 2 images for each of {here.count} processes, "
            f"got {settings.batch_size}"
        )
    weight = len(part) * here.count / settings.batch_size  # of this share's mean in the batch's
    started = time.perf_counter()
    device = device_of(network)
    dtype = working_dtype(device)
    generator = Generator().manual_seed(seed)
    shaking = generator if here.count == 1 else processes.generator(seed)
    steps_an_epoch = len(images) // settings.batch_size
    steps = max(1, round(settings.epochs * steps_an_epoch))
    optimiser = torch.optim.AdamW(
        network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    schedule: torch.optim.lr_scheduler.LRScheduler
    if settings.schedule == "one-cycle":
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, settings.learning_rate, total_steps=steps + 1
        )
    else:
        schedule = torch.optim.lr_scheduler.ConstantLR(optimiser, factor=1)

    if isinstance(network, Classifier):  # another's `view` may not stand it
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.train()

    def loss_of(x: Tensor, y: Tensor) -> Tensor:
        with torch.autocast(device.type, dtype, dtype != torch.float32):
            logits = network(x)
        if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(y):
            raise arguments.refusal("network", f"logits ({len(y)}, K) out", logits)
        arguments.within_classes("labels", extremes, logits.shape[1], "network")
        return F.cross_entropy(logits.float(), y, label_smoothing=settings.label_smoothing)

    with processes.seeded(seed + here.rank, device):  # dropout draws from the global generators
        for step in range(steps):
            place = step % steps_an_epoch
            if place == 0:
                order = torch.randperm(len(images), generator=generator)
            batch = order[place * settings.batch_size :][part.start : part.stop]
            x = augment(images[batch], settings, shaking)
            if still is not None:
                x = torch.where(still[batch, None, None, None], images[batch], x)
            x, y = x.to(device), labels[batch].to(device)
            if settings.adversarial_radius:
                x = attacked(x, y, loss_of, settings, shaking)
            loss = weight * loss_of(x, y)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            mean = loss.detach()
            processes.average_([*_gradients(network), mean])
            optimiser.step()
            schedule.step()
            value = mean.item()
            if not math.isfinite(value):
                raise InputError(
                    f"training: expected a finite loss, got {value} at step {step}; "
                    "a smaller learning rate may help"
                )
            if callback is not None:
                callback(TrainingProgress(step + 1, steps, (step + 1) / steps_an_epoch, value))
    processes.average_([each for each in network.buffers() if each.is_floating_point()])
    network.eval()
    return time.perf_counter() - started


def _gradients(network: nn.Module) -> list[Tensor]:
    return [each.grad for each in network.parameters() if each.grad is not None]


# Keeps a gradient of nothing but zeros at zero when it is divided by its length.
_TINY = torch.finfo(torch.float32).tiny

# Knots along each side of the grid of elastic shifts.
_KNOTS = 5


@functools.cache
def _bicubic(height: int, width: int) -> Tensor:
    """What each knot's shift is to each pixel: (knots, height × width). A product with it is ten
    times as quick as interpolating every image's shifts.
    """
    unit = torch.eye(_KNOTS**2).view(-1, 1, _KNOTS, _KNOTS)
    return F.interpolate(unit, size=(height, width), mode="bicubic", align_corners=True).flatten(1)


@arguments.taking(
    network=arguments.of("a Classifier", Classifier),
    images=arguments.images,
    labels=arguments.labels,
)
@torch.no_grad()
def calibrate(network: Classifier, images: Tensor, labels: Tensor) -> float:
    """Scale the network's logits so that its confidence is as great as it is right.

    Label smoothing leaves a network too shy, training without it too bold. Dividing the logits by
    a temperature (Guo et al. 2017) changes no prediction; it goes into the head's weights.

    Args:
        network: changed in place.
        images: (N, C, H, W) float32 in [0, 1], none of which it was trained on.
        labels: (N,) int64.

    Returns:
        The temperature under which the labels are likeliest, between 0.1 and 10.

    Raises:
        InputError: when images, labels and the network's logits don't fit each other.
    """
    arguments.as_many("labels", labels, len(images), "images")
    logits = answers_of("network", network, images).double()
    labels = labels.cpu().long()
    arguments.within_classes("labels", labels, logits.shape[1], "network")
    right = logits.gather(1, labels[:, None]).squeeze(1)
    # Newton's method in 1 / temperature, in which the cross-entropy is convex; no step more than
    # halves or doubles it. Where every image is read rightly there is no minimum but the bound.
    scale = torch.ones((), dtype=torch.float64)
    for _ in range(30):
        p = (scale * logits).softmax(1)
        mean = (p * logits).sum(1)
        slope = (mean - right).mean()
        curvature = (p * (logits - mean[:, None]).square()).sum(1).mean()
        step = (slope / curvature).clamp(-scale, scale / 2)
        scale = (scale - step).clamp(0.1, 10)
    network.temper(scale.item())
    return 1 / scale.item()


@torch.no_grad()
def expect_rubbish(
    network: Network, images: Tensor, labels: Tensor, *, share: float, confidence: float
) -> float:
    """Make a network with a rubbish class expect rubbish no more often than digits can bear.

    A network that learnt from as many images of rubbish as of digits believes that half of all
    images are rubbish, and is as shy as that. Another prior odds of rubbish is a number that is
    added to the rubbish class's logit (Saerens et al. 2002); it goes into the head's bias, and
    changes nothing about which of the other classes is likeliest.

    Args:
        network: changed in place; its last output is the rubbish class.
        images: (N, C, H, W) float32 in [0, 1], none of them rubbish, none seen in training.
        labels: (N,) int64.
        share: of these images, in (0, 1), the part that is to be given at least `confidence`.
        confidence: softmax probability of an image's label, in (0, 1).

    Returns:
        What was added. Where no number would do, since too many of the images are taken for other
        classes, it is 0.
    """
    logits = logits_of(network, images).double()
    right = logits.gather(1, labels.cpu()[:, None])
    others = logits[:, :-1].scatter(1, labels.cpu()[:, None], -torch.inf)
    # p ≥ c as long as rubbish · e^s ≤ right · (1 - c) / c - others, all in units of right.
    room = (1 - confidence) / confidence - (others - right).exp().sum(1)
    most = room.clamp_min(0).log() + right[:, 0] - logits[:, -1]
    wanted = most.sort(descending=True).values[math.ceil(share * len(most)) - 1].item()
    added = wanted if math.isfinite(wanted) else 0.0
    guard_of(network).head.bias[-1] += added
    return added


def attacked(
    images: Tensor,
    labels: Tensor,
    loss_of: Callable[[Tensor, Tensor], Tensor],
    settings: TrainingSettings,
    generator: Generator,
) -> Tensor:
    """Images (N, C, H, W) in [0, 1] moved to where the loss is great, within the radius.

    Projected gradient ascent (Madry et al. 2018) from a random place: by the gradient's sign if the
    radius is of pixels, by the gradient over its length if it is of images. All pixels stay in
    [0, 1], and each of them, or the image, within the radius of where it was.
    """
    radius, steps = settings.adversarial_radius, settings.adversarial_steps
    of_pixels = settings.adversarial_norm == "pixel"

    def within(x: Tensor) -> Tensor:
        if of_pixels:
            return x.clamp(images - radius, images + radius).clamp(0, 1)
        moved = x - images
        return (images + moved * (radius / _length(moved).clamp_min(radius))).clamp(0, 1)

    if of_pixels:
        low, high = within(images - radius), within(images + radius)
        x = low + (high - low) * torch.rand(images.shape, generator=generator).to(images.device)
    else:
        away = torch.randn(images.shape, generator=generator).to(images.device)
        x = within(images + 0.3 * radius * away / math.sqrt(images[0].numel()))
    for _ in range(steps):
        (gradient,) = torch.autograd.grad(loss_of(x.requires_grad_(), labels), x)
        if of_pixels:
            step = radius / 2 * gradient.sign()
        else:
            step = 1.5 * radius / steps * gradient / _length(gradient).clamp_min(_TINY)
        x = within(x.detach() + step)
    return x


def _length(images: Tensor) -> Tensor:
    """The Euclidean length of each image: (N, C, H, W) → (N, 1, 1, 1)."""
    length: Tensor = images.flatten(1).norm(dim=1)
    return length[:, None, None, None]


def augment(images: Tensor, settings: TrainingSettings, generator: Generator) -> Tensor:
    """Turn, stretch, shear, shift and bend each image (N, C, H, W) by random amounts of its own."""
    s = settings
    if s.rotation == s.scaling == s.translation == s.elasticity == 0 or not len(images):
        return images
    n, _, height, width = images.shape
    draw = torch.rand(6, n, generator=generator) * 2 - 1
    angle = draw[0] * math.radians(s.rotation)
    stretch_x, stretch_y, shear = 1 + draw[1:4] * s.scaling
    shear = shear - 1
    pixel = torch.tensor([2 / width, 2 / height])  # in the grid's units
    affine = torch.empty(n, 2, 3)
    affine[:, 0, 0] = angle.cos() * stretch_x
    affine[:, 0, 1] = shear - angle.sin() * stretch_x
    affine[:, 1, 0] = angle.sin() * stretch_y
    affine[:, 1, 1] = angle.cos() * stretch_y
    affine[:, :, 2] = draw[4:].T * s.translation * pixel
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    if s.elasticity:
        knots = torch.randn(2, n, _KNOTS**2, generator=generator) * s.elasticity
        shifts = (knots @ _bicubic(height, width)).view(2, n, height, width)
        grid = grid + shifts.permute(1, 2, 3, 0) * pixel
    return F.grid_sample(images, grid, align_corners=False)
