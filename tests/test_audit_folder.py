"""The run folder of an audit, and its `audit.json`."""

import itertools
import json
from typing import get_args

import pytest
from pydantic import ValidationError

from conftest import Bands
from deceive.auditing import audit, read_report
from deceive.auditing.attacks import WAYS
from deceive.auditing.budget import Budget
from deceive.auditing.models.interface import Interface, Scaling
from deceive.auditing.parts.plan import parts_of
from deceive.auditing.record.assemble import assemble, write_audit
from deceive.auditing.settings import AuditSettings, WayName
from deceive.common.errors import InputError
from deceive.storage.runs import Run
from worlds.audits import (
    TINY,
    Glaring,
    Strict,
    context_of,
    crashing,
)


@pytest.mark.parametrize("seconds", [130, 150])
def test_a_run_goes_on_where_the_time_was_up(data, tmp_path, seconds):
    options = {"judge": Strict(), "settings": TINY, "interface": Interface(Scaling())}
    looks = itertools.count()
    whole = audit(Bands(sure=12), data, out=tmp_path / "whole", **options)
    calls = 0
    while True:
        budget = Budget(seconds, lambda: float(next(looks)))  # a look at this clock takes a second
        report = audit(Bands(sure=12), data, out=tmp_path / "bits", budget=budget, **options)
        calls += 1
        if report.complete:
            break
        assert report.missing
        assert calls < 50
    assert calls > 1
    # Which fooling images are measured depends on how many groups they come in.
    same = [
        replace_seconds(each).model_copy(update={"resemblance": None}) for each in (report, whole)
    ]
    assert same[0] == same[1]
    rows = [json.loads(line) for line in (tmp_path / "bits/rows.jsonl").read_text().splitlines()]
    names = [row["part"] for row in rows]
    assert len(names) == len(set(names))  # nothing was done twice
    # Once more, and nothing changes.
    again = audit(Bands(sure=12), data, out=tmp_path / "whole", **options)
    assert again == whole


def replace_seconds(report):
    return report.model_copy(update={"seconds": 0})


def test_what_failed_is_tried_again(data, tmp_path):
    broken_once = Glaring(crashing)
    report = audit(broken_once, data, judge=None, settings=TINY, out=tmp_path)
    assert report.failures
    broken_once.odd = lambda logits, bright: logits  # the same weights, and so the same model
    mended = audit(broken_once, data, judge=None, settings=TINY, out=tmp_path)
    assert mended.complete
    assert mended.failures == []


def test_another_model_or_size_is_another_run(data, tmp_path):
    audit(Bands(sure=12), data, judge=None, settings=TINY, out=tmp_path)
    with pytest.raises(InputError, match="the model answers differently"):
        audit(Bands(sure=11), data, judge=None, settings=TINY, out=tmp_path)
    other = TINY.model_copy(update={"steps": 61})
    with pytest.raises(InputError, match="steps"):
        audit(Bands(sure=12), data, judge=None, settings=other, out=tmp_path)


def test_audit_json_is_the_report(data, tmp_path):
    report = audit(Bands(sure=12), data, judge=Strict(), settings=TINY, out=tmp_path)
    assert read_report(tmp_path / "audit.json") == report
    # Made of what is stored alone.
    run = Run.open(tmp_path)
    assert assemble(run) == report
    (tmp_path / "audit.json").unlink()
    assert write_audit(run) == report


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected an audit.json"),
        ("[]", "expected an audit.json"),
        ('{"schema_version": 1}', "expected an audit of schema version 2, 3 or 4, got 1"),
        ('{"schema_version": 2}', "expected an audit.json; deceive: expected a value, got none"),
        (
            '{"schema_version": 2, "judges": 3}',
            "expected an audit.json; deceive: expected a value, got none",
        ),
        ('{"schema_version": 3}', "expected an audit.json; deceive: expected a value, got none"),
    ],
)
def test_what_is_no_audit_is_one_clear_value_error(tmp_path, content, message):
    path = tmp_path / "audit.json"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_report(path)
    with pytest.raises(InputError, match=r"expected an audit\.json"):
        read_report(tmp_path / "nowhere.json")


def test_the_folder_of_something_else_is_refused(tmp_path):
    run = Run(tmp_path, {"seed": 0})
    with pytest.raises(InputError, match="expected the folder of an audit"):
        assemble(run)


def test_the_folder_of_another_version_is_said(data, tmp_path):
    audit(Bands(sure=12), data, judge=None, settings=TINY, out=tmp_path)
    path = tmp_path / "settings.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"audit": 2}))
    with pytest.raises(
        InputError, match=r"expected an audit of schema version .* got version 2; .*--fresh"
    ):
        assemble(Run.open(tmp_path))


def test_the_folder_of_an_earlier_layout_is_one_sentence(data, tmp_path):
    options = {"judge": None, "settings": TINY, "out": tmp_path}
    audit(Bands(sure=12), data, budget=1e-9, **options)
    path = tmp_path / "settings.json"
    settings = json.loads(path.read_text())
    lacking = {name: value for name, value in settings.items() if name not in ("interface", "ways")}
    path.write_text(json.dumps(lacking | {"bounds": [0, 1]}))
    with pytest.raises(InputError, match=r"got settings without interface, ways; .*--fresh"):
        assemble(Run.open(tmp_path))
    with pytest.raises(InputError, match=r"differs in bounds, interface, ways; .*--fresh"):
        audit(Bands(sure=12), data, **options)


def test_a_row_without_its_type_is_one_sentence(data, tmp_path):
    audit(Bands(sure=12), data, judge=None, settings=TINY, out=tmp_path, budget=1e-9)
    with (tmp_path / "rows.jsonl").open("a") as rows:
        rows.write(json.dumps({"part": "clean", "accuracy": 1}) + "\n")
    with pytest.raises(InputError, match="expected a row of an audit, got one with part 'clean'"):
        assemble(Run.open(tmp_path))


def test_the_settings_name_the_attacks(data, tmp_path):
    settings = TINY.model_copy(update={"ways": ("sign",), "every_curve": True})
    context = context_of(Bands(sure=12), tmp_path, data, settings=settings)
    names = [part.name for part in parts_of(context)]
    assert len(set(names)) == len(names)
    along = [name.split("/")[:2] for name in names if name.startswith(("attack/", "curve/"))]
    assert along == [["attack", "sign"]] * 6 + [["curve", "sign"]] * 6
    assert get_args(WayName) == tuple(WAYS)
    for ways, said in [((), "at least 1 item"), (("sign", "sign"), "each once")]:
        with pytest.raises(ValidationError, match=said):
            AuditSettings(ways=ways)
