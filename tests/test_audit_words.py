"""An audit in words: its sentences, and the command that makes it again."""

import ast
import re
from pathlib import Path
from typing import Any

from conftest import Bands
from deceive.auditing import Interface, audit
from deceive.auditing.budget import Budget
from deceive.auditing.models.interface import FOUND_OUT, Scaling, as_json
from deceive.auditing.record.again import command_of
from deceive.auditing.record.rows import Again
from deceive.auditing.record.schema import AuditReport
from deceive.auditing.settings import QUICK, THOROUGH
from deceive.auditing.shares import sure
from deceive.auditing.verdict import still_to_come, verdict
from worlds.audits import (
    TINY,
)
from worlds.records import OUTCOME, audit_content


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


def test_long_lists_are_cut(data, monkeypatch):
    monkeypatch.setattr(Budget, "stop", 0.0)  # the time is up as soon as anything is kept
    report = audit(Bands(sure=12), data, judge=None, settings=TINY)
    assert not report.complete
    assert still_to_come(report).startswith("garbage: uniform; garbage: gaussian; ")
    assert still_to_come(report).endswith(" more")
    assert [said.split(";")[0] for said in verdict(report)] == [
        "It reads 100.00% of the test images correctly"
    ]


SHY: list[dict[str, Any]] = [
    {"name": "asked", "confidence": 0.99, "test_share": 0.03},
    {"name": "own", "confidence": 0.372, "test_share": 0.93},
]


def said(**changes: Any) -> list[str]:
    return verdict(AuditReport.model_validate(audit_content(**changes)))


def shy(outcome: dict[str, Any]) -> list[dict[str, Any]]:
    """The headlines of a model that is never sure at the confidence asked for."""
    asked = OUTCOME | {"candidates": 6, "fooling_rate": 0.0, "gibberish_rate": 0.0, "median": None}
    own = OUTCOME | {"threshold": "own", "candidates": 6, "gibberish_median": 5} | outcome
    return [{"box": "white", "outcomes": [asked, own]}]


def test_of_a_shy_model_its_own_threshold_comes_first():
    sentences = said(thresholds=SHY, headlines=shy({"gibberish_rate": 1.0}))
    assert sentences[0] == (
        "An attacker who follows its gradient makes it at least 37.2% sure (its own threshold) of "
        "gibberish in 6 of 6 attempts (100.0%), in a median of 5 steps."
    )
    one = said(thresholds=SHY, headlines=shy({"gibberish_rate": 1.0, "gibberish_median": 1}))
    assert one[0].endswith("in a median of 1 step.")
    assert sentences[1].startswith("It is never at least 37.2% sure of garbage")
    assert (
        "It is 99% sure of only 3.0% of the real test images, so its own threshold counts: the "
        "confidence that 95% of the correctly read validation images reach. At 99%, 0.0% of the "
        "attempts succeed."
    ) in sentences
    assert " ".join(sentences).count("the confidence that 95%") == 1
    none = said(thresholds=SHY, headlines=shy({"fooling_rate": 0.0, "gibberish_rate": 0.0}))
    assert none[0].startswith(
        "None of 6 attempts made it 37.2% sure (its own threshold) of gibberish; "
    )


def test_of_other_models_the_threshold_asked_for_comes_first():
    sentences = said()
    assert "at least 99% sure of gibberish in 168 of 210 attempts (80.0%)" in sentences[0]
    assert any(each.startswith("At its own threshold, 99.76%, ") for each in sentences)
    assert not any("so its own threshold" in each for each in sentences)


def test_judges_that_read_little_are_told_right_after_the_rate():
    weak = (
        "The judge reads only 53.1% of the test images, so the gibberish rate may be too low; the "
        "fooling rate is 100.0%."
    )
    assert said(judge_accuracy=0.531)[1] == weak
    # Less than the model by more than five points, here 99.5%.
    assert said(judge_accuracy=0.94)[1].startswith("The judge reads only 94.0%")
    assert not any("reads only" in each for each in said(judge_accuracy=0.95))
    # Where all that fools it counts as gibberish, their votes hide nothing.
    assert not any("reads only" in each for each in said(judge_accuracy=0.531, asked=1.0))


