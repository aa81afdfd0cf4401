"""Modules as people have them: `fool` and the rest take them without a wrapper."""

import copy
import threading
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from conftest import Bands, same_state, state_of
from deceive.common.errors import InputError
from deceive.fooling.fool import fool
from deceive.networks.frozen import FrozenCopy
from deceive.networks.inference import logits_of, probabilities_of
from deceive.networks.modules import copied

SHAPE = (1, 6, 6)


class Small(nn.Module):
    """A convolution and a linear layer, sure of themselves."""

    image_shape = SHAPE

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv, self.linear = nn.Conv2d(1, 8, 3), nn.Linear(128, 4)
        self.linear.weight.data *= 20

    def forward(self, images):
        return self.linear(F.relu(self.conv(images)).flatten(1))


class Keeping(Small):
    """Keeps what its convolution gave, as many do for a look at it later."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = {"all": []}
        self(torch.rand(2, *SHAPE))

    def forward(self, images):
        self.last = self.conv(images)
        self.kept["all"] = [(self.last,)]
        return self.linear(F.relu(self.last).flatten(1))


class Counter:
    """Something that a module may hold: it can't be copied, for what is in it."""

    def __init__(self) -> None:
        self.lock, self.seen = threading.Lock(), [torch.zeros(1, requires_grad=True) * 2]


class Locked(Small):
    def __init__(self) -> None:
        super().__init__()
        self.lock, self.counter = threading.Lock(), Counter()

    def forward(self, images):
        with self.lock, self.counter.lock:
            return super().forward(images)


def normed(norm):
    """With torch's old norms, which keep the weight that they work out."""
    model = Small()
    model.conv = norm(model.conv)
    model(torch.rand(2, *SHAPE))
    return model


def compiled(model):
    return torch.compile(model, backend="eager")


