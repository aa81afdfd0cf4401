"""Rounds that teach the networks of `one` together."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from deceive import Classifier, UnitingSettings, fool, load_network, rounds
from deceive.common.errors import InputError
from deceive.networks.building import network_of
from deceive.networks.coarse_to_fine import CoarseToFine
from deceive.reporting.figures import rounds_pictures
from deceive.reporting.rounds import write_rounds_page
from deceive.storage.card import Card
from deceive.storage.models import save_network
from deceive.storage.runs import Run, round_name
from deceive.teaching import drawings, measuring, uniting
from deceive.teaching.uniting import Uniting, put_together
from worlds.quarters import SHAPE, Quarters, quarters_data
from worlds.rounds import SMALL as DRAWING
from worlds.rounds import quiet, without_clock


@pytest.fixture
def data(tmp_path):
    return replace(quarters_data(), folder=tmp_path)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for name, value in {
        "_GARBAGE": 200,
        "_STATES": 40,
        "_CALIBRATING": 150,
        "_REAL": 16,
        "_EVERY": 2,
    }.items():
        monkeypatch.setattr(uniting, name, value)
    # An untaught network is hardly fooled, which takes all steps.
    for module in (measuring, drawings):
        monkeypatch.setattr(module, "fool", partial(fool, steps=3))


def saved(data, name, **changes):
    """The path of an untrained network in the data's folder, with a card."""
    torch.manual_seed(0)
    architecture = changes.pop("architecture", name)
    network = network_of(architecture, 4 if name == "fast" else 5, SHAPE)
    card = {"architecture": architecture, "n_outputs": network.n_outputs, "image_shape": SHAPE}
    card |= {"seed": 0, "settings": {}, "data_checksum": data.checksum, "seconds": 1, "torch": ""}
    card |= {"validation_accuracy": 0.5, "test_accuracy": 0.5, "command": "none"}
    card |= {"ascent": DRAWING.ascent if name == "draw" else None}
    path = data.folder / f"{name}.safetensors"
    save_network(network, path, Card(**card | changes))
    return str(path)


def settings(data, **changes):
    parts = {"drawing": "draw", "resisting": "resist", "reading": "fast"}
    for part, name in parts.items():
        if part not in changes:
            changes[part] = saved(data, name)
    few = {"candidates": 16, "kept": 48, "rounds": 4, "measured": 2, "judged": 0, "shown": (0,)}
    return UnitingSettings(**few | {"learning_rate": 3e-3, "averaging": 0.5} | changes)


def rubbish(network, images):
    """How probable rubbish is to both networks, in little noise and without."""
    told = torch.full((len(images),), 0.03)
    said = network.in_noise(images, told), network.resisting(images)
    return [each.softmax(1)[:, -1].mean().item() for each in said]


def test_candidates_become_rubbish_to_both(data):
    chosen = settings(data, rounds=20, seed=1, learning_rate=1e-2)
    game, before = Uniting(data, chosen), put_together(data, chosen)[0]
    game.begin()
    while game.number < 15:
        game.play()
    images = game.candidates.images(torch.arange(48))
    untaught, taught = rubbish(before, images), rubbish(game.best(), images)
    assert taught[0] > untaught[0] + 0.1
    assert taught[1] > untaught[1] + 0.1
    assert not torch.equal(game.candidates.levels, Uniting(data, chosen).candidates.levels)
    for part in ("drawing", "reading"):  # those aren't taught
        first, last = (getattr(each, part).state_dict() for each in (before, game.best()))
        assert all(torch.allclose(first[k], last[k], atol=1e-3) for k in first)


def test_a_run_resumes_where_it_was_cut_off_with_the_same_rows(data, monkeypatch):
    chosen, judge = settings(data, judged=63), Quarters()

    def played(folder):
        run = Run(data.folder / folder, chosen.model_dump(mode="json"))
        return without_clock(rounds(data, run, chosen, judge, quiet)), run

    whole, run = played("whole")
    monkeypatch.setattr("deceive.teaching.loop._OFTEN", 1)
    step = Uniting.play

    def cut_off(game):
        if game.number == 2:
            raise KeyboardInterrupt
        step(game)

    with monkeypatch.context() as patched:
        patched.setattr(Uniting, "play", cut_off)
        with pytest.raises(KeyboardInterrupt):
            played("parts")
    later, again = played("parts")
    assert [(row["part"], row["round"]) for row in later] == [("round", 4), ("quality", 4)]
    assert without_clock(later)[0] == whole[1]
    assert later[1]["images"] == 252
    assert later[1]["frechet_distance"] == whole[2]["frechet_distance"]
    assert {path.stem for path in rounds_pictures(again)} >= {"rounds", "curves", "drawn"}
    assert "What deceives the last network" in write_rounds_page(again).read_text()
    name = run.weights(round_name(4))
    first, second = load_network(name), load_network(again.weights(round_name(4)))
    images = torch.rand(4, *SHAPE)
    assert isinstance(first, CoarseToFine)
    assert torch.equal(first(images), second(images))


def test_its_parts_have_to_fit(data):
    chosen = settings(data)
    of_another_kind = chosen.model_copy(update={"resisting": saved(data, "guard")})
    with pytest.raises(InputError, match=r"resisting: .*architecture resist, got .* is guard"):
        of_another_kind.check(data)
    saved(data, "draw", ascent=None)
    with pytest.raises(InputError, match="drawing: expected a network from rounds that draw, got"):
        chosen.check(data)
    saved(data, "fast", data_checksum="x")
    with pytest.raises(InputError, match=r"drawing: expected a network from rounds that draw"):
        chosen.check(data)
    saved(data, "draw")
    with pytest.raises(InputError, match=r"reading: .*trained on others"):
        chosen.check(data)
    with pytest.raises(InputError, match=r"^drawing: expected a shipped network"):
        chosen.model_copy(update={"drawing": "nothing"}).check(data)


def test_other_networks_cannot_be_united(data):
    with pytest.raises(InputError, match="network: expected one of one; got 'draw'"):
        settings(data, network="draw").check(data)
    assert Classifier("draw", 5, SHAPE).hears_noise
