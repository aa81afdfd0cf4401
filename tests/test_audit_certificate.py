"""What an audit says is proved: of networks that can be bounded, and of those that can't."""

import re
from dataclasses import replace

import pytest
import torch
from torch import nn

from conftest import Bands
from deceive.auditing import Scaling, audit
from deceive.auditing.models.formats import load_model
from deceive.auditing.models.meeting import meet
from deceive.auditing.models.readings import Reading
from deceive.auditing.models.subject import Adapted
from deceive.auditing.parts.certificate import CertificatePart, bounded
from deceive.auditing.proofs_in_words import down, proof_columns, proof_rows, proofs_in_words
from deceive.auditing.tables import tables_of
from deceive.certifying.core import certify
from deceive.reporting.audit import write_audit_page
from deceive.storage.runs import Run
from worlds.audits import LITTLE, band_data, context_of, quiet

PLAIN = Scaling(), Reading()

PROVING = LITTLE.model_copy(update={"certify": True, "garbage_images": 40})


def linear(sure: float) -> nn.Module:
    """`Bands` as plain layers, whose bounds are exact."""
    bands = Bands(sure=sure)
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 4, bias=False))
    with torch.no_grad():
        network[1].weight.copy_(bands.weight)
    return network


def proved_of(model, folder):
    """What the part says of a model by itself."""
    context = context_of(model, folder, settings=PROVING)
    return CertificatePart().run(context, quiet).certificate


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("audit")


@pytest.fixture(scope="module")
def shy(folder):
    return audit(linear(4.0), band_data(), judge=None, settings=PROVING, out=folder)


def test_a_network_that_is_never_sure_is_proved_to_be(shy):
    found = shy.certificate
    assert found.reason is None
    assert found.threshold == 0.99
    assert {(each.epsilon, each.share, each.images) for each in found.proved} == {
        (0.1, 1.0, 10),
        (0.3, 1.0, 10),
    }
    assert [each.kind for each in found.proved[::2]] == [
        *("uniform", "gaussian", "smooth", "squares", "permuted", "constant")
    ]
    (said,) = proofs_in_words(shy)
    assert "nothing makes it 99% sure of a class within ε = 0.1 of 100.0% of 60 images" in said
    assert any(table.columns == proof_columns(shy) for table in tables_of(shy))


def test_the_page_shows_it(shy, folder):
    page = write_audit_page(Run.open(folder)).read_text()
    assert "<h2>What is proved</h2>" in page
    assert "proved within ε = 0.3" in page


def test_a_network_that_is_sure_is_not(tmp_path):
    shares = {
        (each.kind, each.epsilon): each.share for each in proved_of(linear(60.0), tmp_path).proved
    }
    # Around a plain grey all bands can be moved apart by 0.6: 60 × 0.6 is plenty.
    assert shares["constant", 0.3] == 0
    assert all(shares[kind, 0.1] >= shares[kind, 0.3] for kind, _ in shares)


def test_where_nothing_is_proved_it_says_so(shy):
    none = [each.model_copy(update={"share": 0.0}) for each in shy.certificate.proved]
    nothing = shy.certificate.model_copy(update={"proved": none})
    (said,) = proofs_in_words(shy.model_copy(update={"certificate": nothing}))
    assert said.startswith(
        "Nothing is proved: interval bounds can't rule out a confidence of 99% near"
    )


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (lambda images: Bands()(images).detach(), "expected a torch module, .* got a black box"),
        (nn.Sequential(nn.Flatten(), nn.GELU(), nn.Linear(16, 4)), "got a GELU at layer 1"),
    ],
)
def test_why_nothing_can_be_proved(model, reason, shy, tmp_path):
    found = proved_of(model, tmp_path)
    assert found.proved == []
    assert re.search(reason, found.reason)
    report = shy.model_copy(update={"certificate": found})
    assert proofs_in_words(report) == [f"Nothing can be proved about it: {found.reason}."]
    assert proof_rows(report) == []


def test_an_audit_proves_nothing_unless_it_is_asked(shy):
    report = shy.model_copy(update={"certificate": None})
    assert proofs_in_words(report) == []
    assert proof_columns(report) == ("garbage",)
    assert LITTLE.certify is False


def test_the_models_scaling_is_part_of_the_bounds():
    images = torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    subject = meet(load_model(linear(8.0)), band_data())
    shown = replace(
        subject, scaling=Scaling((0, 255), (100.0,), (50.0,)), module=Adapted(linear(8.0), *PLAIN)
    )
    scaled = linear(8.0)
    with torch.no_grad():
        scaled[1].weight.mul_(255 / 50)  # the shift is the same for all classes
    one, other = (certify(each, images, 0.1).confidence for each in (bounded(shown), scaled))
    torch.testing.assert_close(one, other, atol=1e-4, rtol=0)


def test_shares_are_rounded_down():
    assert down(0.99999) == "99.9%"
