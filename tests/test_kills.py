"""A process may be killed at any moment: what it was writing is the old one then, or the new."""

import builtins
import io
import os
import shutil
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

from deceive.auditing import AuditReport, read_report
from deceive.auditing.record.schema import write_report
from deceive.common.errors import InputError, WriteError
from deceive.common.files import remove_temporaries
from deceive.networks.classifier import Classifier
from deceive.storage.models import load_card, load_network, save_network
from deceive.storage.runs import Run
from deceive.teaching.checkpoint import load, save
from deceive.teaching.continual import Continual
from worlds.quarters import quarters_data
from worlds.records import CARD, audit_content
from worlds.rounds import SMALL

WRITES = ("open", "fsync", "replace", "rename", "unlink", "chmod", "mkdir")


class Killed(BaseException):
    """The process is gone: from now on nothing that it asks of the system is done."""


def killed_after(calls, monkeypatch):
    """Let so many calls that write through; the process is killed at the next one."""
    left = count(calls, -1)

    def dying(function):
        def call(*arguments, **options):
            if next(left) <= 0:
                raise Killed
            return function(*arguments, **options)

        return call

    def opening(path, mode="r", *arguments, **options):
        writes = isinstance(mode, str) and set(mode) & set("wax+")
        return (dying(real_open) if writes else real_open)(path, mode, *arguments, **options)

    real_open = io.open
    for name in WRITES:
        monkeypatch.setattr(os, name, dying(getattr(os, name)))
    monkeypatch.setattr(io, "open", opening)
    monkeypatch.setattr(builtins, "open", opening)


def kills(thing, reset, monkeypatch):
    """Write from the same state again and again, each time killed a call later, until it ends."""
    for calls in count():
        reset()
        with monkeypatch.context() as patch:
            killed_after(calls, patch)
            try:
                thing.write(1)
                return
            except Killed:
                pass
        yield


class Network:
    """`save_network`, of one that is there already."""

    def __init__(self, folder):
        self.path = folder / "mine.safetensors"
        self.networks = [Classifier("fast", 10, (1, 28, 28)) for _ in range(2)]

    def write(self, version):
        save_network(self.networks[version], self.path, CARDS[version])

    def read(self):
        network, version = load_network(self.path), load_card(self.path).seed
        weights = self.networks[version].state_dict()
        assert all(torch.equal(weights[k], v) for k, v in network.state_dict().items())
        return version


CARDS = [CARD.model_copy(update={"seed": version}) for version in range(2)]


class Rows:
    """`Run.add`."""

    def __init__(self, folder):
        self.run = Run(folder, {"seed": 0})

    def write(self, version):
        self.run.add({"part": version})

    def read(self):
        return self.run.rows()[-1]["part"]


class Arrays:
    """`Run.save_arrays`."""

    def __init__(self, folder):
        self.run = Run(folder, {"seed": 0})

    def write(self, version):
        self.run.save_arrays("some", version=np.array(version), other=np.zeros(9))

    def read(self):
        return self.run.load_arrays("some")["version"].item()


class Checkpoint:
    """`checkpoint.save`."""

    def __init__(self, folder):
        self.path = folder / "checkpoint.safetensors"
        self.game = Continual(quarters_data(), SMALL)

    def write(self, version):
        self.game.number = version
        save(self.game, self.path)

    def read(self):
        load(self.game, self.path)
        return self.game.number


class Audit:
    """`write_report`."""

    def __init__(self, folder):
        self.path = folder / "audit.json"

    def write(self, version):
        write_report(self.path, AuditReport.model_validate(audit_content(seconds=version)))

    def read(self):
        return read_report(self.path).seconds


@pytest.mark.parametrize("kind", [Network, Rows, Arrays, Checkpoint, Audit])
def test_a_kill_at_any_call_leaves_the_old_or_the_new(kind, tmp_path, monkeypatch):
    folder = tmp_path / "work"
    folder.mkdir()
    thing = kind(folder)
    thing.write(0)
    shutil.copytree(folder, tmp_path / "old")

    def reset():
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "old", folder)

    found = [thing.read() for _ in kills(thing, reset, monkeypatch)]
    assert found == sorted(found)  # once new, it stays new
    assert set(found) == {0, 1}
    assert len(found) >= 4

    # What a kill leaves behind does no harm.
    remove_temporaries(folder)
    thing.write(1)
    assert thing.read() == 1
    assert sorted(map(os.fspath, names(folder))) == sorted(map(os.fspath, names(tmp_path / "old")))


def names(folder):
    return [path.relative_to(folder) for path in folder.rglob("*")]


def test_a_kill_before_the_first_card_is_there_leaves_the_network(tmp_path, monkeypatch):
    def reset():
        for path in tmp_path.iterdir():
            path.unlink()

    thing = Network(tmp_path)
    loaded = [thing.read() for _ in kills(thing, reset, monkeypatch) if thing.path.exists()]
    assert len(loaded) >= 3


@pytest.mark.parametrize("refused", range(3))
def test_a_full_disk_leaves_a_network_that_loads(refused, tmp_path, monkeypatch):
    thing, left = Network(tmp_path), count(refused, -1)
    thing.write(0)

    def fill(descriptor):
        if next(left) == 0:
            raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", fill)
    with pytest.raises(WriteError, match="No space left on device"):
        thing.write(1)
    assert thing.read() == (refused == 2)
    if refused < 2:
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "mine.json",
            "mine.safetensors",
        ]


def test_weights_of_neither_card_are_refused(tmp_path):
    thing = Network(tmp_path)
    thing.write(0)
    coming = tmp_path / ".mine.json"
    coming.write_text(CARDS[1].model_copy(update={"weights_sha256": "ab"}).model_dump_json())
    assert thing.read() == 0
    thing.path.write_bytes(thing.path.read_bytes()[:-1])
    with pytest.raises(InputError, match="expected the weights with the card's"):
        thing.read()


@pytest.mark.parametrize("taken", ["mine.safetensors", "mine.json"])
def test_weights_and_card_want_files(taken, tmp_path):
    os.mkfifo(tmp_path / taken)
    with pytest.raises(WriteError, match=f"{taken}: expected a file or a new path, got a FIFO"):
        Network(tmp_path).write(0)
    assert [Path(path).name for path in tmp_path.iterdir()] == [taken]
