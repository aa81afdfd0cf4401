"""The detector for some data: the shipped one, or one that is trained and kept."""

from pathlib import Path

from deceive.certifying.training import train_detector
from deceive.common.progress import Task
from deceive.data.dataset import RealData
from deceive.guarding.guards import Detector, name_of, small_dataset
from deceive.guarding.settings import GuardSettings
from deceive.networks.classifier import Classifier
from deceive.storage.models import check_savable, load_card, load_network, save_network
from deceive.storage.shipped import shipped_names

_SHIPPED = "detector"


def detector_for(data: RealData, settings: GuardSettings, kept_in: Path, task: Task) -> Detector:
    """The detector for the data.

    Args:
        data: real images.
        settings: their seed trains a detector if none is there.
        kept_in: the folder of guards and detectors that were trained.
        task: shows progress.

    Raises `InputError` when there are no images to train one on.
    """
    if _is_shipped(data):
        return _loaded(_SHIPPED)
    path = _place_of(data, settings, kept_in)
    if not path.is_file():
        check_savable(path)
        small = small_dataset(data, settings.seed, task)
        with task("training a detector") as tick:
            network, card = train_detector(
                small, seed=settings.seed, callback=lambda now: tick(now.step, now.steps)
            )
        save_network(network, path, card)
    return _loaded(path)


def check_detector(data: RealData, settings: GuardSettings, kept_in: Path) -> None:
    """Raise the `WriteError` that `detector_for` would, before anything is written."""
    path = _place_of(data, settings, kept_in)
    if not _is_shipped(data) and not path.is_file():
        check_savable(path)


def _is_shipped(data: RealData) -> bool:
    return _SHIPPED in shipped_names() and load_card(_SHIPPED).data_checksum == data.checksum


def _place_of(data: RealData, settings: GuardSettings, kept_in: Path) -> Path:
    return kept_in / f"{name_of(data)}-detector-seed-{settings.seed}.safetensors"


def _loaded(source: Path | str) -> Detector:
    network = load_network(source)
    assert isinstance(network, Classifier)
    return Detector(network, load_card(source))
