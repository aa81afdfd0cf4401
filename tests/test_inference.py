import pytest
import torch
import torch.nn.functional as F
from torch import nn

from conftest import After, Bands, InPlace, Restless, same_state, state_of
from deceive.common.errors import InputError
from deceive.networks.convolutions import StemConv
from deceive.networks.frozen import FrozenCopy
from deceive.networks.inference import accuracy, evaluating, logits_of, probabilities_of
from deceive.networks.modules import device_of
from deceive.networks.precision import working_dtype
from deceive.networks.squashing import before_softmax

CPU = torch.device("cpu")


class Failing(nn.Module):
    """Raises what it is given."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def forward(self, images):
        raise self.error


def test_evaluating_and_back():
    model = Restless()
    before = state_of(model)
    with evaluating(model) as same:
        assert same is model
        assert not any(module.training for module in model.modules())
    assert same_state(before, state_of(model))


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_evaluating_and_back_when_interrupted(error):
    model = Restless()
    before = state_of(model)
    with pytest.raises(error), evaluating(model):
        raise error
    assert same_state(before, state_of(model))


def test_device_of():
    assert device_of(nn.Linear(1, 1, device="meta")).type == "meta"
    assert device_of(nn.BatchNorm1d(1, affine=False, device="meta")).type == "meta"
    assert device_of(nn.Flatten()) == CPU


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_logits_are_the_models_whatever_the_batch(bands, batch):
    images = torch.rand(7, 1, 4, 4)
    logits = logits_of(bands, images, batch)
    assert not logits.requires_grad
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, bands(images).detach())
    torch.testing.assert_close(probabilities_of(bands, images, batch), logits.softmax(1))


def test_asking_uses_evaluation_mode_and_restores_training_mode():
    model = Restless()
    modes = [module.training for module in model.modules()]
    running = model.norm.running_mean.clone()
    images = torch.rand(5, 1, 4, 4)
    assert torch.equal(logits_of(model, images), logits_of(model, images))
    assert torch.equal(model.norm.running_mean, running)
    assert [module.training for module in model.modules()] == modes


def test_no_images_give_no_logits(bands):
    assert logits_of(bands, torch.zeros(0, 1, 4, 4)).shape == (0, 4)


def test_what_is_reported_is_float32_even_under_autocast(bands):
    images = torch.rand(5, 1, 4, 4)
    expected, frozen = logits_of(bands, images), FrozenCopy(bands, images[:1])
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(logits_of(bands, images), expected)
        assert torch.equal(frozen.exact_logits(images), expected)


UNIT_BY_UNIT = hasattr(torch.backends.cuda.matmul, "fp32_precision")  # from torch 2.9 on
EXACT = "ieee" if UNIT_BY_UNIT else "highest"  # float32 itself


def allowed():
    """What matrix units may take for float32."""
    if not UNIT_BY_UNIT:
        return [torch.get_float32_matmul_precision()]
    units = torch.backends.mkldnn.matmul, torch.backends.cuda.matmul, torch.backends.cudnn.conv
    return [unit.fp32_precision for unit in units]


class Precise(nn.Module):
    """Answers with 1 where it may work in nothing less than float32, else with 0."""

    def forward(self, images):
        exact = set(allowed()) == {EXACT}
        return torch.tensor([[-1.0, float(exact)]]).expand(len(images), 2)


class Broken(nn.Module):
    def forward(self, images):
        raise ArithmeticError


def test_what_is_reported_is_float32_whatever_matrix_units_may_do():
    images, usual = torch.rand(2, 1, 4, 4), torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        before = allowed()
        assert EXACT not in before
        assert logits_of(Precise(), images)[:, 1].all()
        assert FrozenCopy(Precise(), images[:1]).exact_logits(images)[:, 1].all()
        with pytest.raises(ArithmeticError):
            logits_of(Broken(), images)
        assert allowed() == before
    finally:
        torch.set_float32_matmul_precision(usual)


def test_accuracy_is_the_share_that_is_right(bands):
    images = torch.cat([bands.best(k) for k in range(4)])
    assert accuracy(bands, images, torch.tensor([0, 1, 2, 3])) == 1
    assert accuracy(bands, images, torch.tensor([0, 1, 2, 0])) == 0.75
    assert accuracy(bands, images, torch.tensor([1, 2, 3, 0])) == 0


@pytest.mark.parametrize(
    ("asked", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)]
)
def test_the_environment_decides_the_working_type(monkeypatch, asked, dtype):
    monkeypatch.setenv("DECEIVE_PRECISION", asked)
    assert working_dtype(CPU) == dtype


@pytest.mark.parametrize("asked", ["float16", "", "Float32"])
def test_an_unknown_working_type(monkeypatch, asked):
    monkeypatch.setenv("DECEIVE_PRECISION", asked)
    with pytest.raises(InputError, match=r"DECEIVE_PRECISION: expected float32 or bfloat16, got "):
        working_dtype(CPU)


@pytest.mark.parametrize(
    ("avx512", "amx", "dtype"),
    [
        (False, False, torch.float32),
        (True, False, torch.bfloat16),
        (False, True, torch.bfloat16),
    ],
)
def test_the_processor_decides_otherwise(monkeypatch, avx512, amx, dtype):
    monkeypatch.delenv("DECEIVE_PRECISION", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert working_dtype(CPU) == dtype
    assert working_dtype(torch.device("meta")) == torch.float32


@pytest.mark.usefixtures("precision")
def test_a_frozen_copy_answers_like_the_model():
    model = Restless()
    before = state_of(model)
    images = torch.rand(6, 1, 4, 4)
    frozen = FrozenCopy(model, images[:1])
    assert frozen.n_classes == 4
    expected = logits_of(model, images)
    model.calls.zero_()
    assert torch.equal(frozen.exact_logits(images), expected)
    x = images.clone().requires_grad_()
    logits = frozen.logits(x)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits.detach(), expected, rtol=0.02, atol=0.02)
    (gradient,) = torch.autograd.grad(logits.sum(), x)
    assert gradient.shape == images.shape
    assert not frozen.exact_logits(x).requires_grad
    assert same_state(before, state_of(model))


def test_a_frozen_copy_is_not_moved_by_later_training(bands):
    images = torch.rand(2, 1, 4, 4)
    frozen = FrozenCopy(bands, images[:1])
    before = frozen.exact_logits(images)
    with torch.no_grad():
        bands.weight.zero_()
    assert torch.equal(frozen.exact_logits(images), before)


@pytest.mark.parametrize("model", [Bands(), "stack"], ids=["plain", "folded"])
def test_a_frozen_copy_can_follow_the_model(model, monkeypatch):
    monkeypatch.setenv("DECEIVE_PRECISION", "float32")
    model = stack() if model == "stack" else model
    images = torch.rand(2, 1, 8, 8) if isinstance(model, nn.Sequential) else torch.rand(2, 1, 4, 4)
    frozen = FrozenCopy(model, images[:1])
    before = frozen.exact_logits(images)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                tensor.mul_(1.5)
    frozen.follow(model)
    asked = frozen.exact_logits(images)
    torch.testing.assert_close(asked, logits_of(model, images))
    assert not torch.allclose(asked, before)
    torch.testing.assert_close(frozen.logits(images), asked, rtol=1e-4, atol=1e-4)


def test_a_model_that_works_in_place_does_not_reach_the_gradients_images():
    x = torch.rand(3, 1, 4, 4, requires_grad=True)
    before = x.detach().clone()
    frozen = FrozenCopy(InPlace(), before[:1])
    torch.autograd.grad(frozen.logits(x).sum(), x)
    assert torch.equal(x.detach(), before)


def by_hand(logits):
    """A softmax that is no call of torch's."""
    return logits.exp() / logits.exp().sum(1, keepdim=True)


