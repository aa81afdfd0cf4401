"""A judge that is trained on the data's own training images."""

import shlex
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from conftest import Bands
from deceive.auditing import Interface, audit
from deceive.auditing.judge_training import Shrinking, trained_on
from deceive.auditing.models.interface import Scaling
from deceive.auditing.trained_judge import trained_judge
from deceive.cli.commands import parse
from deceive.common.errors import InputError
from deceive.data.dataset import Dataset, Split
from worlds.audits import LITTLE, quiet


def test_it_reads_the_data_and_is_the_same_for_the_same_seed(data):
    one, again = (trained_judge(data, None, seed=0, seconds=60, tick=quiet) for _ in range(2))
    assert one.card.validation_accuracy > 0.9
    assert f"reads {one.card.validation_accuracy:.1%} of the validation images" in one.notes[0]
    assert torch.equal(one.network(data.test.images), again.network(data.test.images))


def test_an_audit_keeps_it_and_goes_on_with_it(data, tmp_path):
    model, kept = Bands(sure=12), tmp_path / "weights" / "train.safetensors"
    report = audit(model, data, judge="train", settings=LITTLE, out=tmp_path)
    assert report.complete
    assert [judge.name for judge in report.judges] == ["train"]
    assert report.judges[0].accuracy > 0.9
    assert report.judges[0].bounds == (0, 1)
    assert "--judge train" in report.command
    assert any("small network that was trained on the training images" in n for n in report.notes)
    written = kept.stat().st_mtime_ns
    assert audit(model, data, judge=["train"], settings=LITTLE, out=tmp_path) == report
    assert kept.stat().st_mtime_ns == written
    # It is read from there: without training images it could not be trained again.
    bare = SimpleNamespace(train=None, n_classes=4)
    found = trained_judge(bare, tmp_path, seed=5, seconds=1, tick=quiet)
    assert found.card.seed == 0


def test_it_takes_the_time_it_is_given(data):
    many = replace(
        data,
        train=Split(
            *(each.repeat_interleave(50, 0) for each in (data.train.images, data.train.labels))
        ),
    )
    network, card = trained_on(many, many.train, seed=0, seconds=0.5, tick=quiet)
    assert network.n_outputs == 4
    asked = parse(shlex.split(card.command)[1:])
    assert (asked.model, asked.data, asked.judge) == ("MODEL", many.folder, ("train",))
    assert card.settings["epochs"] < 40  # which 2,000 images would be shown otherwise


def test_without_training_images_or_anything_to_learn_it_is_refused(data):
    none = SimpleNamespace(train=None)
    with pytest.raises(InputError, match="expected data with training images to train one on"):
        trained_judge(none, None, seed=0, seconds=60, tick=quiet)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    mixed = replace(data, train=Split(data.train.images, data.train.labels[order]))
    with pytest.raises(InputError, match="expected training images that a small network learns"):
        trained_judge(mixed, None, seed=0, seconds=60, tick=quiet)
    declared = Interface(Scaling((0, 255)))
    with pytest.raises(InputError, match="for the given scaling or output to apply to"):
        audit(Bands(), data, judge="train", judge_interface=declared, settings=LITTLE)


def test_large_images_are_shrunk_within_it():
    images = torch.zeros(20, 3, 100, 80)
    images[::2, 0] = 1  # red or black
    split = Split(images, torch.arange(20) % 2)
    data = Dataset(split, split, split, 2, "", Path("mine"))
    judge = trained_judge(data, None, seed=0, seconds=60, tick=quiet)
    assert judge.card.image_shape == (3, 64, 51)
    assert torch.equal(Shrinking(judge.network)(images).argmax(1), split.labels)
