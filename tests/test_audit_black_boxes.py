"""Models without a gradient to follow, of any make; figures checked by other means."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import nn

from conftest import Bands
from deceive.auditing import Interface, audit
from deceive.auditing.garbage import GarbageImages
from deceive.auditing.models.formats import load_model
from deceive.auditing.models.meeting import meet
from deceive.auditing.models.subject import Subject
from deceive.auditing.opening import loaded_model
from deceive.common.errors import InputError
from deceive.common.levels import from_levels
from deceive.data.dataset import Dataset, Split
from deceive.networks.frozen import FrozenCopy
from deceive.storage.runs import Run
from worlds.audits import TINY, Strict

LITTLE = TINY.model_copy(
    update={"candidates": 4, "steps": 10, "curve_candidates": 2, "searched": 6, "queries": 100}
)

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@pytest.fixture(scope="module")
def digits() -> Dataset:
    """scikit-learn's digits of 8×8, with words for classes."""
    found = load_digits()
    images = torch.tensor(found.images / 16 * 255).round().float()[:, None] / 255
    labels = torch.tensor(found.target)
    train, validation, test = (
        Split(images[part], labels[part])
        for part in (slice(0, 300), slice(300, 400), slice(400, 600))
    )
    return Dataset(train, validation, test, 10, "digits", Path("digits"), NAMES)


def flat(images):
    return images.flatten(1).numpy()


def trained(classifier, digits: Dataset, *, words: bool):
    labels = digits.train.labels.numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it need not converge
        return classifier.fit(
            flat(digits.train.images), np.array(NAMES)[labels] if words else labels
        )


FOREST = RandomForestClassifier(5, random_state=0)
CLASSIFIERS = {
    "forest": FOREST,
    "SVC": SVC(),
    "pipeline": make_pipeline(StandardScaler(), LogisticRegression(max_iter=10)),
}


@pytest.mark.parametrize("words", [False, True])
@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.filterwarnings("ignore:Attribute `prob._` was deprecated:FutureWarning")
def test_scikit_learn_by_itself_and_by_onnx(digits, tmp_path, name, words):
    from skl2onnx import to_onnx

    classifier = trained(clone(CLASSIFIERS[name]), digits, words=words)
    has_shares = hasattr(classifier, "predict_proba")
    ask = classifier.predict_proba if has_shares else classifier.decision_function
    columns = [[*classifier.classes_].index(NAMES[k] if words else k) for k in range(10)]
    expected = torch.tensor(ask(flat(digits.test.images))[:, columns]).float()
    subjects = [meet(load_model(classifier), digits)]
    for zipmap in (True, False):
        path = tmp_path / f"{zipmap}.onnx"
        options = {id(classifier): {"zipmap": zipmap}}
        made = to_onnx(classifier, flat(digits.train.images[:1]), options=options)
        path.write_bytes(made.SerializeToString())
        subjects.append(meet(load_model(path), digits))
    for subject in subjects:
        found = subject.logits(digits.test.images)
        torch.testing.assert_close(
            found.softmax(1) if has_shares else found, expected, atol=1e-4, rtol=1e-4
        )
        assert subject.module is None
        said = any("matched to the data's 10 classes by name" in note for note in subject.notes)
        assert said == words


def test_a_folder_with_some_of_the_models_classes_is_enough(digits):
    classifier = trained(clone(FOREST), digits, words=True)
    three = ("eight", "one", "three")
    labels = torch.tensor([NAMES.index(name) for name in three])

    def only(split):
        place, label = (split.labels[:, None] == labels).nonzero().T
        return Split(split.images[place], label)

    splits = {name: only(getattr(digits, name)) for name in ("train", "validation", "test")}
    some = replace(digits, **splits, n_classes=3, class_names=three)
    report = audit(classifier, some, judge=None, settings=LITTLE)
    assert report.complete
    assert report.model.n_outputs == 10
    shares = classifier.predict_proba(flat(some.test.images))
    columns = [[*classifier.classes_].index(name) for name in three]
    own = shares[np.arange(len(shares)), np.array(columns)[some.test.labels.numpy()]]
    # Where votes tie, either may be the greatest.
    most = (own >= shares.max(1)).mean()
    least = ((own >= shares.max(1)) & ((shares == own[:, None]).sum(1) == 1)).mean()
    assert least <= report.clean.accuracy <= most