@pytest.mark.usefixtures("precision")
def test_probabilities_are_noticed_said_and_turned_into_logits(bands):
    images = torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    with pytest.warns(UserWarning, match="probabilities where logits are expected"):
        frozen = FrozenCopy(After(by_hand), images[:1])
    asked = probabilities_of(bands, images)
    torch.testing.assert_close(frozen.exact_logits(images).softmax(1), asked)
    torch.testing.assert_close(frozen.logits(images).softmax(1), asked, rtol=0, atol=0.01)


@pytest.mark.usefixtures("precision")
@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (nn.Softmax(1), "softmax"),
        (nn.Softmax(-1), "softmax"),
        (nn.Sequential(nn.Identity(), nn.Sequential(nn.Softmax(1))), "softmax"),
        (lambda logits: F.softmax(input=logits, dim=1), "softmax"),
        (lambda logits: torch.softmax(logits, 1).clone(), "softmax"),
        (lambda logits: nn.Softmin(1)(-logits), "softmax"),
        (nn.Sigmoid(), "sigmoid"),
        (lambda logits: torch.sigmoid(logits), "sigmoid"),
    ],
)
def test_logits_are_taken_from_before_the_softmax_where_it_can_be_reached(bands, change, kind):
    images = torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    model = After(change)
    before = state_of(model)
    with pytest.warns(UserWarning, match=f"the logits before its {kind} are used") as said:
        frozen = FrozenCopy(model, images[:1])
    assert len(said) == 1
    torch.testing.assert_close(frozen.exact_logits(images), logits_of(bands, images))
    assert same_state(before, state_of(model))


