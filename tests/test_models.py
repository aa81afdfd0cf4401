import json
import pickle

import pytest
import torch

from deceive.common.errors import InputError
from deceive.fooling.drawing import DRAWING
from deceive.networks.classifier import Classifier
from deceive.storage.models import halved, load_card, load_network, save_network
from deceive.storage.shipped import shipped_names
from worlds.records import CARD

DRAWS = {"architecture": "draw", "n_outputs": 11, "rubbish_class": 10, "ascent": DRAWING}


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "mine.safetensors"
    network = Classifier("fast").eval()
    save_network(network, path, CARD)
    return network, path


def test_a_network_comes_back_as_it_was(saved):
    network, path = saved
    images = torch.rand(3, 1, 28, 28)
    again = load_network(path)
    assert not again.training
    assert torch.equal(again(images), network(images))
    assert load_card(path).settings == {"epochs": 1.0}


@pytest.mark.shipped
def test_every_shipped_network_loads():
    for name in shipped_names():
        network, card = load_network(name), load_card(name)
        assert network(torch.zeros(1, 1, 28, 28)).shape == (1, card.n_outputs)
        if name.startswith("rounds-"):  # the first of them know nothing yet
            assert (card.architecture, card.round) == ("draw", int(name.removeprefix("rounds-")))
        else:
            assert card.test_accuracy > 0.99
            assert card.architecture == {"judge-in-noise": "draw"}.get(name, name)


def test_an_unknown_name():
    with pytest.raises(InputError, match=r"expected a shipped network .*got 'slow'"):
        load_network("slow")


def test_a_folder_with_networks(saved):
    _, path = saved
    with pytest.raises(InputError, match=rf"got the folder .*name a file in it \({path.name}\)"):
        load_network(path.parent)


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
def test_a_truncated_file(saved, keep):
    _, path = saved
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="damaged"):
        load_network(path)


def test_a_missing_card(saved):
    _, path = saved
    path.with_suffix(".json").unlink()
    with pytest.raises(InputError, match="expected the card"):
        load_network(path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"architecture": 3}'])
def test_a_card_that_is_none(saved, content):
    _, path = saved
    path.with_suffix(".json").write_text(content)
    with pytest.raises(InputError, match="expected the card of mine"):
        load_network(path)


def test_a_card_replaces_only_a_card(saved):
    network, path = saved
    save_network(network, path, CARD)
    path.with_suffix(".json").write_text('{"mine": "keep it"}')
    weights = path.read_bytes()
    with pytest.raises(InputError, match=r"mine\.json: expected no file, or the card of a network"):
        save_network(Classifier("fast"), path, CARD)
    assert path.with_suffix(".json").read_text() == '{"mine": "keep it"}'
    assert path.read_bytes() == weights
    assert len(list(path.parent.iterdir())) == 2


@pytest.mark.parametrize(
    ("name", "said"),
    [("mine.pt", "got pickled weights"), ("mine.png", "expected a .safetensors file, got another")],
)
def test_a_file_of_another_kind(name, said, tmp_path):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match=rf"{name}: .*{said}"):
        load_network(tmp_path / name)


@pytest.mark.parametrize("change", [{"architecture": "judge"}, {"n_outputs": 11}])
def test_weights_of_another_network(saved, change):
    _, path = saved
    card = path.with_suffix(".json")
    card.write_text(json.dumps(json.loads(card.read_text()) | change))
    with pytest.raises(InputError, match="expected the weights of a"):
        load_network(path)


class Bomb:
    """Unpickling it would leave a trace."""

    def __reduce__(self):
        return exec, ("raise SystemExit('a pickle was executed')",)


@pytest.mark.parametrize("suffix", [".pt", ".pkl", ".safetensors"])
def test_a_pickle_is_never_executed(tmp_path, suffix):
    path = tmp_path / f"bomb{suffix}"
    path.write_bytes(pickle.dumps(Bomb()))
    path.with_suffix(".json").write_text(CARD.model_dump_json())
    with pytest.raises(InputError):
        load_network(path)


def test_half_precision_loses_nothing_of_a_halved_network(tmp_path):
    network = halved(Classifier("draw", 11))
    path, whole = tmp_path / "half.safetensors", tmp_path / "whole.safetensors"
    save_network(network, path, CARD.model_copy(update=DRAWS), half=True)
    save_network(network, whole, CARD.model_copy(update=DRAWS))
    again = load_network(path)
    assert path.stat().st_size < 0.6 * whole.stat().st_size
    assert all(
        torch.equal(one, other)
        for one, other in zip(
            again.state_dict().values(), network.state_dict().values(), strict=True
        )
    )
    assert {value.dtype for value in again.state_dict().values()} == {torch.float32}
    assert load_card(path).ascent == DRAWING


def test_files_that_a_kill_left_are_no_networks(tmp_path):
    for name in (".deceive-0123.tmp", ".fast.safetensors.x1.safetensors", "fast.safetensors"):
        (tmp_path / name).touch()
    assert shipped_names(tmp_path) == ["fast"]
