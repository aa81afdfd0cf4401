"""An audit in words: its sentences, and the command that makes it again."""

import pytest

from conftest import Bands
from deceive.auditing import Interface, audit
from deceive.auditing.models.interface import FOUND_OUT, Scaling, as_json
from deceive.auditing.record.again import command_of
from deceive.auditing.record.rows import Again
from deceive.auditing.settings import QUICK, THOROUGH
from deceive.auditing.shares import sure
from deceive.auditing.verdict import still_to_come, verdict
from deceive.data.dataset import Dataset
from worlds.audits import (
    TINY,
    band_data,
)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def data() -> Dataset:
    return band_data()


def test_the_command_names_what_differs_from_the_preset():
    def settings(interface, judge_interface=FOUND_OUT, judges=("auto",), **changed):
        given = {"interface": as_json(interface), "judge_interface": as_json(judge_interface)}
        return given | {"model": "my net:make", "judges": [*judges]} | changed

    first = Interface(Scaling(mean=(0.13066047,), std=(0.3,)), rubbish_class=10)
    size = QUICK.model_copy(update={"steps": 7, "ways": ("sign", "adam")}).model_dump(mode="json")
    again = Again(data="my digits", other_data="../fashion")
    assert command_of(settings(first, **size), again) == (
        "deceive audit 'my net:make' --data 'my digits' --other-data ../fashion "
        "--bounds 0 1 --mean 0.13066047 --std 0.3 --rubbish-class 10 --steps 7 --ways sign adam"
    )
    of_judges = Interface(Scaling(mean=(0.5,), std=(0.25,)), output="1", rubbish_class=10)
    judges, size = ["other.onnx", "my net:judge"], THOROUGH.model_dump(mode="json")
    second = settings(Interface(Scaling((-1, 1)), output="logits"), of_judges, judges, **size)
    assert command_of(second, Again(trust=True)) == (
        "deceive audit 'my net:make' --thorough --trust --judge other.onnx 'my net:judge' "
        "--bounds -1 1 --output logits --judge-bounds 0 1 --judge-mean 0.5 --judge-std 0.25 "
        "--judge-output 1 --judge-rubbish-class 10"
    )
    # Bounds of [0, 1] are named too, or they would be found out.
    third = settings(Interface(Scaling()), judges=[], **size)
    assert (
        command_of(third, Again())
        == "deceive audit 'my net:make' --thorough --judge none --bounds 0 1"
    )


def test_confidence_in_words():
    assert [sure(value) for value in (0.99, 0.95641, 0.9, 0.99987, 0.999999)] == [
        "99%",
        "95.64%",
        "90%",
        "99.987%",
        "99.9999%",
    ]


def test_long_lists_are_cut(data):
    report = audit(Bands(sure=12), data, judge=None, settings=TINY, budget=1e-9)
    assert not report.complete
    assert still_to_come(report).startswith("reading real images; garbage: uniform; ")
    assert still_to_come(report).endswith(" more")
    assert verdict(report) == []