def test_where_every_figure_is_meaningless_the_accuracy_is_the_last_word():
    clean = audit_content()["clean"] | {"accuracy": 0.101, "class_accuracy": 0.101}
    assert said(clean=clean, warnings=["It reads nothing."]) == [
        "It reads nothing.",
        "It reads 10.10% of the test images correctly; its confidence has an expected calibration "
        "error of 0.2%.",
    ]


def test_how_to_apply_the_advice_follows_it():
    report = AuditReport.model_validate(audit_content())
    sentences = verdict(report, Path("runs/mine"))
    (place,) = (n for n, each in enumerate(sentences) if 'auditing.Gate("runs/mine")' in each)
    assert sentences[place - 1].startswith("Use the confidence")
    assert any('Gate("runs/mine")' in each for each in verdict(report, Path.cwd() / "runs/mine"))
    quoted = verdict(report, Path('runs/my "best"\\model'))[place]
    (shown,) = re.findall(r"Gate\((.*)\) loads", quoted)
    assert ast.literal_eval(shown) == 'runs/my "best"\\model'
    assert not any("Gate" in each for each in verdict(report))  # it is in no folder
    assert not any("Gate" in each for each in said(limits=[], advice=None))


def test_a_model_that_is_sure_and_wrong_is_not_shy():
    asked = {"name": "asked", "confidence": 0.99, "test_share": 0.4, "any_class_share": 0.9}
    assert "99% sure of gibberish" in said(thresholds=[asked, SHY[1]])[0]
    assert any(
        "so its own threshold counts" in each
        for each in said(thresholds=[asked | {"any_class_share": 0.45}, SHY[1]])
    )


def test_a_share_of_few_images_comes_with_their_number():
    few = audit_content()["garbage"][0] | {"images": 9, "not_finite": 1, "kind": "optimised"}
    advice = audit_content()["advice"] | {"stopped": {"optimised": 0.75}}
    sentences = " ".join(said(garbage=[few], advice=advice))
    assert "stops 75.0% of the images optimised against it (6 of 8)." in sentences
    assert "stops 80.0% of the uniform noise." in " ".join(said())


def test_the_kinds_of_garbage_that_it_is_surest_of_are_all_named():
    def kinds(*shares: float) -> str:
        some = audit_content()["garbage"][0]
        names = ["uniform", "gaussian", "smooth", "squares", "permuted"]
        pairs = zip(names, shares, strict=False)
        found = [some | {"kind": name, "asked_share": share} for name, share in pairs]
        return next(each for each in said(garbage=found) if "not optimised" in each)

    assert kinds(0.5, 0.9, 0.7, 0.6, 0.1).endswith(
        "of 90.0% of the gaussian noise, 70.0% of the smooth noise, 60.0% of the overlapping "
        "squares and less of 2 other kinds."
    )
    assert kinds(0.5, 1, 1, 1, 1).endswith(
        "of 100.0% of the gaussian noise, 100.0% of the smooth noise, 100.0% of the overlapping "
        "squares, 100.0% of the shuffled pixels and less of 1 other kind."
    )
    assert kinds(0.005, 0.5).endswith("of 50.0% of the gaussian noise.")


def test_candidates_that_ended_at_real_images_are_told():
    asked = OUTCOME | {"gibberish_rate": 0.0, "fooling_rate": 0.5}
    outcomes = [asked, asked | {"threshold": "own"}]
    sentences = said(headlines=[{"box": "white", "outcomes": outcomes}])
    assert sentences[0].startswith("None of 210 attempts made it 99% sure of gibberish; ")
    assert sentences[0].endswith("105 ended at images in which most judges see the class too.")
