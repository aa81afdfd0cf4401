import json
import re
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from torch import nn

import deceive.storage.export
from conftest import After, Bands, InPlace, Restless, same_state, state_of
from deceive import InputError, export_onnx, load_network
from deceive.cli import main
from deceive.fooling.objectives import OBJECTIVES
from deceive.networks.classifier import Classifier
from deceive.networks.convolutions import StemConv
from deceive.storage.export import exported
from deceive.storage.models import halved
from deceive.storage.shipped import shipped_names
from deceive.storage.templates import Templates
from worlds.graphs import assert_agrees, random_batch, session

# Tiny networks.


class Residual(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, images):
        return images + self.body(images)


class ScaledByItsWeight(nn.Module):
    """Its answers are scaled by a number that is worked out from its weights in advance."""

    def __init__(self, weight):
        super().__init__()
        self.image_shape = (1, 4, 4)
        self.bands = Bands()
        self.weight = nn.Parameter(torch.tensor([weight, 1.0]))
        self.scale = weight

    def forward(self, images):
        return self.bands(images)[:, :2] * self.weight * self.scale


ACTIVATIONS = (nn.ReLU, nn.SiLU, nn.GELU, nn.Tanh, nn.LeakyReLU, nn.Sigmoid, nn.ELU)


@st.composite
def tiny_networks(draw):
    """A network with random weights and running statistics, and the shape of its images."""
    shape = (draw(st.integers(1, 3)), draw(st.integers(6, 11)), draw(st.integers(6, 11)))
    torch.manual_seed(draw(st.integers(0, 2**16)))
    channels, layers = shape[0], []
    for _ in range(draw(st.integers(1, 2))):
        wider = channels * draw(st.integers(1, 3))
        size, stride = draw(st.integers(1, 3)), draw(st.integers(1, 3))
        layers.append(
            nn.Conv2d(
                *(channels, wider, size, stride),
                padding=draw(st.integers(0, 2)),
                dilation=draw(st.integers(1, 2)) if size < 3 else 1,
                groups=draw(st.sampled_from([1, channels])),
                bias=draw(st.booleans()),
            )
        )
        channels = wider
        if draw(st.booleans()):
            norm = nn.BatchNorm2d(channels)
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
            layers.append(norm)
        layers.append(draw(st.sampled_from(ACTIVATIONS))())
    if draw(st.booleans()):
        layers.append(Residual(nn.Sequential(nn.Conv2d(channels, channels, 1), nn.SiLU())))
    pooling = (
        nn.Identity(),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.MaxPool2d(2, 1, 1),
        nn.AdaptiveAvgPool2d(1),
    )
    layers.append(draw(st.sampled_from(pooling)))
    body = nn.Sequential(*layers, nn.Flatten()).eval()
    flat = body(torch.zeros(1, *shape)).shape[1]
    head = nn.Linear(flat, draw(st.integers(2, 6)))
    return nn.Sequential(*body, nn.Dropout(0.5), head).eval(), shape


# A failure isn't made smaller: each try is a whole export.
@settings(max_examples=6, phases=[Phase.explicit, Phase.generate])
@given(
    made=tiny_networks(),
    number=st.integers(1, 7),
    seed=st.integers(0, 2**16),
    objective=st.sampled_from(sorted(OBJECTIVES)),
)
def test_value_and_gradient_are_autograds(tmp_path_factory, made, number, seed, objective):
    network, shape = made
    path = tmp_path_factory.mktemp("export") / "network.onnx"
    export_onnx(network, path, objective=objective, shape=shape)
    images, targets = random_batch(network, shape, number, seed)
    assert_agrees(path, network, images, targets, objective)


@settings(max_examples=1, phases=[Phase.explicit, Phase.generate])
@given(
    width=st.integers(1, 4),
    seed=st.integers(0, 2**16),
    n_outputs=st.integers(2, 11),
    number=st.integers(1, 5),
)
@example(width=3, seed=0, n_outputs=11, number=3)
def test_strided_convolutions_with_silu(tmp_path_factory, width, seed, n_outputs, number):
    torch.manual_seed(seed)
    network = nn.Sequential(
        *(nn.Conv2d(1, width, 5, 2, 2), nn.SiLU()),
        *(nn.Conv2d(width, 2 * width, 3, 2, 1), nn.SiLU()),
        *(nn.Conv2d(2 * width, 4 * width, 3, 2, 1), nn.SiLU()),
        *(nn.Flatten(), nn.Linear(4 * width * 16, 16), nn.SiLU(), nn.Linear(16, n_outputs)),
    )
    path = tmp_path_factory.mktemp("export") / "network.onnx"
    export_onnx(network, path, shape=(1, 28, 28))
    assert_agrees(path, network, *random_batch(network, (1, 28, 28), number, seed))


