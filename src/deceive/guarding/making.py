"""Fit a guard to a classifier that has met the data, and keep both in a folder."""

import copy
from dataclasses import replace
from pathlib import Path

from deceive.auditing.about import noticed, prepared_in_words
from deceive.auditing.models.formats import WANT_TRUST
from deceive.auditing.models.interface import as_json
from deceive.common.levels import Shape
from deceive.common.progress import Task
from deceive.common.version import __version__
from deceive.data.preparation import Preparation
from deceive.guarding.asking import Heard, said_by_all
from deceive.guarding.calibrating import Calibration, calibration_of
from deceive.guarding.card import GuardCard, GuardedCard, ReaderCard, Set, write_card
from deceive.guarding.guards import Guard
from deceive.guarding.loading import composed
from deceive.guarding.meeting import Met
from deceive.guarding.model import GuardedModel
from deceive.guarding.refused import save_refused
from deceive.guarding.sample import save_sample
from deceive.guarding.settings import GuardSettings
from deceive.networks.guarded import expecting
from deceive.storage.card import Card
from deceive.storage.models import save_network
from deceive.storage.runs import weights_in


def fitted(
    met: Met, heard: Heard, guard: Guard, settings: GuardSettings, folder: Path, task: Task
) -> GuardedModel:
    """The guarded classifier, kept in the folder: weights, sample and card.

    Args:
        met: the classifier.
        heard: what it says about validation images.
        guard: the guard for the data.
        settings: how to fit it.
        folder: the run folder.
        task: shows progress.
    """
    said = said_by_all(heard, guard, task)
    calibration = calibration_of(
        said, keep=settings.keep, confidence=settings.confidence, doubt=settings.doubt
    )
    network = copy.deepcopy(guard.network).requires_grad_(False)
    expecting(network, calibration.expected)
    save_network(network, weights_in(folder, "guard"), guard.card)
    if guard.detector is not None:
        save_network(guard.detector.network, weights_in(folder, "detector"), guard.detector.card)
    save_sample(folder, met.subject, met.data)
    card = _card(met, guard, settings, calibration, len(said.labels))
    guarded = composed(folder, card, met.subject)
    save_refused(folder, guarded, heard.split, heard.logits)
    write_card(card, folder)  # last: with it, all is there
    return guarded


def _card(
    met: Met, guard: Guard, settings: GuardSettings, calibration: Calibration, images: int
) -> GuardedCard:
    subject, data = met.subject, met.data
    return GuardedCard(
        deceive=__version__,
        data=data.folder.name,
        data_checksum=data.checksum,
        class_names=list(data.class_names),
        image_shape=data.image_shape,
        preparation=_whole(met.preparation, data.image_shape),
        reader=_reader_card(met),
        guard=GuardCard(
            source=guard.source,
            architecture=guard.card.architecture,
            seconds=guard.card.seconds,
            rounds=_rounds(guard.card),
            images=None if data.train is None else len(data.train),
            certified=guard.detector is not None,
        ),
        settings=settings,
        set=Set(images=images, **vars(calibration)),
        notes=[*noticed(data), *subject.notes, *subject.warnings],
    )


def _rounds(card: Card) -> int | None:
    rounds = card.settings.get("rounds")
    return int(rounds) if isinstance(rounds, int | float) else None


def _whole(preparation: Preparation, shape: Shape) -> Preparation:
    """The preparation with everything said, so that pictures of any kind get this shape."""
    channels, *size = shape
    if not (preparation.size or preparation.resize or preparation.crop):
        preparation = replace(preparation, size=(size[0], size[1]))
    return replace(preparation, channels=channels if channels in (1, 3) else None)


def _absolute(spec: str) -> str:
    """Where a model is, from any folder: a file, or a factory in one; other names as they are."""
    place, colon, name = spec.rpartition(":")
    if Path(spec).is_file():
        return str(Path(spec).absolute())
    if Path(place).suffix == ".py" and Path(place).is_file():
        return f"{Path(place).absolute()}{colon}{name}"
    return spec


def _reader_card(met: Met) -> ReaderCard:
    subject, loaded, declared = met.subject, met.subject.loaded, met.interface
    own = declared.preprocess is None
    declared = replace(
        declared,
        scaling=subject.scaling if own else None,
        output=loaded.output or declared.output,
    )
    return ReaderCard(
        spec=met.spec and _absolute(met.spec),
        name=subject.name,
        format=loaded.format,
        white_box=subject.module is not None,
        interface=as_json(declared),  # type: ignore[arg-type]
        prepared=prepared_in_words(subject),
        trust=loaded.format in WANT_TRUST,
        digests=dict(loaded.digests),
    )