def by_hand(subject: Subject, data: Dataset, kind: str) -> tuple[float, float]:
    """AUROC of the confidence by scikit-learn, and the mean confidence on garbage."""
    garbage = GarbageImages(kind, LITTLE.garbage_images, data.test, LITTLE.seed).read(slice(None))
    real, rubbish = (subject.logits(x).double().softmax(1) for x in (data.test.images, garbage))
    scores = torch.cat([real.amax(1), rubbish.amax(1)]).logit()
    is_real = [1] * len(real) + [0] * len(rubbish)
    return roc_auc_score(is_real, scores), rubbish.amax(1).mean().item()


def test_the_figures_are_those_of_an_independent_reckoning(data, tmp_path):
    def model(images):  # as a service would answer
        return Bands(sure=12)(images).softmax(1).detach().numpy() * 100

    report = audit(model, data, judge=Strict(), settings=LITTLE, out=tmp_path)
    assert report.complete
    shares = model(data.test.images) / 100
    labels = data.test.labels.numpy()
    assert report.clean.accuracy == (shares.argmax(1) == labels).mean()
    assert report.clean.mean_confidence == pytest.approx(shares.max(1).mean(), abs=1e-6)
    subject = meet(load_model(model), data)
    for kind in ("uniform", "permuted"):
        found = report.kind_of_garbage(kind)
        auroc, confidence = by_hand(subject, data, kind)
        assert found.scores["msp"].auroc == pytest.approx(auroc, abs=1e-9)
        assert found.mean_confidence == pytest.approx(confidence, abs=1e-6)
    assert report.headline.outcome("asked").rate == pytest.approx(rate_by_hand(tmp_path, model))


def rate_by_hand(folder: Path, model) -> float:
    """Of all candidates the share with an image that the model is sure of, and the judge isn't."""
    run, fooled = Run.open(folder), {}
    judge = Strict()
    for row in run.rows():
        attacked = row.get("attacked") or row.get("followed")
        if row["part"].startswith("search") and attacked:
            arrays = run.load_arrays(attacked["arrays"])
            images = from_levels(torch.from_numpy(arrays["asked_levels"]))
            targets = torch.from_numpy(arrays["targets"])
            sure = torch.from_numpy(model(images) / 100).gather(1, targets[:, None])[:, 0] >= 0.99
            seen = judge(images).argmax(1) == targets
            for place, success in enumerate((sure & ~seen).tolist()):
                fooled[place] = fooled.get(place, False) or success
    return sum(fooled.values()) / len(fooled)


class NoGradient(Bands):
    def forward(self, images):
        with torch.no_grad():
            return super().forward(images)


class WithNumPy(Bands):
    """Leaves torch in between: an error where a gradient is wanted."""

    def forward(self, images):
        return super().forward(torch.from_numpy(images.numpy()))


class Chosen(Bands):
    def forward(self, images):
        return nn.functional.one_hot(super().forward(images).argmax(1), 4).float()


class Uncopied(Bands):
    def __deepcopy__(self, memo):
        raise TypeError("there is only one of me")


class Odd(Bands):
    """Fails at its first call with a gradient only."""

    def forward(self, images):
        if images.requires_grad:
            raise SystemError("no gradient, please\nand a second line")
        return super().forward(images)


def eight_bit() -> nn.Module:
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Flatten(), nn.Linear(16, 4))
    bands = Bands(sure=12)
    network[2].weight = nn.Parameter(bands.weight.detach())
    nn.init.ones_(network[0].weight)
    for bias in (network[0].bias, network[2].bias):
        nn.init.zeros_(bias)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, and still in use
        return torch.ao.quantization.quantize_dynamic(network, {nn.Linear}, torch.qint8)


