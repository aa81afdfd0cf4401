"""A run folder goes on with the models that it began with, and no network judges itself."""

import re
import sys
from dataclasses import replace

import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from conftest import Bands, Tilted
from deceive.auditing import audit
from deceive.auditing.context import Context
from deceive.auditing.judges import meet_judges
from deceive.auditing.models.formats import load_model
from deceive.auditing.models.identity import identity_of
from deceive.auditing.models.meeting import meet
from deceive.auditing.models.sameness import same_network
from deceive.auditing.parts.transfer import transfer_parts
from deceive.common.errors import InputError
from deceive.data.dataset import Split
from deceive.data.loading import load_data
from deceive.storage.models import load_network
from deceive.storage.runs import Run
from worlds.audits import TINY, WithRubbish
from worlds.onnx_files import onnx_file

MODULE = """
from conftest import Bands

class Mine(Bands):
    def forward(self, images):
        return super().forward(images){change}

def make():
    return Mine(sure=12)

def call():
    model = Mine(sure=12)
    return lambda images: model(images).detach().numpy()
"""


@pytest.fixture(scope="module")
def digits():
    """A little of MNIST, by its name."""
    whole = load_data()
    validation, test = (
        Split(split.images[:50], split.labels[:50]) for split in (whole.validation, whole.test)
    )
    return replace(whole, validation=validation, test=test)


def begin(model, data, out, **options):
    """Begin an audit, or go on with it for a moment."""
    return audit(model, data, settings=TINY, out=out, budget=1e-9, **{"judge": None} | options)


def write_module(place, change=""):
    (place / "my_changing_net.py").write_text(MODULE.format(change=change))
    sys.modules.pop("my_changing_net", None)


@pytest.mark.parametrize("name", ["make", "call"])
def test_code_that_has_changed_is_another_model(data, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    write_module(tmp_path)
    spec, out = f"my_changing_net:{name}", tmp_path / "out"
    begin(spec, data, out)
    begin(spec, data, out)  # it is still the same
    for change in (" / 50", " * 1.001"):
        write_module(tmp_path, change)
        with pytest.raises(InputError, match="the model answers differently; start over"):
            begin(spec, data, out)
    write_module(tmp_path)
    begin(spec, data, out)


def test_a_model_that_differs_on_bright_images_alone_is_another_one(data, tmp_path):
    class Dazzled(Bands):
        dazzle = 0.0

        def forward(self, images):
            bright = (images.mean((1, 2, 3)) > 0.9).float()[:, None]
            return super().forward(images) + self.dazzle * bright * torch.arange(4)

    model = Dazzled(sure=12)
    begin(model, data, tmp_path)
    begin(model, data, tmp_path)  # it is still the same
    model.dazzle = 1.0
    assert data.test.images.mean((1, 2, 3)).max() < 0.9
    with pytest.raises(InputError, match="the model answers differently; start over"):
        begin(model, data, tmp_path)


def test_weights_beside_an_onnx_file_are_part_of_it(data, tmp_path):
    path, out = onnx_file(tmp_path / "net.onnx", (1, 4, 4)), tmp_path / "out"
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="net.onnx.data", size_threshold=0)
    graph, weights = path.read_bytes(), path.with_name("net.onnx.data")
    loaded = load_model(path)
    assert set(loaded.digests) == {"net.onnx", "net.onnx.data"}
    begin(path, data, out)
    # The same answers, but not the same file.
    kept = weights.read_bytes()
    weights.write_bytes(kept + b"\0")
    with pytest.raises(
        InputError, match=r"but net\.onnx\.data of the model has changed; start over"
    ):
        begin(path, data, out)
    weights.write_bytes(torch.rand(16, 4).numpy().tobytes())
    said = "net.onnx.data of the model has changed and the model answers differently"
    with pytest.raises(InputError, match=re.escape(said)):
        begin(path, data, out)
    assert path.read_bytes() == graph
    assert load_model(path).fingerprint != loaded.fingerprint


def test_files_that_an_onnx_graph_names_elsewhere_are_not_read(data, tmp_path):
    (tmp_path / "here").mkdir()
    path = onnx_file(tmp_path / "here" / "net.onnx", (1, 4, 4))
    (tmp_path / "secret").write_text("…")
    model = onnx.load(path)
    for location in ("../secret", str(tmp_path / "secret"), "nowhere", "\0", "x" * 300):
        entry = model.metadata_props.add()
        entry.key, entry.value = "location", location
    onnx.save(model, path)
    assert set(load_model(path).digests) == {"net.onnx"}


def test_a_module_whose_parameters_cannot_be_read_has_no_fingerprint():
    assert len(load_model(Bands()).fingerprint) == 64
    assert load_model(nn.Sequential(nn.Flatten(), nn.LazyLinear(4))).fingerprint == ""
    with pytest.raises(InputError, match="model: expected weights, got 'weight' on the device"):
        load_model(nn.Linear(2, 2, device="meta"))


