import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from deceive.common.errors import InputError
from deceive.fooling.fool import fool
from deceive.networks.architectures import ARCHITECTURES
from deceive.networks.building import GUARDED, NETWORKS, network_of
from deceive.networks.classifier import MNIST_MEAN, MNIST_STD, Classifier
from deceive.networks.convolutions import HalvingConv, StemConv

SHAPES = [(1, 28, 28), (3, 32, 32)]


@given(
    channels=st.integers(1, 3),
    size=st.sampled_from([1, 3, 5]),
    stride=st.integers(1, 3),
    height=st.integers(6, 12),
    width=st.integers(6, 12),
    bias=st.booleans(),
)
def test_the_stem_is_a_convolution(channels, size, stride, height, width, bias):
    options = {"stride": stride, "padding": size // 2, "bias": bias, "dtype": torch.float64}
    stem, plain = (kind(channels, 4, size, **options) for kind in (StemConv, nn.Conv2d))
    plain.load_state_dict(stem.state_dict())
    x = torch.randn(2, channels, height, width, dtype=torch.float64, requires_grad=True)
    ours, theirs = stem(x), plain(x)
    torch.testing.assert_close(ours, theirs)
    cotangent = torch.randn_like(theirs)
    for one, other in zip(
        torch.autograd.grad(ours, [x, *stem.parameters()], cotangent),
        torch.autograd.grad(theirs, [x, *plain.parameters()], cotangent),
        strict=True,
    ):
        torch.testing.assert_close(one, other)
    # Where it is trained on images, and where it is asked about them: two ways.
    torch.testing.assert_close(stem(x.detach()), theirs)
    torch.testing.assert_close(stem.eval()(x.detach()), theirs)


@given(
    channels=st.integers(1, 5),
    height=st.integers(2, 7),
    width=st.integers(2, 7),
    last=st.booleans(),
)
def test_halving_in_bfloat16_is_a_convolution(channels, height, width, last):
    layer = HalvingConv(channels, 6)
    x = torch.randn(3, channels, height, width)
    if last:
        x = x.contiguous(memory_format=torch.channels_last)
    x.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        ours = layer(x)
    theirs = F.conv2d(x, layer.weight, layer.bias, stride=2, padding=1)
    assert ours.dtype == torch.bfloat16
    coarse = {"rtol": 0.05, "atol": 0.05}
    torch.testing.assert_close(ours.float(), theirs, **coarse)
    inputs, cotangent = [x, layer.weight, layer.bias], torch.randn_like(theirs)
    ours, theirs = ours.float(), theirs

    def gradients(out, **options):
        return torch.autograd.grad(out, inputs, cotangent, retain_graph=True, **options)

    expected = gradients(theirs, create_graph=True)
    again = gradients(ours, create_graph=True)  # with a gradient of its own
    for one, other, third in zip(gradients(ours), again, expected, strict=True):
        torch.testing.assert_close(one, third, **coarse)
        torch.testing.assert_close(other, third, **coarse)
    ours, theirs = (
        torch.autograd.grad(found[0].square().sum(), layer.weight)[0] for found in (again, expected)
    )
    torch.testing.assert_close(ours, theirs, rtol=0.05, atol=0.05 * theirs.abs().max().item())


@pytest.mark.parametrize("architecture", NETWORKS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n_outputs", [10, 11])
def test_logits_and_features(architecture, shape, n_outputs):
    network = network_of(architecture, n_outputs, shape)
    assert (network.architecture, network.n_outputs) == (architecture, n_outputs)
    assert network.image_shape == shape
    images = torch.rand(3, *shape)
    assert network(images).shape == (3, n_outputs)
    network.eval()
    features = network.features(images)
    assert features.shape == (3, network.num_features)
    if architecture in ARCHITECTURES:
        torch.testing.assert_close(network.head(features), network(images))
    torch.testing.assert_close(network(images[:1]), network(images)[:1])


@pytest.mark.parametrize("architecture", NETWORKS)
def test_a_new_network_is_in_training_mode_throughout(architecture):
    network = network_of(architecture)
    assert all(module.training for module in network.modules())
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert not module.running_mean.any()
            assert module.num_batches_tracked == 0


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_normalisation_is_inside_and_saved(architecture):
    network = Classifier(architecture, mean=0.25, std=0.5).eval()
    own = ARCHITECTURES[architecture].normalisation
    mean, std = own or (0.25, 0.5)
    state = network.state_dict()
    assert (state["mean"].item(), state["std"].item()) == pytest.approx((mean, std))
    other = Classifier(architecture).eval()
    usual = own or (MNIST_MEAN, MNIST_STD)
    assert (other.mean.item(), other.std.item()) == pytest.approx(usual)
    other.load_state_dict(state)
    images = torch.rand(2, 1, 28, 28)
    torch.testing.assert_close(other(images), network(images))
    told = (torch.zeros(2),) if network.hears_noise else ()
    raw = network.head(network.body((images - mean) / std, *told))
    torch.testing.assert_close(network(images), raw)


@pytest.mark.parametrize("name", GUARDED)
def test_guarded_networks_by_name(name):
    network, made = network_of(name, 11, (1, 20, 20), mean=0.25, std=0.5), GUARDED[name]
    assert (network.architecture, network.shifts) == (name, made.shifts)
    assert network.guard.architecture == made.guard
    assert [reader.architecture for reader in network.readers] == [*made.readers]
    for reader in network.readers:
        usual = ARCHITECTURES[reader.architecture].normalisation or (0.25, 0.5)
        assert (reader.mean.item(), reader.std.item()) == pytest.approx(usual)
        assert (reader.n_outputs, reader.image_shape) == (10, (1, 20, 20))
    with pytest.raises(InputError, match="n_outputs: expected a whole number of at least 3, got 2"):
        network_of(name, 2)


def test_faint_greys_are_not_seen():
    torch.manual_seed(0)  # of untrained networks one in a hundred does see them
    digits = (torch.rand(50, 1, 28, 28) > 0.8).float()
    faint = (digits + 0.25 * torch.randn(50, 1, 28, 28).sign()).clamp(0, 1)
    changes = []
    for architecture in ("reader", "sharp"):
        network = Classifier(architecture).eval()
        told = (network.features(digits), network.features(faint), network.features(1 - digits))
        changes.append(((told[1] - told[0]).norm() / (told[2] - told[0]).norm()).item())
    assert changes[1] < changes[0] / 2
    images = torch.rand(2, 1, 28, 28, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(images).sum(), images)
    assert (gradient != 0).all()


@pytest.mark.parametrize("architecture", NETWORKS)
def test_what_is_shipped_is_small(architecture):
    parameters = sum(parameter.numel() for parameter in network_of(architecture).parameters())
    size = (
        2 if architecture in ("draw", "guard", "one", "paint", "resist", "shaped") else 4
    )  # in half precision
    assert parameters * size < (5.2e6 if architecture == "one" else 2e6)


def test_only_a_network_that_hears_noise_is_changed_by_being_told():
    images, noise = torch.rand(2, 1, 28, 28), torch.tensor([0.1, 0.8])
    for architecture in NETWORKS:
        network = network_of(architecture, 11).eval()
        for parameter in network.parameters():  # its last layer begins with zeros
            nn.init.normal_(parameter, std=0.1)
        same = torch.equal(network(images, noise), network(images))
        assert same == (not network.hears_noise)
        assert network.hears_noise == (architecture in ("draw", "one", "paint", "sketch"))
        assert torch.equal(network(images, torch.zeros(2)), network(images))


@pytest.mark.parametrize("shape", [(1, 5, 7), (2, 28, 28), (1, 2, 2), (3, 33, 32)])
def test_the_network_that_draws_takes_any_shape(shape):
    network = Classifier("draw", 4, shape)
    images = torch.rand(3, *shape, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(images, torch.rand(3)).sum(), images)
    assert gradient.shape == images.shape
    assert (gradient != 0).all()


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 29, 30), (1, 10, 31)])
def test_the_architecture_of_the_case_study(shape):
    # In float64, where no two pixels of a pool are as good as equal.
    network = Classifier("study", image_shape=shape).double().eval()
    for kind in (nn.Conv2d, nn.MaxPool2d, nn.Dropout):
        assert sum(isinstance(module, kind) for module in network.body) == 2
    outputs = [m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d)]
    outputs += [m.out_features for m in network.modules() if isinstance(m, nn.Linear)]
    assert outputs == [32, 64, 128, 64, 10]
    assert {m.p for m in network.modules() if isinstance(m, nn.Dropout)} == {0.3}

    # As the case study has it: activations, then pooling.
    first, second, *linear = (m for m in network.body if hasattr(m, "weight"))
    images = torch.rand(5, *shape, dtype=torch.float64, requires_grad=True)
    x = (images - network.mean) / network.std
    for conv in (first, second):
        x = F.max_pool2d(F.conv2d(x, conv.weight, conv.bias).relu(), 2)
    x = x.flatten(1)
    for layer in linear:
        x = layer(x).relu()
    expected, logits = network.head(x), network(images)
    torch.testing.assert_close(logits, expected)
    theirs, ours = (torch.autograd.grad(each.sum(), images)[0] for each in (expected, logits))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("architecture", NETWORKS)