CUT = {
    "no_grad": (lambda: NoGradient(sure=12), "No gradient passes through it"),
    "argmax": (lambda: Chosen(sure=12), "No gradient passes through it"),
    "numpy": (lambda: WithNumPy(sure=12), "It doesn't run with a gradient (Can't call numpy()"),
    "8-bit": (eight_bit, "No gradient passes through it"),
    "no copy": (lambda: Uncopied(sure=12), "Its gradient can't be followed (model: expected a"),
    "error": (lambda: Odd(sure=12), "It doesn't run with a gradient (no gradient, please), so"),
}


@pytest.mark.parametrize("kind", CUT)
def test_a_model_without_a_gradient_inside_simply_is_a_black_box(data, kind):
    make, said = CUT[kind]
    subject = meet(load_model(make()), data)
    assert subject.module is None
    assert any(note.startswith(said) for note in subject.notes)
    assert subject.accuracy(data.test.images, data.test.labels) == 1
    if kind in ("numpy", "no copy", "8-bit"):
        report = audit(make(), data, judge=None, settings=LITTLE)
        assert report.complete
        assert not report.model.white_box


def test_a_black_box_without_a_search_is_refused_beforehand(data, tmp_path):
    settings = LITTLE.model_copy(update={"searched": 0})
    with pytest.raises(InputError, match="searched: expected at least 1 for a black box, got 0"):
        audit(NoGradient(sure=12), data, judge=None, settings=settings, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    report = audit(Bands(sure=12), data, judge=None, settings=settings)
    assert [each.box for each in report.headlines] == ["white"]


def compiled(model: nn.Module, made: list[int]) -> nn.Module:
    """By torch.compile, with a backend that counts and compiles nothing."""

    def backend(graph, _):
        made.append(1)
        return graph.forward

    return torch.compile(model, backend=backend)


@pytest.mark.parametrize("part", [False, True])
def test_a_compiled_model_is_loaded_uncompiled(data, part):
    made = []
    bands = compiled(Bands(sure=12), made)
    model = nn.Sequential(bands) if part else bands
    loaded = loaded_model(model, Interface(), trust=False)
    subject = meet(loaded, data)
    torch.testing.assert_close(
        subject.logits(data.test.images), Bands(sure=12)(data.test.images).detach()
    )
    FrozenCopy(subject.module, data.test.images[:1]).logits(data.test.images)
    assert made == []
    assert (model[0] if part else model) is bands  # the user's own stays as it is


@pytest.mark.parametrize("kind", ["double", "half", "bfloat16"])
def test_modules_of_any_precision_are_white_boxes(data, kind):
    model = getattr(nn.Sequential(nn.Flatten(), nn.Linear(16, 4, bias=False)), kind)()
    model[1].weight = nn.Parameter(Bands(sure=12).weight.detach().to(model[1].weight.dtype))
    subject = meet(load_model(model), data)
    assert subject.module is not None
    expected = Bands(sure=12)(data.test.images).detach()
    torch.testing.assert_close(subject.logits(data.test.images), expected, atol=0.1, rtol=0.01)


def test_lightning_like_modules(data):
    class Module(Bands):
        """Holds what can't be copied, trains in another way, prints, and gives a dict."""

        def __init__(self):
            super().__init__(sure=12)
            self.trainer, self.hparams = (each for each in ()), {"lr": 0.1}
            self.train()

        def training_step(self, batch):
            raise AssertionError

        def forward(self, images):
            logits = super().forward(images)
            return {"loss": None, "logits": logits, "features": images.flatten(1)}

    model = Module()
    report = audit(model, data, judge=None, settings=LITTLE)
    assert report.complete
    assert (report.model.white_box, report.model.output) == (True, "logits")
    assert report.clean.accuracy == 1
    assert model.training
