"""An audit for other tools, from hand-made reports."""

import json
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from huggingface_hub import parse_eval_result_entries
from huggingface_hub.repocard_data import model_index_to_eval_results

from deceive.auditing import AuditReport
from deceive.common.errors import WriteError
from deceive.reporting.exports import (
    append_summary,
    write_badge,
    write_huggingface,
    write_junit,
    write_summary,
)
from deceive.reporting.exports.badge import badge_of
from worlds.records import audit_content

UNFINISHED: dict[str, Any] = {
    "complete": False,
    "missing": ["garbage: plain grey"],
    "failures": [{"part": "attack: sign from real", "reason": "RuntimeError('no <light>')"}],
}
NOTHING_YET: dict[str, Any] = {
    "complete": False,
    "missing": ["reading real images"],
    "clean": None,
    "thresholds": [],
    "headlines": [],
    "garbage": [],
    "limits": [],
    "advice": None,
}

# What Jenkins' schema (junit-10.xsd) allows below each element, and its attributes.
INSIDE = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase", "system-out", "system-err"},
    "properties": {"property"},
    "testcase": {"skipped", "error", "failure", "system-out", "system-err"},
}
ATTRIBUTES = {
    "testsuites": {"name", "time", "tests", "failures", "errors"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time"},
    "property": {"name", "value"},
    "testcase": {"name", "classname"},
    "failure": {"type", "message"},
    "error": {"type", "message"},
    "skipped": {"message"},
}


def report(**changes: Any) -> AuditReport:
    return AuditReport.model_validate(audit_content(**changes))


def junit(path, audit, limit=None):
    write_junit(path / "junit.xml", audit, limit)
    root = ET.parse(path / "junit.xml").getroot()
    for element in root.iter():
        assert {each.tag for each in element} <= INSIDE.get(element.tag, set())
        assert set(element.attrib) == ATTRIBUTES.get(element.tag, set())
    (suite,) = root
    cases = suite.findall("testcase")
    assert len({each.get("name") for each in cases}) == len(cases)
    for what, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(suite.attrib[what]) == len(suite.findall(f"testcase/{tag}"))
        assert root.get(what, suite.attrib[what]) == suite.attrib[what]
    assert int(suite.attrib["tests"]) == len(cases)
    return suite


def outcomes(suite):
    """Each test case's name and what became of it."""
    kinds = ("failure", "error", "skipped")
    return {
        case.get("name"): next((each.tag for each in case if each.tag in kinds), "passed")
        for case in suite.findall("testcase")
    }


def test_junit_has_a_case_for_each_check(tmp_path):
    suite = junit(tmp_path, report(asked=0.8, own=0.04), limit=0.05)
    assert outcomes(suite) == {
        "real images are read": "passed",
        "gibberish rate at the asked threshold": "failure",
        "gibberish rate at its own threshold": "passed",
        "the audit is complete": "passed",
        "no warnings": "passed",
        "garbage: uniform noise": "passed",
    }
    failure = suite.find("testcase/failure")
    assert failure.get("message") == "gibberish rate 80.0%, more than 5.0%"
    properties = {each.get("name"): each.get("value") for each in suite.find("properties")}
    assert properties["command"] == "deceive audit fast"
    assert float(properties["rate_asked"]) == float(properties["worst_rate"]) == 0.8
    assert float(properties["accuracy"]) == 0.99534
    assert float(properties["advised_stops"]) == 0.8
    assert "AUROC, msp: 0.912" in suite.find("testcase[6]/system-out").text
    assert "failure" not in outcomes(junit(tmp_path, report())).values()


def test_junit_shows_what_failed_and_what_is_missing(tmp_path):
    suite = junit(tmp_path, report(**UNFINISHED, warnings=["It is odd."]), limit=0.9)
    found = outcomes(suite)
    assert found["attack: sign from real"] == "error"
    assert found["garbage: plain grey"] == "skipped"
    assert found["no warnings"] == found["the audit is complete"] == "error"
    texts = [each.text for each in suite.findall("testcase/error")]
    assert texts == [
        "attack: sign from real: RuntimeError('no <light>'); not done: garbage: plain grey",
        "It is odd.",
        "RuntimeError('no <light>')",
    ]


def test_an_audit_without_results_can_be_written(tmp_path):
    nothing = report(**NOTHING_YET)
    found = outcomes(junit(tmp_path, nothing, 0.05))
    assert found == {
        "real images are read": "skipped",
        "gibberish rate at the asked threshold": "skipped",
        "gibberish rate at its own threshold": "skipped",
        "the audit is complete": "error",
        "no warnings": "passed",
        "reading real images": "skipped",
    }
    write_summary(tmp_path / "summary.md", nothing, 0.05)
    assert "**Not complete:**" in (tmp_path / "summary.md").read_text()
    write_badge(tmp_path / "badge.json", nothing)
    assert json.loads((tmp_path / "badge.json").read_text())["message"] == "unknown"
    write_huggingface(tmp_path / "index.yaml", nothing)
    assert yaml.safe_load((tmp_path / "index.yaml").read_text())["model-index"][0]["results"]
    write_huggingface(tmp_path / "results.yaml", nothing, "org/set")
    assert yaml.safe_load((tmp_path / "results.yaml").read_text()) == []


def test_without_judges_it_is_the_fooling_rate(tmp_path):
    content = audit_content(judges=[], judge_accuracy=None)
    for outcome in content["headlines"][0]["outcomes"]:
        outcome["gibberish_rate"] = None
    alone = AuditReport.model_validate(content)
    assert outcomes(junit(tmp_path, alone, 0.5))["fooling rate at its own threshold"] == "failure"
    assert badge_of(alone).label == "fooling rate"
    write_huggingface(tmp_path / "index.yaml", alone)
    assert "fooling_rate_asked" in (tmp_path / "index.yaml").read_text()


def test_foreign_text_stays_text(tmp_path):
    name = 'a"b</testcase>\x1b[31m\n|<script>|\U0001f600 \u202e: #'
    odd = report(name=name)
    assert (
        junit(tmp_path, odd).find("testcase").get("classname").startswith('deceive.a"b</testcase')
    )
    write_summary(tmp_path / "summary.md", odd)
    assert "<script>" not in (tmp_path / "summary.md").read_text().split("`")[0]
    write_huggingface(tmp_path / "index.yaml", odd)
    (index,) = yaml.safe_load((tmp_path / "index.yaml").read_text())["model-index"]
    assert index["name"] == 'a"b</testcase> [31m |<script>|\U0001f600  : #'


def test_a_rate_just_above_the_limit_is_told_from_it(tmp_path):
    suite = junit(tmp_path, report(asked=0.05001, own=0), limit=0.05)
    message = suite.find("testcase/failure").get("message")
    assert message == "gibberish rate 5.0010%, more than 5.0000%"


def test_the_summary_says_how_it_ended_and_what_was_measured(tmp_path):
    path = tmp_path / "summary.md"
    write_summary(path, report(notes=["It is grey."], reductions=["Fewer attacks."]), 0.1)
    text = path.read_text()
    assert text.startswith("## How sure is fast of garbage?\n\n**Failed:** gibberish rate 80.0%")
    assert "| white box | 99.76%, its own | – | 93.0% | 100.0% | 50.0% |" in text
    assert "| uniform noise | 50.0% | 10.0% | 0.912 |" in text
    assert "- It is grey." in text
    less = "To fit its budget, this audit did less than usual: fewer attacks. --budget none does"
    assert text.index(less) < text.index("An attacker who follows")
    assert "It reads 99.53% of the test images correctly" in text
    assert "Gibberish: the same, counting only" in text
    assert "`deceive audit fast` made this audit, in 57 s of work." in text
    for changes, limit, said in (
        ({}, 0.8, "**Passed:** the gibberish rate is at most 80.0%"),
        ({"warnings": ["It is *odd*."]}, 0.8, r"> **Warning.** It is \*odd\*."),
        (UNFINISHED, 0.8, "**Not complete:**"),
        (UNFINISHED, 0.8, "- Not done: garbage: plain grey."),
    ):
        write_summary(path, report(**changes), limit)
        assert said in path.read_text()
    step = tmp_path / "step.md"
    step.write_text("before\n")
    append_summary(step, report(notes=["It is grey."], reductions=["Fewer attacks."]), 0.1)
    assert step.read_text() == f"before\n{text}"


@pytest.mark.parametrize(
    ("rate", "changes", "message", "color"),
    [
        (0.0, {}, "0.0%", "brightgreen"),
        (0.03, {}, "3.0%", "green"),
        (0.1, {}, "10.0%", "yellow"),
        (0.4, {}, "40.0%", "orange"),
        (0.9, {}, "90.0%", "red"),
        (0.9, UNFINISHED, "90.0%, incomplete", "lightgrey"),
        (0.0, {"warnings": ["It is odd."]}, "0.0%, with warnings", "lightgrey"),
    ],
)
def test_a_badge_has_the_rate_and_its_colour(tmp_path, rate, changes, message, color):
    audit = report(asked=rate, own=0.0, **changes)
    write_badge(tmp_path / "badge.json", audit)
    assert json.loads((tmp_path / "badge.json").read_text()) == {
        "schemaVersion": 1,
        "label": "gibberish rate",
        "message": message,
        "color": color,
    }
    write_badge(tmp_path / "badge.svg", audit)
    svg = ET.parse(tmp_path / "badge.svg").getroot()
    texts = svg.findall(".//{*}text")
    assert [each.text for each in texts] == ["gibberish rate"] * 2 + [message] * 2
    widths = [int(each.get("textLength")) for each in texts[::2]]
    assert int(svg.get("width")) == sum(widths) + 20
    assert widths[0] == pytest.approx(80, abs=6)


def test_huggingface_reads_a_model_cards_index(tmp_path):
    write_huggingface(tmp_path / "index.yaml", report())
    content = yaml.safe_load((tmp_path / "index.yaml").read_text())
    name, results = model_index_to_eval_results(content["model-index"])
    assert name == "fast"
    found = {(each.metric_type, each.metric_name): each.metric_value for each in results}
    assert found["accuracy", "Accuracy"] == 0.99534
    assert found["gibberish_rate_asked", "Gibberish rate at 99%"] == 0.8
    assert found["roc_auc", "AUROC against uniform noise"] == 0.91234
    assert {each.dataset_type for each in results} == {"mnist"}


def test_huggingface_reads_the_results_on_a_benchmark(tmp_path):
    write_huggingface(tmp_path / "results.yaml", report(), "ylecun/mnist")
    entries = parse_eval_result_entries(yaml.safe_load((tmp_path / "results.yaml").read_text()))
    assert [(each.dataset_id, each.task_id, each.value) for each in entries] == [
        ("ylecun/mnist", "accuracy", 0.99534),
        ("ylecun/mnist", "gibberish_rate_asked", 0.8),
        ("ylecun/mnist", "gibberish_rate_own", 0.5),
    ]
    assert entries[0].notes == "deceive 0.1.0; judges: judge; deceive audit fast"


def test_a_file_that_cannot_be_written_is_an_error_of_ours(tmp_path):
    for write in (write_junit, write_summary, append_summary, write_badge, write_huggingface):
        with pytest.raises(WriteError, match="expected a"):
            write(tmp_path, report())