@pytest.mark.parametrize("shape", [(3, 28, 28), (1, 32, 32)])
def test_images_of_another_shape_are_refused(architecture, shape):
    network = network_of(architecture).eval()
    with pytest.raises(RuntimeError):
        network(torch.rand(2, *shape))
    with pytest.raises(InputError, match="model: expected a model that takes images of shape"):
        fool(network, 0, shape=shape)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_least_image_that_a_network_reads_is_said(architecture):
    least = ARCHITECTURES[architecture].least_side
    assert Classifier(architecture, 3, (1, least, least + 1)).eval()(
        torch.rand(2, 1, least, least + 1)
    ).shape == (2, 3)
    assert Classifier(architecture, 3, (1, least, least + 1)).eval()(
        torch.rand(0, 1, least, least + 1)
    ).shape == (0, 3)
    for shape in ((1, least - 1, 28), (1, 28, least - 1)):
        with pytest.raises(InputError, match=f"expected images of at least {least}×{least} pixels"):
            Classifier(architecture, 3, shape)


@pytest.mark.parametrize("architecture", NETWORKS)
def test_fool_needs_no_more_than_the_network(architecture):
    result = fool(network_of(architecture, 3, (3, 32, 32)), range(3), steps=1)
    assert result.levels.shape == (3, 3, 32, 32)


def test_bad_input():
    with pytest.raises(
        InputError,
        match="architecture: expected one of detector, draw, fast, guard, judge, paint, reader, ",
    ):
        Classifier("resnet")
    with pytest.raises(InputError, match="n_outputs: expected a whole number of at least 2, got 1"):
        Classifier("fast", 1)
