"""Measuring the network of a round: making images with it, and judging them."""

import torch

from deceive.data.dataset import Dataset
from deceive.fooling.ascent import Ascent
from deceive.fooling.drawing import draw
from deceive.fooling.fool import fool
from deceive.fooling.result import FoolingResult
from deceive.fooling.starts import REAL, begin
from deceive.judging.likeness import density_and_coverage, features_of, frechet_between
from deceive.judging.measures import agreement
from deceive.networks.guarded import Network
from deceive.networks.inference import confidence_of, logits_of
from deceive.storage.kinds import Row
from deceive.teaching.retraining import candidates_of
from deceive.teaching.settings import (
    SURE,
    EmergingSettings,
    ResistingSettings,
    RetrainingSettings,
    RoundsSettings,
    UnitingSettings,
)

# Added to the seed for the images that networks are measured on; no round uses it.
FRESH = 1_000_003

# Steps that candidates take to deceive a network that learns to resist.
_MEASURED_STEPS = 300


def made(network: Network, data: Dataset, settings: RoundsSettings) -> FoolingResult:
    """The images on which a network is measured, from fresh starts, made by all processes."""
    seed, classes = FRESH + settings.seed, range(data.n_classes)
    match settings:
        case EmergingSettings():
            return draw(
                network,
                classes,
                count=settings.measured,
                seed=seed,
                start=settings.start,
                polish=None,  # without the final clean-up
                accepted=None,
                substeps=1,
                ascent=settings.ascent,
            )
        case ResistingSettings():
            return _from_noise(network, data, settings, seed)
        case RetrainingSettings():
            return candidates_of(network, data.n_classes, settings, settings.measured, seed)
        case UnitingSettings():
            return fool(network, classes, count=settings.measured, seed=seed)
    raise TypeError(type(settings))


def _from_noise(
    network: Network, data: Dataset, settings: ResistingSettings, seed: int
) -> FoolingResult:
    """Fooling images from every start that is noise."""
    starts = [start for start in dict.fromkeys(settings.starts) if start != REAL]
    count = settings.measured * data.n_classes
    images = [begin(start, range(count), data.image_shape, seed) for start in starts]
    return fool(
        network,
        torch.arange(data.n_classes).repeat(settings.measured * len(starts)),
        confidence=SURE,
        start=torch.cat(images),
        steps=_MEASURED_STEPS,
        ascent=Ascent(rule="sign", step_size=0.01, momentum=settings.momentum),
    )


def worth(
    network: Network,
    images: FoolingResult,
    data: Dataset,
    judge: Network,
    settings: RoundsSettings,
) -> Row:
    """Measures of the network and of the images made with it; changes nothing."""
    match settings:
        case EmergingSettings():
            return _as_digits(images, data, judge)
        case ResistingSettings():
            return _resistance(network, images, data, judge)
        case UnitingSettings():
            return _deceived(images) | _as_digits(images, data, judge)
    return _deceived(images) | {
        "images": len(images),
        "judge_agreement": agreement(judge, images.images, images.targets),
    }


def _deceived(found: FoolingResult) -> Row:
    return {"fooling_rate": found.fooling_rate, "median_steps": found.median_steps}


def _as_digits(drawn: FoolingResult, data: Dataset, judge: Network) -> Row:
    """The quality of the drawn images, compared with the validation images."""
    real = features_of(judge, data.validation.images)
    features = features_of(judge, drawn.images)
    density, coverage = density_and_coverage(real, features)
    return {
        "images": len(drawn),
        "judge_agreement": agreement(judge, drawn.images, drawn.targets),
        "frechet_distance": frechet_between(features, real),
        "density": density,
        "coverage": coverage,
        "confidence": drawn.confidence.mean().item(),
    }


def _resistance(network: Network, found: FoolingResult, data: Dataset, judge: Network) -> Row:
    """How often gibberish deceives the network, and how many digits it is sure of."""
    held_out = data.validation
    sure = confidence_of(logits_of(network, held_out.images), held_out.labels)
    agreed = logits_of(judge, found.images).argmax(1) == found.targets
    return _deceived(found) | {
        "images": len(found),
        "gibberish_rate": (found.fooled & ~agreed).double().mean().item(),
        "judge_agreement": agreed.double().mean().item(),
        "digits_sure": (sure >= SURE).double().mean().item(),
    }
