import json
import math
import re
from pathlib import Path

import pytest

from deceive.auditing import read_report
from deceive.auditing.leaderboard import write_leaderboard
from deceive.auditing.settings import QUICK
from deceive.common.errors import InputError
from worlds.records import JUDGE, audit_content


def write(folder, **given):
    folder.mkdir()
    path = folder / "audit.json"
    path.write_text(json.dumps(audit_content(**given)))
    return path


def test_a_row_for_each_audit_the_least_gibberish_first(tmp_path):
    fast = write(tmp_path / "a", name="fast", asked=0.8, own=0.5)
    shy = write(tmp_path / "b", name="shy", asked=0.0, own=0.9)
    write(tmp_path / "c", name="resist", asked=0.01, own=0.02, box="black")
    out = tmp_path / "docs" / "board.md"
    rows = write_leaderboard([fast, shy, tmp_path / "c"], out)
    assert [row["model"] for row in rows] == ["resist", "fast", "shy"]  # by the worse threshold
    assert rows[1] == {
        "model": "fast",
        "data": "mnist",
        "test accuracy": "99.53%",
        "gibberish rate at 0.99": "80.0%",
        "passes": "97.0%",
        "gibberish rate at its own threshold": "50.0%",
        "its own threshold": "99.76%",
        "fooling rate at 0.99": "100.0%",
        "median steps": "7.5",
        "mean confidence on optimised garbage": "–",
        "AUROC: uniform noise": "0.912",
        "AUROC: gaussian noise": "–",
        "AUROC: smooth noise": "–",
        "AUROC: overlapping squares": "–",
        "AUROC: shuffled pixels": "–",
        "AUROC: plain grey": "–",
        "AUROC: other data": "–",
        "AUROC: optimised": "–",
        "seconds to train": "40",
        "box: candidates, steps or queries": "white: 210, 200",
        "judges": "judge",
    }
    assert rows[0]["box: candidates, steps or queries"] == "black: 210, 1,000"
    table = [line for line in out.read_text().splitlines() if line.startswith("|")]
    assert len(table) == 2 + 3
    assert {line.count("|") for line in table} == {len(rows[0]) + 1}
    assert "| fast | mnist | 99.53% |" in table[3]
    assert "deceive leaderboard FILES" in out.read_text()


CUT = {
    "complete": False,
    "missing": ["reading real images"],
    "headlines": [],
    "clean": None,
    "thresholds": [],
}


def test_an_audit_that_is_not_whole_is_marked_and_goes_last(tmp_path):
    cut = write(tmp_path / "a", name="cut", **CUT)
    fast = write(tmp_path / "b")
    rows = write_leaderboard([cut, fast], tmp_path / "board.md")
    assert [row["model"] for row in rows] == ["fast", "cut (not complete)"]


def test_an_audit_with_warnings_is_marked_and_goes_last(tmp_path):
    blind = write(tmp_path / "a", name="blind", asked=0.0, own=0.0, warnings=["It guesses."])
    fast = write(tmp_path / "b", complete=False, missing=["search: squares"])
    rows = write_leaderboard([blind, fast], tmp_path / "board.md")
    assert [row["model"] for row in rows] == ["fast (not complete)", "blind (with warnings)"]


def test_an_audit_with_fewer_attacks_is_marked(tmp_path):
    few = QUICK.model_copy(update={"ways": ("sign",)}).model_dump()
    white = write(tmp_path / "a", settings=few, planned=few)
    black = write(tmp_path / "b", name="black", box="black", settings=few, planned=few)
    rows = write_leaderboard([white, black], tmp_path / "board.md")
    assert {row["model"] for row in rows} == {"fast (fewer attacks)", "black"}


def test_an_audit_of_the_version_before_is_read(tmp_path):
    now = audit_content()
    before = {name: value for name, value in now.items() if name != "warnings"}
    before |= {"schema_version": 2, "judges": ["judge"], "model": dict(before["model"])}
    before["data"] = {name: each for name, each in now["data"].items() if name != "class_names"}
    for name in ("output", "answers", "prepared"):
        del before["model"][name]
    before["model"]["gives_probabilities"] = False
    path = tmp_path / "audit.json"
    path.write_text(json.dumps(before))
    report = read_report(path)
    assert report.schema_version == 4
    assert report.warnings == []
    assert [(judge.name, judge.accuracy) for judge in report.judges] == [("judge", None)]
    now |= {"judges": [dict.fromkeys(JUDGE) | {"name": "judge"}], "limits": [], "advice": None}
    now |= {"resemblance": None, "model": now["model"] | {"prepared": ""}}
    path.write_text(json.dumps(now))
    assert read_report(path) == report