def hearing(n_outputs=11, shape=(1, 28, 28)):
    """A network that hears noise, and whose answers depend on it: untrained ones pass over it."""
    network = Classifier("draw", n_outputs, shape).eval()
    nn.init.normal_(network.body.noise[-1].weight, std=0.5)
    return network


@settings(max_examples=1, phases=[Phase.explicit, Phase.generate])
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(2, 12), st.integers(2, 12)),
    n_outputs=st.integers(2, 11),
    number=st.integers(1, 7),
    seed=st.integers(0, 2**16),
    objective=st.sampled_from(sorted(OBJECTIVES)),
)
@example(shape=(1, 28, 28), n_outputs=11, number=10, seed=0, objective="log_odds")
def test_what_is_told_of_the_noise_counts(
    tmp_path_factory, shape, n_outputs, number, seed, objective
):
    torch.manual_seed(seed)
    network = hearing(n_outputs, shape)
    path = tmp_path_factory.mktemp("export") / "network.onnx"
    export_onnx(network, path, objective=objective)
    images, targets = random_batch(network, shape, number, seed)
    noise = torch.linspace(0, 1, number + 1)[1:]
    noisy = images + noise[:, None, None, None] * torch.randn(images.shape)
    assert_agrees(path, network, noisy, targets, objective, noise)
    assert_agrees(path, network, images, targets, objective, torch.zeros(number))
    assert not torch.allclose(network(images, noise), network(images), atol=1e-3)


def test_weights_that_half_precision_holds_take_half_the_room(tmp_path):
    network, path, half = hearing(), tmp_path / "network.onnx", tmp_path / "half.onnx"
    export_onnx(network, path)
    export_onnx(halved(network), half)
    assert half.stat().st_size < 0.6 * path.stat().st_size
    images, targets = random_batch(network, (1, 28, 28), 3, 0)
    assert_agrees(half, halved(network), images, targets, noise=torch.full((3,), 0.2))


def test_noise_is_told_without_the_gradient_too(tmp_path):
    network = hearing(4, (1, 6, 5))
    export_onnx(network, tmp_path / "network.onnx", gradient=False)
    ready = session(tmp_path / "network.onnx")
    assert [one.name for one in ready.get_inputs()] == ["images", "noise"]
    images, noise = torch.rand(5, 1, 6, 5), torch.rand(5)
    (logits,) = ready.run(None, {"images": images.numpy(), "noise": noise.numpy()})
    expected = network(images, noise).detach().numpy()
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


def test_a_rubbish_class_is_one_more_output(tmp_path):
    network = Classifier("fast", 11, (1, 12, 10)).eval()
    export_onnx(network, tmp_path / "network.onnx")
    images = torch.rand(3, 1, 12, 10)
    assert_agrees(tmp_path / "network.onnx", network, images, torch.tensor([10, 0, 9]))


def test_stems_become_plain_convolutions(tmp_path):
    torch.manual_seed(0)
    strides = [(1, 0), (2, 2), (3, 1)]
    stems = [StemConv(1, 4, 3, stride, padding=padding) for stride, padding in strides]

    class Beside(nn.Module):
        """Each stem by itself, on the same images."""

        def __init__(self):
            super().__init__()
            norms = [nn.Sequential(stem, nn.BatchNorm2d(4), nn.ReLU()) for stem in stems]
            self.parts = nn.ModuleList(norms)
            flat = sum(stem(torch.zeros(1, 1, 9, 8)).numel() for stem in stems)
            self.head = nn.Linear(flat, 3)

        def forward(self, images):
            return self.head(torch.cat([part(images).flatten(1) for part in self.parts], 1))

    network = Beside().eval()
    export_onnx(network, tmp_path / "network.onnx", shape=(1, 9, 8))
    assert_agrees(tmp_path / "network.onnx", network, *random_batch(network, (1, 9, 8), 5, seed=1))
    operators = [node.op_type for node in onnx.load(tmp_path / "network.onnx").graph.node]
    assert operators.count("Conv") >= 3
    assert "BatchNormalization" not in operators
    assert all(type(part[0]) is StemConv for part in network.parts)


