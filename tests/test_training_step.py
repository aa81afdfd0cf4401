"""A step of training as an ONNX graph does what torch does."""

import copy
import json

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from deceive import Classifier, InputError, export_training_step
from deceive.cli import main
from worlds.graphs import session

RATE = 1e-3


def vector(network):
    return torch.cat([each.detach().flatten() for each in network.parameters()]).numpy()


class Step:
    """The exported graph, its weights and its state."""

    def __init__(self, path, network, memory=0.0, number=0):
        self.session, self.weights = session(path), vector(network)
        self.state = np.full((2, len(self.weights)), memory, np.float32)
        self.number = number

    def __call__(self, images, labels, *noise):
        self.number += 1
        given = {
            "weights": self.weights,
            "state": self.state,
            "number": np.array(self.number, np.float32),
            "learning_rate": np.array(RATE, np.float32),
            "images": images.numpy(),
            "labels": labels.numpy(),
        }
        if noise:
            given["noise"] = noise[0].numpy()
        self.weights, self.state, loss, logits = self.session.run(None, given)
        return loss, torch.from_numpy(logits)


def compare(network, path, shape, betas, *, clipped=1.0, memory=0.0, steps=20):
    """Take the steps with torch and with the graph; how far apart they end, and how far they go."""
    export_training_step(network, path, betas=betas, clipped=clipped, shape=shape)
    before, taken = vector(network), 1000 if memory else 0
    step = Step(path, network, memory, taken)
    network = copy.deepcopy(network).eval()
    optimiser = torch.optim.Adam(network.parameters(), RATE, betas=betas)
    for parameter in network.parameters():
        optimiser.state[parameter] = {
            "step": torch.tensor(float(taken)),
            "exp_avg": torch.full_like(parameter, memory),
            "exp_avg_sq": torch.full_like(parameter, memory),
        }
    n_classes = network(torch.rand(1, *shape)).shape[1]
    for number in range(steps):
        count = 8 + number % 3
        images, labels = torch.rand(count, *shape), torch.randint(n_classes, (count,))
        noise = (torch.rand(count),) if getattr(network, "hears_noise", False) else ()
        logits = network(images, *noise)
        loss = F.cross_entropy(logits, labels)
        optimiser.zero_grad()
        loss.backward()
        if clipped is not None:
            nn.utils.clip_grad_norm_(network.parameters(), clipped)
        optimiser.step()
        came, said = step(images, labels, *noise)
        assert came == pytest.approx(loss.item(), abs=1e-4)
        assert torch.allclose(said, logits, atol=1e-4)
    after = vector(network)
    return np.abs(step.weights - after).max(), np.abs(after - before).max()


def sketch():
    """The page's network; told noise matters to it, as it does after some training."""
    network = Classifier("sketch", 11).eval()
    nn.init.normal_(network.get_parameter("body.noise.2.weight"), std=0.1)
    return network


def odd():
    """Every kind of convolution that the weights' gradient has to get right."""
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, stride=2, padding=1),
        nn.Tanh(),
        nn.Conv2d(6, 6, (3, 2), padding=(2, 0), dilation=(2, 1), groups=3, bias=False),
        nn.Tanh(),
        nn.Conv2d(6, 4, 2, stride=3),
        nn.Tanh(),
        nn.Flatten(),
        nn.LazyLinear(5),
    )


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.0, 0.99)], ids=str)
def test_twenty_steps_of_odd_convolutions_are_torchs(tmp_path, betas):
    torch.manual_seed(0)
    network = odd().train()
    network(torch.rand(1, 2, 11, 10))
    before = copy.deepcopy(network.state_dict())
    gap, way = compare(network, tmp_path / "step.onnx", (2, 11, 10), betas, clipped=None)
    assert gap <= 1e-4 < 0.01 < way
    # The export left the network as it was.
    assert network.training
    assert all(each.requires_grad for each in network.parameters())
    assert all(torch.equal(before[name], each) for name, each in network.state_dict().items())


# Without a memory of earlier gradients, Adam's first steps are as long for a gradient of next to
# nothing as for any other, and rounding settles their sign. So these begin with one.
def test_twenty_steps_of_the_pages_network_are_torchs(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "step.onnx"
    gap, way = compare(sketch(), path, (1, 28, 28), (0.0, 0.99), memory=1e-4)
    assert gap <= 1e-4 < 0.005 < way


@pytest.mark.parametrize("architecture", ["fast", "study"])
def test_twenty_steps_of_other_networks_are_torchs(tmp_path, architecture):
    torch.manual_seed(0)
    network = Classifier(architecture, 11).eval()
    path = tmp_path / "step.onnx"
    gap, way = compare(network, path, (1, 28, 28), (0.0, 0.99), memory=1e-4)
    assert gap <= 1e-4 < 0.005 < way


def test_it_says_which_weights_are_whose(tmp_path):
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    export_training_step(network, tmp_path / "step.onnx", shape=(1, 2, 2))
    (told,) = onnx.load(tmp_path / "step.onnx").metadata_props
    assert told.key == "parameters"
    assert json.loads(told.value) == [["1.weight", [3, 4]], ["1.bias", [3]]]


@pytest.mark.parametrize(
    ("network", "settings", "said"),
    [
        (nn.Flatten(), {"shape": (1, 2, 2)}, "expected one with weights to teach"),
        (nn.Linear(4, 2), {}, "shape: expected"),
        (nn.Linear(4, 2), {"shape": (1, 2, 2), "betas": (1.0, 0.9)}, "betas: expected"),
        (nn.Linear(4, 2), {"shape": (1, 2, 2), "clipped": 0.0}, "clipped: expected"),
        (nn.ConvTranspose2d(1, 1, 2), {"shape": (1, 2, 2)}, "no transposed convolutions"),
    ],
)
def test_what_cannot_be_taught_is_refused(tmp_path, network, settings, said):
    if isinstance(network, nn.Linear | nn.ConvTranspose2d):
        network = nn.Sequential(network, nn.Flatten())
    with pytest.raises(InputError, match=said):
        export_training_step(network, tmp_path / "step.onnx", **settings)
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_a_step(tmp_path, capsys):
    path = tmp_path / "step.onnx"
    with pytest.raises(SystemExit) as end:
        main(["export", "study", "--training-step", "--out", str(path)])
    assert end.value.code == 0
    assert "(weights, state, number, learning_rate, images, labels) to" in capsys.readouterr().out
    assert [each.name for each in session(path).get_outputs()] == [
        *("new_weights", "new_state", "loss", "logits")
    ]