def test_the_schema_is_checked(tmp_path):
    path = write(tmp_path / "a", seconds="long")
    with pytest.raises(InputError, match=r"audit\.json: expected an audit\.json; seconds"):
        write_leaderboard([path], tmp_path / "board.md")
    path = write(tmp_path / "b", boast=1)
    with pytest.raises(InputError, match="boast: expected no such field"):
        write_leaderboard([path], tmp_path / "board.md")
    other = write(tmp_path / "c", settings=QUICK.model_dump() | {"confidence": 0.9})
    with pytest.raises(InputError, match=r"expected an audit at confidence 0\.99, got 0\.9"):
        write_leaderboard([other], tmp_path / "board.md")
    with pytest.raises(InputError, match="expected at least one"):
        write_leaderboard([], tmp_path / "board.md")
    assert not (tmp_path / "board.md").exists()


def test_the_example_is_of_the_schema(tmp_path):
    assert read_report(write(tmp_path / "a")).worst_rate == 0.8


def test_the_table_in_the_docs_is_made_of_the_audits_there(tmp_path, monkeypatch):
    docs = Path(__file__).resolve().parents[1] / "docs" / "reference"
    monkeypatch.chdir(tmp_path)
    out = Path("docs/reference/leaderboard.md")
    write_leaderboard(sorted((docs / "audits").glob("*.json")), out)
    committed = (docs / "leaderboard.md").read_text(encoding="utf-8")
    assert out.read_text(encoding="utf-8") == committed


def test_a_name_cannot_forge_figures_break_the_table_or_become_html(tmp_path):
    names = [
        "a | b | 0.0% | 0.0%",
        "two\nlines\u2028three\r\x85| 0.0% |",
        "<script>alert(1)</script>",
        "[click](javascript:alert(1)) `code` **bold** _x_ $y$ \\|",
        "\u202eright to left\u202c\0\x1b[31m",
    ]
    files = []
    for number, name in enumerate(names):
        given = audit_content(name=name)
        given["data"]["name"] = given["judges"][0]["name"] = name
        (tmp_path / str(number)).mkdir()
        files.append(tmp_path / str(number) / "audit.json")
        files[-1].write_text(json.dumps(given))
    rows = write_leaderboard(files, tmp_path / "`a` b.md")
    text = (tmp_path / "`a` b.md").read_text()
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(names)
    for line in table:
        assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == len(rows[0]) + 1
        assert all(each.isprintable() for each in line)
        assert not re.search(r"<|(?<!\\)[\[`*_$]", line)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert {row["model"] for row in rows} == set(names)  # as they are where nothing reads marks
    assert f"``deceive leaderboard FILES… --out {tmp_path.as_posix()}/`a` b.md``" in text.replace(
        "`` ", "``"
    ).replace(" ``", "``")


OUTCOMES = audit_content()["headlines"][0]["outcomes"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"settings": {"confidence": 0.99}},
            "settings: expected all settings, found no ca",
        ),
        ({"settings": QUICK.model_dump() | {"x": 1}}, "settings.x: expected no such field"),
        ({"headlines": [{"box": "white", "outcomes": OUTCOMES[:1]}]}, "asked and own, got asked"),
        ({"headlines": [{"box": "white", "outcomes": []}]}, "asked and own, got none"),
        ({"headlines": [{"box": "black", "outcomes": OUTCOMES * 2}]}, "got asked, own, asked, own"),
        ({"headlines": [{"box": "white", "outcomes": OUTCOMES}] * 2}, "expected one headline of a"),
        ({"thresholds": []}, "expected the thresholds asked and own, got none"),
        ({"thresholds": audit_content()["thresholds"] * 2}, "got asked, own, asked, own"),
        (
            {"garbage": audit_content()["garbage"] * 2},
            "expected one kind of garbage, got uniform, unif",
        ),
        (
            {"garbage": [audit_content()["garbage"][0] | {"kind": "x"}]},
            "expected one of uniform, gauss",
        ),
        ({"judge_accuracy": 1.5}, "judge_accuracy: expected a share, 0 to 1, got 1.5"),
        (
            {"clean": audit_content()["clean"] | {"accuracy": -0.1}},
            "clean.accuracy: expected a share, 0 to 1, got -0.1",
        ),
        ({"seconds": math.nan}, "NaN is not a finite number"),
        ({"missing": ["search: squares"]}, "complete to be False with missing or failed parts"),
        ({"complete": False}, "complete to be True with no missing or failed parts"),
        ({"headlines": []}, "all parts in a complete audit, found no headlines"),
        ({"clean": None}, "all parts in a complete audit, found no clean"),
        (
            {"model": audit_content()["model"] | {"name": "x" * 200_000}},
            "model.name: expected at most 500 characters",
        ),
        ({"schema_version": [3]}, "of schema version 2, 3 or 4, got [3]"),
    ],
)
def test_an_audit_with_impossible_figures_is_one_sentence(tmp_path, changes, said):
    (tmp_path / "audit.json").write_text(json.dumps(audit_content() | changes))
    with pytest.raises(InputError, match=rf"audit\.json: expected an audit.*{re.escape(said)}"):
        write_leaderboard([tmp_path], tmp_path / "board.md")
    assert not (tmp_path / "board.md").exists()