def test_overlapping_windows_share_a_winner(tmp_path):
    # The gradient of a pixel that wins several windows is the sum of theirs.
    network = nn.Sequential(nn.MaxPool2d(3, 1), nn.Flatten(), nn.Linear(4, 2, bias=False))
    with torch.no_grad():
        network[2].weight.copy_(torch.tensor([[1.0, 2, 3, 4], [0, 0, 0, 0]]))
    export_onnx(network, tmp_path / "network.onnx", objective="logit", shape=(1, 4, 4))
    images = torch.zeros(1, 1, 4, 4)
    images[0, 0, 1, 2] = 1
    feed = {"images": images.numpy(), "targets": np.array([0])}
    _, gradient = session(tmp_path / "network.onnx").run(None, feed)
    assert gradient[0, 0, 1, 2] == 10
    assert np.count_nonzero(gradient) == 1


# What the file is.


def test_names_and_shapes_of_the_graph(tmp_path, bands):
    export_onnx(bands, tmp_path / "network.onnx")
    model = onnx.load(tmp_path / "network.onnx")
    onnx.checker.check_model(model, full_check=True)

    def described(values):
        return [
            (one.name, [d.dim_param or d.dim_value for d in one.type.tensor_type.shape.dim])
            for one in values
        ]

    assert described(model.graph.input) == [("images", ["N", 1, 4, 4]), ("targets", ["N"])]
    assert described(model.graph.output) == [("logits", ["N", 4]), ("gradient", ["N", 1, 4, 4])]
    export_onnx(hearing(4, (1, 4, 4)), tmp_path / "hearing.onnx")
    hears = onnx.load(tmp_path / "hearing.onnx")
    assert described(hears.graph.input) == [*described(model.graph.input), ("noise", ["N"])]
    assert described(hears.graph.output) == described(model.graph.output)
    assert {node.domain for node in model.graph.node} == {""}


def test_without_the_gradient_it_is_the_network_alone(tmp_path, bands):
    export_onnx(bands, tmp_path / "network.onnx", gradient=False)
    ready = session(tmp_path / "network.onnx")
    assert [one.name for one in ready.get_inputs()] == ["images"]
    images = torch.rand(5, 1, 4, 4)
    (logits,) = ready.run(None, {"images": images.numpy()})
    np.testing.assert_allclose(logits, bands(images).detach().numpy(), rtol=1e-5)


def test_the_same_network_is_the_same_file_and_tells_nothing_of_this_machine(tmp_path):
    network = Classifier("fast", 4, (1, 8, 8))
    for name in ("once", "again"):
        export_onnx(network, tmp_path / f"{name}.onnx")
    content = (tmp_path / "once.onnx").read_bytes()
    assert content == (tmp_path / "again.onnx").read_bytes()
    assert deceive.storage.export.__file__.rsplit("/", 1)[0].encode() not in content
    assert b".py" not in content


def fast(seed):
    torch.manual_seed(seed)
    network = Classifier("fast", 4, (1, 8, 8))
    for weight in network.parameters():
        nn.init.normal_(weight, std=0.1)
    return network.eval()


def test_a_network_like_one_before_is_not_traced_again(tmp_path, monkeypatch):
    templates, other = Templates(), fast(1)
    expected = exported(other)
    exported(fast(0), templates=templates)
    monkeypatch.setattr(deceive.storage.export, "traced", None)
    assert exported(other, templates=templates) == expected


def test_weights_that_a_graph_has_in_other_forms_are_never_the_wrong_ones():
    network, like = ScaledByItsWeight(0.5), ScaledByItsWeight(2.0)
    templates = Templates()
    exported(network, templates=templates)
    assert exported(like, templates=templates) == exported(like)


def test_weights_that_are_alike_are_not_confused():
    alike, other = fast(0), fast(1)
    biases = [each for each in alike.parameters() if each.ndim == 1]
    assert len({len(each) for each in biases}) < len(biases)
    for each in biases:
        nn.init.zeros_(each)
    templates = Templates()
    exported(alike, templates=templates)
    assert exported(other, templates=templates) == exported(other)


def test_the_network_is_left_as_it_was(tmp_path, untouched_rng):
    network = Restless()
    before = state_of(network)
    export_onnx(network, tmp_path / "network.onnx")
    assert same_state(before, state_of(network))