def test_a_gradient_that_passes_by_now_makes_another_model(data, tmp_path):
    class Cut(Bands):
        cuts = True

        def forward(self, images):
            return super().forward(images.detach() if self.cuts else images).clone()

    model = Cut(sure=12)
    model.requires_grad_(False)
    begin(model, data, tmp_path)
    begin(model, data, tmp_path)  # it is still the same
    model.cuts = False
    with pytest.raises(InputError, match="the model has a gradient"):
        begin(model, data, tmp_path)


def test_a_judge_that_has_changed_is_another_judge(data, tmp_path):
    def judge(sure):
        model = Tilted(sure=sure)

        def reader(images):
            return model(images).detach()

        return reader

    model, out = Bands(sure=12), tmp_path / "out"
    begin(model, data, out, judge=[judge(9), Tilted(-0.5)])
    begin(model, data, out, judge=[judge(9), Tilted(-0.5)])
    with pytest.raises(InputError, match="but judge reader answers differently; start over"):
        begin(model, data, out, judge=[judge(8), Tilted(-0.5)])
    with pytest.raises(InputError, match="differs in judges"):
        begin(model, data, out, judge=judge(9))


@pytest.mark.shipped
def test_rounding_is_no_change_and_half_precision_is_one(digits):
    network, halves = load_network("fast"), load_network("fast").half().float()

    def in_parts(images):
        return torch.cat([network(part) for part in torch.split(images, 3)]).detach()

    subjects = [meet(load_model(each), digits) for each in (network, in_parts, halves)]
    whole, parts, half = (identity_of(each, digits, "it") for each in subjects)
    assert not torch.equal(whole.answers["noise"], parts.answers["noise"])
    assert parts.changes_since(whole) == ["it has no gradient"]  # as a function
    assert half.changes_since(whole) == ["it answers differently"]
    # To judge, it is the same network.
    assert same_network(subjects[0], subjects[2], digits)


def test_what_the_run_forgot_is_not_taken_for_the_same(data, tmp_path):
    audit(Bands(sure=12), data, judge=None, settings=TINY, out=tmp_path, budget=1e-9)
    path = tmp_path / "arrays" / "identity.npz"
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(InputError, match=r"expected arrays/identity\.npz, which identifies"):
        begin(Bands(sure=12), data, tmp_path)
    path.write_bytes(content[:100])
    with pytest.raises(InputError, match=r"identity\.npz: expected arrays"):
        begin(Bands(sure=12), data, tmp_path)


# Judges.


# What changes probabilities and keeps the order of the classes.
CHANGES = {
    "colder": lambda logits: logits * 20,
    "warmer": lambda logits: logits / 20 - 5,
    "one-hot": lambda logits: F.one_hot(logits.argmax(1), 4).float(),
    "rounded": lambda logits: logits.softmax(1).mul(10).round().div(10),
}


def wrapped(kind):
    model = Bands(sure=12).eval()
    if kind == "callable":
        return lambda images: model(images).detach()
    if kind == "TorchScript":
        with pytest.warns(DeprecationWarning, match="torch.jit.trace"):
            return torch.jit.trace(model, torch.rand(2, 1, 4, 4))
    if kind == "probabilities":
        return nn.Sequential(model, nn.Softmax(1))
    if kind in CHANGES:
        return lambda images: CHANGES[kind](model(images).detach())
    return WithRubbish(sure=12)


@pytest.mark.parametrize("kind", ["callable", "TorchScript", "probabilities", "rubbish", *CHANGES])
def test_no_wrapper_makes_a_model_its_own_judge(data, kind):
    judge, model = wrapped(kind), Bands(sure=12)
    if kind == "rubbish":  # one output more, and the others are the same
        judge, model = model, judge
    with pytest.raises(InputError, match="judge: expected models other than the audited one"):
        audit(model, data, judge=[Tilted(), judge], settings=TINY)


def test_one_network_judges_once(data):
    twice = [Tilted(), wrapped("probabilities"), wrapped("callable")]
    with pytest.raises(InputError, match="got Sequential and <lambda>, which give"):
        audit(Tilted(-0.5), data, judge=twice, settings=TINY)


@pytest.mark.shipped
def test_a_wrapped_shipped_network_is_not_judged_or_attacked_by_itself(digits, tmp_path):
    judge = load_network("judge")
    subject = meet(load_model(lambda images: judge(images).softmax(1).detach()), digits)
    found, _ = meet_judges(["auto"], subject, digits, trust=False)
    assert [each.name for each in found] == ["study", "judge-in-noise", "fast"]
    fast = load_network("fast")
    model = meet(load_model(lambda images: fast(images).detach()), digits)
    context = Context(model, digits, tuple(found), TINY, Run(tmp_path, {}))
    assert [part.name for part in transfer_parts(context)] == ["transfer/study"]