@pytest.mark.parametrize("scale", [1, 200], ids=["finite", "infinite"])
def test_so_are_those_before_the_logarithm_of_a_softmax(bands, scale):
    def steep(logits):
        return (logits * scale).softmax(1).log()

    images = torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    with pytest.warns(UserWarning, match="before its logarithm of a softmax"):
        frozen = FrozenCopy(After(steep), images[:1])
    torch.testing.assert_close(frozen.exact_logits(images), scale * logits_of(bands, images))


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda logits: logits.softmax(1), "softmax"),
        (lambda logits: logits.log_softmax(1), "log-softmax"),
        (nn.LogSoftmax(-1), "log-softmax"),
        (nn.Sigmoid(), "sigmoid"),
    ],
)
def test_a_model_is_told_what_it_leaves_out_before_its_softmax(bands, change, kind):
    images = torch.rand(5, 1, 4, 4)
    model = After(change).train()
    without = before_softmax(model, images[:2])
    assert model.training
    assert without.squashing == kind
    torch.testing.assert_close(logits_of(without, images), logits_of(bands, images))


@pytest.mark.parametrize(
    "change", [by_hand, lambda logits: logits, lambda logits: logits.softmax(1) * logits]
)
def test_where_the_output_comes_from_no_softmax_nothing_is_left_out(change):
    assert before_softmax(After(change), torch.rand(2, 1, 4, 4)) is None


def test_outputs_that_look_like_a_sigmoid_out_of_reach_are_said():
    images = torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    frozen = FrozenCopy(After(lambda logits: 1 / (1 + torch.exp(-logits))), images[:1])
    with pytest.warns(
        UserWarning, match=r"in \[0, 1\] .* as those of a sigmoid per class; .*before the"
    ):
        frozen.watch(images)
    FrozenCopy(Bands(sure=0.4), images[:1]).watch(images)  # small logits


class MeanOfTwo(Bands):
    """Of probabilities that are so sure that each is 0 or 1."""

    def forward(self, images):
        ours, its = super().forward(images), super().forward(images.flip(2))
        return ((ours * 1e4).softmax(1) + (its * 1e4).softmax(1)) / 2


