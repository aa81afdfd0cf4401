"""Which score an audit recommends, where its scores come from, and what it says of them."""

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import deceive
from conftest import Bands
from deceive.auditing import Gate, audit
from deceive.auditing.advising import advice_in_words, value_of
from deceive.auditing.features import Sample, head_of
from deceive.auditing.models.formats import load_model
from deceive.auditing.models.meeting import meet
from deceive.auditing.parts.clean import CleanPart
from deceive.auditing.parts.garbage import GarbagePart
from deceive.auditing.record.advice import Limit, advise
from deceive.auditing.record.measured import Garbage
from deceive.auditing.record.schema import AuditReport
from deceive.auditing.verdict import verdict
from deceive.common.errors import InputError
from deceive.data.dataset import in_batches
from worlds.audits import LITTLE, band_data, context_of, quiet
from worlds.records import audit_content


def with_features(*, after: nn.Module | None = None) -> nn.Sequential:
    """A network that reads bands from 16 features: each pixel's brightness, doubled."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4))
    with torch.no_grad():
        network[1].weight.copy_(2 * torch.eye(16))
        network[1].bias.zero_()
        network[3].weight.copy_(
            4 * torch.cat([Bands().best(each).view(1, 16) for each in range(4)])
        )
        network[3].bias.copy_(torch.tensor([0.1, 0.0, -0.1, 0.2]))
    return network if after is None else nn.Sequential(network, after)


class Twice(nn.Module):
    """Asks its only layer twice."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(16, 4)

    def forward(self, images):
        return self.layer(images.flatten(1)) + self.layer(images.flatten(1).flip(1))


class ByName(nn.Linear):
    """Is given its features by name."""

    def __call__(self, features):
        return super().__call__(input=features)


def test_features_may_be_given_by_name(data):
    network = with_features()
    named = ByName(16, 4)
    named.load_state_dict(network[3].state_dict())
    network[3] = named
    assert head_of(meet(load_model(network), data), data.validation.images[:8]).layer is named