def scripted():
    """As TorchScript, which in part forbids what other modules allow."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit", DeprecationWarning)
        return torch.jit.trace(Small().eval(), torch.rand(2, *SHAPE))


def nested():
    return nn.Sequential(compiled(Small()), nn.Identity())


MODELS = {
    "kept activation": Keeping,
    "lock": Locked,
    "spectral norm": lambda: normed(nn.utils.spectral_norm),
    "compiled": lambda: compiled(Small()),
    "a stack compiled": lambda: compiled(nn.Sequential(nn.Identity(), Small())),
    "compiled in a stack": nested,
    "double": lambda: Small().double(),
    "half": lambda: Small().half(),
    "bfloat16": lambda: Small().bfloat16(),
    "data parallel": lambda: nn.DataParallel(Small()),
    "TorchScript": scripted,
}


@pytest.mark.usefixtures("precision")
@pytest.mark.parametrize("name", MODELS)
def test_any_module_is_fooled_and_left_as_it_was(name):
    model = MODELS[name]()
    before = state_of(model)
    result = fool(model, range(4), shape=SHAPE, confidence=0.9, steps=300)
    assert result.fooled.all()
    assert result.confidence.dtype == torch.float32
    assert same_state(before, state_of(model))
    asked = probabilities_of(model, result.images).gather(1, result.targets[:, None])[:, 0]
    # Half precision has 11 bits, bfloat16 has 8; what is reported is of the same weights in 24.
    tolerance = {"half": 0.02, "bfloat16": 0.1}.get(name, 1e-4)
    torch.testing.assert_close(asked, result.confidence, rtol=0, atol=tolerance)


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
def test_so_is_one_with_the_old_weight_norm():
    model = normed(nn.utils.weight_norm)
    before = state_of(model)
    assert fool(model, range(4), shape=SHAPE, confidence=0.9, steps=300).fooled.all()
    assert same_state(before, state_of(model))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_so_is_a_frozen_script_which_has_no_mode():
    model = torch.jit.freeze(scripted())
    result = fool(model, range(4), shape=SHAPE, confidence=0.9, steps=300)
    assert result.fooled.all()
    asked = probabilities_of(model, result.images).gather(1, result.targets[:, None])[:, 0]
    torch.testing.assert_close(asked, result.confidence)


def test_what_a_copy_keeps_is_its_own():
    model = Keeping()
    kept = model.last
    twin = copied(model)
    twin(torch.zeros(3, *SHAPE))
    assert model.last is kept
    assert model.kept["all"][0][0] is kept
    assert len(twin.last) == 3


def test_what_cannot_be_copied_is_shared_and_its_tensors_are_not_touched():
    model = Locked()
    twin = copied(model)
    assert twin.lock is model.lock
    assert twin.conv is not model.conv
    assert torch.equal(twin.conv.weight, model.conv.weight)


def test_one_that_refuses_to_be_copied_is_one_clear_error():
    class Refusing(Small):
        def __deepcopy__(self, memo):
            raise NotImplementedError("there is\nbut one of me")

    with pytest.raises(
        InputError, match=r"^model: expected a module that copy\.deepcopy can copy, .*me"
    ):
        FrozenCopy(Refusing(), torch.rand(1, *SHAPE))


def test_a_type_of_its_own_that_its_code_casts_to_is_what_it_is_shown():
    class Casting(Small):
        def forward(self, images):
            assert images.dtype == torch.float64
            return super().forward(images.double())

    images = torch.rand(3, *SHAPE)
    frozen = FrozenCopy(Casting().double(), images[:1])
    torch.testing.assert_close(frozen.exact_logits(images), logits_of(Small(), images))
    assert frozen.exact_logits(images).dtype == torch.float32


def test_a_double_model_is_asked_in_double():
    images = torch.rand(3, *SHAPE, dtype=torch.float64)
    model = Small().double()
    with torch.no_grad():
        assert torch.equal(logits_of(model, images.float()), model(images.float().double()).float())


@pytest.mark.usefixtures("untouched_rng")
def test_a_lazy_model_gets_weights_in_its_copy_alone_and_that_is_said():
    model = nn.Sequential(nn.Flatten(), nn.LazyLinear(4))
    with pytest.warns(UserWarning, match="lazy and has no weights yet") as said:
        results = [fool(model, range(4), shape=SHAPE, steps=2) for _ in range(2)]
    assert {str(each.filename) for each in said} == {__file__}
    assert torch.equal(results[0].levels, results[1].levels)
    assert isinstance(model[1], nn.LazyLinear)
    assert model[1].has_uninitialized_params()


@pytest.mark.filterwarnings("ignore")  # quantisation has many warnings of torch's own
@pytest.mark.usefixtures("precision")
def test_a_quantised_model_answers_and_has_no_gradient():
    model = torch.ao.quantization.quantize_dynamic(Small().eval(), {nn.Linear}, dtype=torch.qint8)
    images = torch.rand(3, *SHAPE)
    frozen = FrozenCopy(model, images[:1])
    torch.testing.assert_close(frozen.exact_logits(images), model(images).detach())
    torch.testing.assert_close(frozen.logits(images), model(images).detach())
    with pytest.raises(
        InputError, match="expected logits with a gradient with respect to the image"
    ):
        fool(model, 0, shape=SHAPE)


def test_what_bfloat16_gets_wrong_is_worked_out_in_float32(monkeypatch):
    class Subtle(Bands):
        """Its logits lie far from 0: bfloat16 can't tell them apart."""

        def forward(self, images):
            far = F.linear(images.flatten(1) + 1000, self.weight)
            return far - 1000 * self.weight.sum(1)

    monkeypatch.setenv("DECEIVE_PRECISION", "bfloat16")
    images = torch.rand(3, 1, 4, 4)
    frozen = FrozenCopy(Subtle(), images[:1])
    torch.testing.assert_close(frozen.logits(images), frozen.exact_logits(images))
    assert fool(Subtle(), range(4)).fooled.all()


def test_a_model_that_gives_up_midway_is_one_clear_error():
    class Giving(Small):
        def forward(self, images):
            if len(images) > 2:
                raise ValueError("two at most")
            return super().forward(images)

    with pytest.raises(
        InputError, match=r"images of shape \(3, 1, 6, 6\); it raised .*two at most"
    ):
        fool(Giving(), [0, 1, 2])


def test_copies_share_nothing_with_the_model():
    model = Small()
    twin = copied(model)
    assert same_state(state_of(copy.deepcopy(model))[:1], state_of(twin)[:1])
    mine, its = ({t.data_ptr() for t in each.parameters()} for each in (model, twin))
    assert not mine & its