def test_the_mean_of_several_softmaxes_is_not_one_of_them_where_all_of_them_agree():
    model, agreed = MeanOfTwo(), torch.zeros(2, 1, 4, 4)
    agreed[:, :, 0], agreed[:, :, 3] = 1, 1
    assert before_softmax(model, agreed) is None
    with pytest.warns(UserWarning, match="probabilities where logits are expected"):
        frozen = FrozenCopy(model, agreed[:1])
    images = torch.rand(8, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(frozen.exact_logits(images).softmax(1), logits_of(model, images))


def test_a_probability_of_zero_is_no_infinity():
    one_hot = After(lambda logits: torch.eye(4)[: len(logits)])
    with pytest.warns(UserWarning, match="probabilities"):
        frozen = FrozenCopy(one_hot, torch.rand(1, 1, 4, 4))
    assert frozen.exact_logits(torch.rand(2, 1, 4, 4)).isfinite().all()


@pytest.mark.parametrize(
    ("change", "came"),
    [
        (lambda logits: logits[:, 0], r"\(2,\)"),
        (lambda logits: logits[:, :1], r"\(2, 1\)"),
        (lambda logits: logits[..., None], r"\(2, 4, 1\)"),
        (lambda logits: logits.sum(), r"\(\)"),
        (lambda logits: (logits, logits), "tuple"),
        (lambda logits: {"logits": logits}, "dict"),
        (lambda logits: None, "NoneType"),
    ],
)
def test_an_output_that_is_no_table_of_logits(change, came):
    message = rf"model: expected logits of shape \(N, K\) with K ≥ 2, got {came}$"
    with pytest.raises(InputError, match=message):
        FrozenCopy(After(change), torch.rand(1, 1, 4, 4))


@pytest.mark.parametrize(
    ("change", "rows"), [(lambda v: v[:1], 1), (lambda v: torch.cat([v, v]), 4)]
)
def test_an_output_of_other_length(change, rows):
    message = rf"model: expected logits for 2 images, got {rows} rows"
    with pytest.raises(InputError, match=message):
        FrozenCopy(After(change), torch.rand(1, 1, 4, 4))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_an_output_that_is_not_finite(value):
    with pytest.raises(InputError, match="model: expected finite logits, got NaN or infinity"):
        FrozenCopy(After(lambda logits: logits + value), torch.rand(1, 1, 4, 4))


@pytest.mark.parametrize("model", [None, "fast", lambda images: images, nn.Linear])
def test_not_a_module(model):
    with pytest.raises(InputError, match=r"model: expected a torch\.nn\.Module, got "):
        FrozenCopy(model, torch.rand(1, 1, 4, 4))


def test_images_the_model_does_not_take():
    message = r"model: expected a model that takes images of shape \(2, 3, 5, 5\); it raised .*16"
    with pytest.raises(InputError, match=message):
        FrozenCopy(Bands(), torch.rand(1, 3, 5, 5))


@pytest.mark.parametrize("error", [AssertionError, ValueError, IndexError, TypeError])
def test_a_model_that_refuses_images_in_its_own_words(error):
    with pytest.raises(InputError, match=r"takes images of shape .* it raised .*32x32, please"):
        FrozenCopy(Failing(error("32x32, please")), torch.rand(1, 1, 4, 4))


def test_an_interrupt_stays_one():
    with pytest.raises(KeyboardInterrupt):
        FrozenCopy(Failing(KeyboardInterrupt()), torch.rand(1, 1, 4, 4))


# What the quick copy leaves out.


class OutOfOrder(nn.Module):
    """Takes what comes out of its convolution twice, before its normalisation and after it."""

    def __init__(self, stack: nn.Sequential) -> None:
        super().__init__()
        self.stack = stack

    def forward(self, images):
        between = self.stack[0](images)
        return between.mean((2, 3)) + self.stack[1](between).mean((2, 3))


def stack(*, norm=None) -> nn.Sequential:
    """Convolution, batch normalisation with statistics of its own, ReLU, twice, and linear ones."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = nn.Sequential(
            *(nn.Conv2d(1, 6, 3), norm or nn.BatchNorm2d(6), nn.ReLU()),
            *(StemConv(6, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4, affine=False)),
            *(nn.Flatten(), nn.Linear(36, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU()),
            nn.Linear(8, 3),
        )
        layers.train()
        with torch.no_grad():
            layers(torch.rand(50, 1, 8, 8) * 5)
    return layers.eval()


def test_batch_normalisation_is_folded_into_the_layer_before(monkeypatch):
    monkeypatch.setenv("DECEIVE_PRECISION", "float32")
    model, images = stack(), torch.rand(7, 1, 8, 8)
    frozen = FrozenCopy(model, images[:1])
    kinds = [type(module) for module in frozen._quick.modules()]
    assert nn.BatchNorm2d not in kinds
    assert nn.BatchNorm1d not in kinds
    asked = frozen.exact_logits(images)
    torch.testing.assert_close(asked, logits_of(model, images))
    torch.testing.assert_close(frozen.logits(images), asked, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("watch", ["hook", "weight norm", "no statistics"])
def test_what_is_watched_or_special_is_not_folded(watch, monkeypatch):
    monkeypatch.setenv("DECEIVE_PRECISION", "float32")
    seen = []
    norm = nn.BatchNorm2d(6, track_running_stats=False) if watch == "no statistics" else None
    model, images = stack(norm=norm), torch.rand(7, 1, 8, 8)
    if watch == "hook":
        model[0].register_forward_hook(lambda module, given, output: seen.append(output))
    if watch == "weight norm":
        nn.utils.parametrizations.weight_norm(model[0])
    frozen = FrozenCopy(model, images[:1])
    assert isinstance(frozen._quick.get_submodule("1"), nn.BatchNorm2d)
    torch.testing.assert_close(frozen.logits(images), frozen.exact_logits(images))
    if seen:
        assert torch.equal(seen[-1], seen[-2])


def test_parts_that_are_taken_out_of_order_are_left_as_they_are(monkeypatch):
    monkeypatch.setenv("DECEIVE_PRECISION", "float32")
    model = OutOfOrder(stack()).eval()
    images = torch.rand(7, 1, 8, 8)
    frozen = FrozenCopy(model, images[:1])
    assert torch.equal(frozen.logits(images), frozen.exact_logits(images))


class Buffered(nn.Module):
    """Gives the very same tensor each time."""

    def __init__(self) -> None:
        super().__init__()
        self.bands = Bands()
        self.register_buffer("answer", torch.empty(2, 4))

    def forward(self, images):
        return self.answer.copy_(self.bands(images))


def test_every_question_is_asked_with_a_copy_and_every_answer_is_copied():
    images = torch.rand(6, 1, 4, 4)
    before, answer = images.clone(), Bands()((images - 0.5) * 2)
    for _ in range(2):
        torch.testing.assert_close(logits_of(InPlace(), images), answer)
        torch.testing.assert_close(FrozenCopy(InPlace(), before[:1]).exact_logits(images), answer)
    assert torch.equal(images, before)
    torch.testing.assert_close(logits_of(Buffered(), images, batch=2), Bands()(images))
    kept = FrozenCopy(Buffered(), images[:1])
    first = kept.exact_logits(images[:2])
    kept.exact_logits(images[2:4])
    torch.testing.assert_close(first, Bands()(images[:2]))


class Pooled(nn.Module):
    """Two convolutions that share a weight, max-pooling, and a head that some write with `view`."""

    def __init__(self, *, view: bool):
        super().__init__()
        self.view = view
        self.stem, self.first, self.second = (nn.Conv2d(n, 4, 3, padding=1) for n in (1, 4, 4))
        self.second.weight = self.first.weight
        self.pool, self.head = nn.MaxPool2d(2), nn.Linear(64, 3)

    def forward(self, images):
        x = self.pool(self.second(self.first(self.stem(images)).relu()))
        return self.head(x.view(len(x), -1) if self.view else x.flatten(1))


@pytest.mark.parametrize("view", [False, True])
def test_weights_are_laid_out_with_channels_last_where_the_model_allows_it(view):
    torch.manual_seed(0)
    model, images = Pooled(view=view).eval(), torch.rand(5, 1, 8, 8)
    frozen = FrozenCopy(model, images[:1])
    kept = frozen._model.first.weight
    assert kept.is_contiguous(memory_format=torch.channels_last) != view
    assert kept.is_contiguous() == view
    assert kept is frozen._model.second.weight
    torch.testing.assert_close(frozen.exact_logits(images), model(images))
    assert model.first.weight.is_contiguous()  # the user's model is as it was