@pytest.mark.parametrize("after", [None, nn.Softmax(1), nn.LogSoftmax(1)])
def test_features_are_what_the_last_linear_layer_takes(data, after):
    subject = meet(load_model(with_features(after=after)), data)
    head = head_of(subject, data.validation.images[:8])
    sample = Sample(len(data.validation), most=40, seed=0)
    with head.watched(sample):
        for images in in_batches(data.validation, 7):
            subject.logits(images)
    features, logits = sample.kept()
    assert len(set(sample.numbers.tolist())) == 40
    expected = 2 * data.validation.images[sample.numbers].flatten(1).double()
    torch.testing.assert_close(features, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(logits, features @ head.weight.T + head.bias, rtol=1e-5, atol=1e-5)


def test_no_features_where_there_is_no_such_layer(data):
    network, images = with_features(), data.validation.images[:8]
    assert head_of(meet(load_model(lambda shown: network(shown).detach()), data), images) is None
    assert head_of(meet(load_model(Twice()), data), images) is None
    assert head_of(meet(load_model(Bands()), data), images) is None
    dropping = with_features()
    dropping[2] = nn.Dropout(0.5)
    dropping[2].train = lambda mode=True: dropping[2]
    assert head_of(meet(load_model(dropping), data), images) is None


def test_scores_are_fitted_on_some_validation_images_and_limited_by_the_others(data, tmp_path):
    context = context_of(with_features(), tmp_path, data)
    row = CleanPart().run(context, quiet)
    context.run.add(row.model_dump(mode="json"))
    limits = {each.score: each for each in row.limits}
    plain = ["msp", "max_logit", "energy", "entropy", "gen", "kl_matching"]
    assert [*limits] == [*plain, "react", "knn", "mahalanobis", "vim"]
    network = with_features()
    energies = [network(each.images).logsumexp(1) for each in (data.validation, data.test)]
    threshold = energies[0].sort().values[4].item()  # 76 of 80 reach it: 95%
    assert limits["energy"].threshold == pytest.approx(threshold, abs=1e-5)
    assert limits["energy"].validation_share == 0.95
    shares = (energies[1] >= threshold - 1e-5).double().mean().item()
    assert limits["energy"].test_share == pytest.approx(shares)
    assert limits["knn"].validation_share == 0.95  # of 40 images
    garbage = GarbagePart("permuted").run(context, quiet).garbage
    assert set(garbage.scores) == set(limits)
    assert garbage.scores["mahalanobis"].fpr_at_95_tpr == 0


def garbage(kind: str, **passes: float) -> Garbage:
    """Garbage, with the share that passes each score's threshold."""
    scores = {name: {"auroc": 0.5, "fpr_at_95_tpr": share} for name, share in passes.items()}
    nothing = dict.fromkeys(("mean_confidence", "asked_share", "own_share", "caught"))
    counts = {"kind": kind, "images": 1000, "not_finite": 0}
    return Garbage.model_validate(counts | nothing | {"scores": scores})


LIMITS = [
    Limit(score=name, threshold=value, validation_share=0.95, test_share=0.94)
    for name, value in (("msp", 4.0), ("energy", 7.314), ("entropy", -0.25), ("vim", 2.0))
]


def test_the_best_score_on_the_worst_kind_and_on_average_is_recommended():
    found = advise(
        LIMITS,
        [
            garbage("uniform", msp=0.5, energy=0.1, vim=0.0),
            garbage("optimised", msp=1.0, energy=0.4, vim=0.9),
        ],
    )
    assert found.limit.score == "energy"
    assert found.stopped == pytest.approx({"uniform": 0.9, "optimised": 0.6})
    assert found.worst == "optimised"
    # A simpler score is preferred to one that is hardly better.
    close = advise(LIMITS, [garbage("uniform", msp=0.02, vim=0.01)])
    assert close.limit.score == "msp"
    assert advise(LIMITS, []) is None
    assert advise([], [garbage("uniform", msp=0.5)]) is None


def said(*found: Garbage) -> list[str]:
    limits = [each.model_dump() for each in LIMITS]
    advice = advise(LIMITS, found)
    content = audit_content(
        garbage=[each.model_dump() for each in found], limits=limits, advice=advice.model_dump()
    )
    return advice_in_words(AuditReport.model_validate(content))


def test_advice_in_words():
    first, against, nothing = said(
        garbage("uniform", msp=0.5, energy=0.0, vim=0.9),
        garbage("optimised", msp=1.0, energy=0.8, vim=0.9),
    )
    assert first == (
        "Use the energy (the log of the summed exponentials of its logits), and answer only above "
        "7.314: that keeps 95.0% of the validation images and 94.0% of the test images, and stops "
        "20.0% of the images optimised against it and all the other garbage."
    )
    assert against.startswith(
        "The optimised images were made to raise its confidence, not this score"
    )
    assert nothing == (
        "No score stops more than 20.0% of the images optimised against it: retrain with a rubbish "
        "class, or put a guard in front."
    )
    (alone,) = said(garbage("uniform", msp=0.0, energy=0.0, vim=0.0))
    assert "Use the confidence, and answer only above 98.201%" in alone
    assert alone.endswith("and stops all the garbage.")


def test_images_optimised_against_it_that_have_no_scores_are_said():
    assert not any("no scores" in each for each in said(garbage("uniform", msp=0.2)))
    content = audit_content()
    content["planned"]["curve_candidates"] = 0
    content["advice"]["stopped"] = {"uniform": 1.0}
    assert (
        "Images optimised against it have no scores, as this audit followed no curves."
        in advice_in_words(AuditReport.model_validate(content))
    )


def test_no_advice_without_figures():
    content = audit_content(limits=[], advice=None)
    assert advice_in_words(AuditReport.model_validate(content)) == []


def test_a_score_that_is_better_against_one_kind_is_named():
    _, more = said(
        garbage("uniform", msp=0.1, energy=0.2, vim=0.8),
        garbage("smooth", msp=0.6, energy=0.9, vim=0.3),
    )
    assert more == "“ViM” stops more of the smooth noise: 70.0%."


def test_what_no_score_stops_is_said_in_one_sentence():
    *_, last = said(
        garbage("uniform", msp=0.9, energy=0.6, vim=1.0),
        garbage("smooth", msp=0.7, energy=0.9, vim=1.0),
        garbage("squares", msp=0.1, energy=0.0, vim=1.0),
    )
    assert last == (
        "No score stops more than 40.0% of the uniform noise or more than 30.0% of the smooth "
        "noise: retrain with a rubbish class, or put a guard in front."
    )
    most, *_, last = said(
        garbage("uniform", msp=1.0, energy=1.0, vim=1.0),
        garbage("smooth", msp=0.7, energy=0.9, vim=1.0),
    )
    assert "stops none of the uniform noise and 30.0% of the smooth noise." in most
    assert last.startswith(
        "No score stops any of the uniform noise or more than 30.0% of the smooth noise: "
    )


def test_a_threshold_is_given_in_the_units_of_its_score():
    def of(score, threshold):
        return value_of(Limit(score=score, threshold=threshold, validation_share=1, test_share=1))

    assert of("entropy", -0.25) == "0.25"
    assert of("mahalanobis", -321.83) == "321.8"
    assert of("rubbish", 2.302585) == "0.1"
    assert of("msp", -1.0) == "26.894%"
    assert of("msp", 30.0) == "100.0000% (log-odds 30)"


def as_told(report: AuditReport, folder: Path, outputs: Tensor, features: Tensor) -> Tensor:
    """What the Python in the verdict says of a model's outputs."""
    (told,) = (each for each in verdict(report, folder) if each.startswith("In Python, "))
    line, call = re.search(r"(gate = .*?\)) loads .* and (gate\(.*?\)) says", told).groups()
    names = {"deceive": deceive, "features": features, report.model.answers: outputs}
    exec(line, names)
    return eval(call, names)


@pytest.mark.parametrize("kind", ["probabilities", "sigmoids", "one sigmoid"])
def test_a_gate_takes_what_the_model_returns(tmp_path, kind):
    two = band_data(Bands(n_classes=2))

    def model(images):
        logits = Bands(n_classes=2, sure=6)(images).detach()
        if kind == "probabilities":
            return logits.softmax(1).numpy()
        scores = (logits - 3).sigmoid() if kind == "sigmoids" else logits.softmax(1)[:, 1:]
        return scores.numpy()

    report = audit(model, two, judge=None, settings=LITTLE, out=tmp_path)
    outputs = torch.from_numpy(model(two.test.images))
    passed = as_told(report, tmp_path, outputs, outputs).double().mean().item()
    assert passed == pytest.approx(report.advice.limit.test_share, abs=0.02)


def test_a_gate_scores_as_the_audit_did(data, tmp_path):
    network = with_features()
    report = audit(network, data, judge=None, settings=LITTLE, out=tmp_path)
    images = data.test.images
    logits, features = network(images), 2 * images.flatten(1)
    for limit in report.limits:
        gate = Gate(tmp_path, limit.score)
        passed = gate(logits, features).double().mean().item()
        assert passed == pytest.approx(limit.test_share, abs=0.02)  # rounding may move an image
    best = Gate(tmp_path)
    assert best.limit == report.advice.limit
    assert torch.equal(as_told(report, tmp_path, logits, features), best(logits, features))
    noise = torch.rand(20, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    assert not Gate(tmp_path, "mahalanobis")(network(noise), 2 * noise.flatten(1)).any()
    with pytest.raises(InputError, match=r"features: expected \(60, 16\) for the score 'vim'"):
        Gate(tmp_path, "vim")(logits)
    with pytest.raises(InputError, match=r"expected one that the audit has measured .* 'rubbish'"):
        Gate(tmp_path, "rubbish")