def test_probabilities_become_logits(tmp_path):
    network = After(lambda logits: logits.softmax(1))
    with pytest.warns(UserWarning, match="the model returns probabilities"):
        export_onnx(network, tmp_path / "network.onnx")
    images, targets = torch.rand(3, 1, 4, 4), torch.tensor([0, 1, 3])
    assert_agrees(tmp_path / "network.onnx", Bands(), images, targets)


# What it refuses.


@pytest.mark.parametrize(
    ("network", "settings", "said"),
    [
        ("fast", {}, "network: expected a torch.nn.Module, got 'fast'"),
        (Bands(), {"objective": "loss"}, "objective: expected one of log_odds, .*got 'loss'"),
        (nn.Flatten(), {}, r"shape: expected \(C, H, W\), since the network has no image_shape"),
        (Bands(), {"shape": (1, 5, 5)}, r"model: expected a model that takes images of shape"),
        (
            nn.Sequential(nn.AvgPool2d(2), nn.Flatten()),
            {"shape": (1, 4, 4)},
            "written as plain ONNX operators, .* says: No ONNX .*avg_pool2d_backward",
        ),
        (After(lambda logits: logits * torch.nan), {}, "expected finite logits, got NaN"),
        (
            After(lambda logits: logits + torch.rand_like(logits)),
            {},
            "the same every time it is asked, got results that differ",
        ),
        (
            After(lambda logits: logits if logits.sum() > 0 else -logits),
            {},
            "network: expected one whose work can be written as plain ONNX operators",
        ),
    ],
)
def test_bad_input_is_one_sentence_and_no_file(tmp_path, network, settings, said):
    with pytest.raises(InputError, match=said) as error:
        export_onnx(network, tmp_path / "network.onnx", **settings)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_it_says_what_to_install(tmp_path, monkeypatch, bands):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"pip install 'deceive\[onnx\]'"):
        export_onnx(bands, tmp_path / "network.onnx")


def test_importing_the_library_needs_no_onnx():
    code = "import deceive, deceive.cli, sys; deceive.load_network; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not {"onnx", "onnxruntime", "onnxscript"} & set(done.stdout.split())


# The command.


def cli(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        main(["export", *map(str, arguments)])
    out, err = capsys.readouterr()
    return end.value.code, out, " ".join(err.split())


def test_the_command_writes_the_gradient(tmp_path, capsys):
    path = tmp_path / "study.onnx"
    code, out, _ = cli(capsys, "study", "--gradient", "--out", path, "--json")
    assert code == 0
    said = json.loads(out.splitlines()[-1])
    assert said == {
        "out": str(path),
        "bytes": path.stat().st_size,
        "gradient": True,
        "training_step": False,
        "objective": "log_odds",
    }
    network = load_network("study")
    assert_agrees(path, network, *random_batch(network, (1, 28, 28), 2, seed=0))


def test_the_help_says_what_noise_is_and_which_networks_take_it(capsys):
    code, out, _ = cli(capsys, "--help")
    said = " ".join(out.replace("│", " ").split())
    assert code == 0
    assert "noise: for each image, the standard deviation of the gaussian noise" in said
    hearing = [n for n in shipped_names() if getattr(load_network(n), "hears_noise", False)]
    (named,) = re.findall(r"network for images in noise \((.*?)\)", said)
    assert named.split(", ") == [name for name in hearing if not name.startswith("rounds-")]


def test_the_command_names_the_file_after_the_network(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = cli(capsys, "study")
    assert code == 0
    assert out.startswith("study.onnx: (images) to (logits), 0.9")
    assert [one.name for one in session("study.onnx").get_outputs()] == ["logits"]


def test_a_network_that_works_in_place_is_exported_as_what_it_answers(tmp_path):
    class Apart(InPlace):
        def forward(self, images):
            return self.bands((images - 0.5) * 2)

    export_onnx(InPlace(), tmp_path / "net.onnx", gradient=True)
    batch = random_batch(Apart(), (1, 4, 4), 3, seed=0)
    assert_agrees(tmp_path / "net.onnx", Apart(), *batch)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "expected a shipped network"),
        (["fast", "--out", "fast.pt"], "--out: expected a name that ends in .onnx"),
        (["fast", "--gradient", "--objective", "loss"], "objective: expected one of"),
        (["fast", "--gradient", "--training-step"], "--training-step: expected no --gradient"),
    ],
)
def test_the_command_refuses_in_one_sentence(tmp_path, capsys, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    code, out, err = cli(capsys, *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert list(tmp_path.iterdir()) == []
