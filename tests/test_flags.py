"""Settings and flags: each setting has a flag, and the flags of settings give them again."""

import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, get_args

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from deceive import study, teaching
from deceive.auditing import QUICK, THOROUGH, AuditSettings, Interface, Scaling
from deceive.auditing.models.interface import as_json
from deceive.auditing.record import again
from deceive.certifying.settings import DetectorSettings
from deceive.cli.commands import COMMANDS, parse
from deceive.common.errors import InputError
from deceive.common.flags import command_line, flags_of
from deceive.fooling.rules import RULES
from deceive.fooling.starts import STARTS
from deceive.networks.classifier import ARCHITECTURES
from deceive.study import StudySettings
from deceive.teaching import PRESETS
from deceive.training.recipes import RECIPES
from worlds.commands import run

ROOT = Path(__file__).parent.parent

# What a name may be, for the fields whose type doesn't say it.
NAMES = {
    "network": st.sampled_from(sorted({*ARCHITECTURES} & {*RECIPES})),
    "rule": st.sampled_from(sorted(RULES)),
    "start": st.sampled_from(sorted(STARTS)),
    "starts": st.lists(st.sampled_from(sorted(STARTS)), min_size=1).map(tuple),
}

# The commands that have settings, by the words that choose their defaults, and those defaults.
PLAYED = {
    "study": StudySettings(),
    **{f"rounds --preset {name}": settings for name, settings in PRESETS.items()},
    **{f"train --recipe {name}": RECIPES[name] for name in ("study", "robust")},
    "train --recipe detector": DetectorSettings(),
    "audit x": QUICK,
    "audit x --thorough": THOROUGH,
}


def values(name: str, field: Any, usual: Any) -> st.SearchStrategy[Any]:
    """Values that the type of a field allows, and its bounds."""
    if name in NAMES:
        return NAMES[name]
    kinds = [each for each in get_args(field.annotation) if each is not type(None)]
    optional = type(None) in get_args(field.annotation)
    kind = kinds[0] if optional else field.annotation
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return st.just(usual) if usual is None else settings_near(usual)
    made = st.from_type(Annotated[(kind, *field.metadata)] if field.metadata else kind)
    return st.none() | made if optional else made


@st.composite
def settings_near(draw: st.DrawFn, usual: BaseModel) -> BaseModel:
    """Settings, some of them unusual."""
    changed = {}
    for name, field in type(usual).model_fields.items():
        if draw(st.booleans()):
            changed[name] = draw(values(name, field, getattr(usual, name)))
    try:
        return type(usual)(**{**dict(usual), **changed})
    except ValidationError:
        reject()


def remade(played: str, settings: Any) -> str:
    """The command line that a run with these settings keeps."""
    match played.split()[0]:
        case "study":
            return study.command_of(settings)
        case "rounds":
            return teaching.command_of(settings)
        case "audit":
            return audit_of(settings, Interface())
    return command_line(*played.split(), *flags_of(settings, PLAYED[played]))


def audit_of(settings: AuditSettings, interface: Interface, names: list[str] | None = None) -> str:
    own = as_json(replace(interface, class_names=names))
    declared = {"interface": own, "judge_interface": as_json(interface)}
    stored = {"model": "x", "judges": ["auto"], **declared, **settings.model_dump(mode="json")}
    return again.command_of(stored, again.Again())


@pytest.mark.parametrize("played", PLAYED)
@given(data=st.data())
def test_the_command_of_a_run_gives_its_settings_again(played, data):
    settings = data.draw(settings_near(PLAYED[played]))
    program, *words = shlex.split(remade(played, settings))
    assert program == "deceive"
    assert parse(words).settings == settings


SOME = st.floats(-1e6, 1e6)


@given(
    bounds=st.none() | st.tuples(SOME, SOME).filter(lambda pair: pair[0] < pair[1]),
    output=st.none() | st.text(st.characters(codec="utf-8"), min_size=1),
    rubbish_class=st.none() | st.integers(0, 99),
    shape=st.sampled_from([{}, {"size": (48, 192)}, {"resize": 9}, {"resize": 9, "crop": (8, 7)}]),
    device=st.sampled_from(["auto", "cpu"]),
    names=st.none() | st.just(["tench, Tinca tinca", 'the "cat"', "dog"]),
)
def test_the_command_of_an_audit_declares_the_same_interface(
    bounds, output, rubbish_class, shape, device, names
):
    scaling = bounds and Scaling(bounds)
    preprocess = None if scaling else "prepare.py:as_trained"
    interface = Interface(
        scaling, output, rubbish_class, **shape, preprocess=preprocess, device=device
    )
    _, *words = shlex.split(audit_of(QUICK, interface, names))
    declared = parse(words).declared
    assert declared.interface("judge_") == interface
    assert declared.interface("") == replace(interface, class_names=names)


def test_only_what_differs_has_a_flag():
    assert study.command_of(StudySettings()) == "deceive study"
    changed = StudySettings(judge="a b'c", confidence=0.999, epochs=2)
    assert study.command_of(changed) == (
        """deceive study --judge 'a b'"'"'c' --epochs 2 --confidence 0.999"""
    )


def entries(help_text: str) -> list[str]:
    """Each flag or positional argument of a help text, with what is said of it, on one line."""
    found: list[str] = []
    for line in help_text.splitlines():
        if re.match(r"[│ ] (--?\w|MODEL|FILE|\[)", line):
            found.append(line)
        elif found and line[1:3] == "  ":
            found[-1] += line
    return [" ".join(each.replace("│", " ").split()) for each in found if "-h, --help" not in each]


@pytest.mark.parametrize("line", [*PLAYED, *sorted(COMMANDS.keys() - {"study", "audit"})])
def test_every_flag_has_help_and_its_real_default(line, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    code, out, _ = run(capsys, *line.split(), "--help")
    assert code == 0
    said = entries(out)
    assert len(said) == out.count("(default:") + out.count("(optional)") + out.count("(required)")
    for each in said:
        assert re.search(r"\w[.)`]+ \((default: .*|optional|required)\)$", each), each
        assert "default: None" not in each


@pytest.mark.parametrize("line", PLAYED)
def test_the_help_shows_the_defaults_of_what_is_chosen(line, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    said = entries(run(capsys, *line.split(), "--help")[1])
    for name, value in PLAYED[line]:
        if isinstance(value, int | float) and not isinstance(value, bool):
            flag = f"--{name.replace('_', '-')} "
            (entry,) = [each for each in said if each.startswith(flag)]
            assert float(re.search(r"\(default: (.*)\)$", entry)[1]) == value


def test_each_kind_of_rounds_shows_its_own_flags_the_common_ones_first(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    shown = {name: run(capsys, "rounds", "--preset", name, "--help")[1] for name in PRESETS}
    for flag, kinds in {
        "--rounds": {"draw", "paint", "resist", "study", "one"},
        "--kept": {"draw", "paint", "resist", "one"},
        "--restarted": {"resist", "one"},
        "--drawing": {"one"},
        "--epochs": {"study"},
        "--ascent.rule": {"draw", "paint", "study"},
        "--ascent.schedule.steps": {"draw", "paint"},
    }.items():
        assert {name for name, text in shown.items() if f" {flag} " in text} == kinds, flag
    boxes = re.findall(r"([\w.]+) options", shown["draw"])
    assert boxes == ["rounds", "continual", "emerging", "ascent", "ascent.schedule"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("study --network nope", "--network: expected one of fast, judge, study"),
        ("rounds --start nope", "--start: expected one of uniform"),
        ("rounds --ascent.rule nope", "--ascent.rule: expected one of"),
        ("rounds --ascent.noise -1", "--ascent.noise: expected a number of at least 0"),
        ("train --batch-size 1", "--batch-size: expected a number of at least 2, got 1"),
        ("audit x --thorough --restarts 0", "--restarts: expected a number of at least 1"),
    ],
)
def test_a_setting_out_of_range_is_named_by_its_flag(line, said):
    with pytest.raises(InputError, match=f"^{re.escape(said)}"):
        parse(line.split())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("fool --count 1.5", "--count: expected a whole number, got '1.5'"),
        ("fool --confidence x", "--confidence: expected a number, got 'x'"),
        ("draw --polish x", "--polish: expected a whole number, got 'x'"),
        ("draw --polish None", "--polish: expected a whole number, got 'None'"),
        ("rounds --learning-rate x", "--learning-rate: expected a number, got 'x'"),
        ("rounds --preset paint --learning-rate x", "expected a number or None, got 'x'"),
        ("rounds --ascent.step-size x", "--ascent.step-size: expected a number, got 'x'"),
        ("audit fast --bounds 0 x", "--bounds: expected two numbers, got '0 x'"),
        ("audit fast --bounds 0", "'--bounds'. Expected 2 values"),
        ("audit fast --mean 0.5 x", "--mean: expected numbers, got '0.5 x'"),
    ],
)
def test_what_is_no_number_is_named_by_its_flag(line, said, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit, match="2"):
        parse(line.split())
    assert said in capsys.readouterr().err


def stored() -> list[str]:
    """The command lines in shipped cards, in audits, in the Makefile and in the documentation."""
    documents = [path.read_text() for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))]
    lines = re.findall(r"\$\(BIN\)/(deceive .*)", (ROOT / "Makefile").read_text())
    for text in documents:
        text = text.replace("\\\n", " ")  # a command that goes on in the next line
        lines += re.findall(r"^ {4}(deceive .*?)(?:  .*)?$", text, re.MULTILINE)
        lines += re.findall(r"`(deceive (?:rounds|study) [^`]*)`", text)
    for path in (*ROOT.glob("models/*.json"), *ROOT.glob("docs/reference/audits/*.json")):
        lines.append(json.loads(path.read_text())["command"])
    lines = [line for line in lines if not ("--help" in line or "[-h]" in line)]
    return sorted({" ".join(line.split()) for line in lines})


@pytest.mark.parametrize("line", stored())
def test_the_commands_that_are_written_down_are_understood(line, monkeypatch):
    monkeypatch.setattr("deceive.cli.rounds._suited", lambda arguments: "paint")  # reads no images
    parse(shlex.split(line)[1:])


def test_the_list_of_commands_is_quick(tmp_path):
    """It imports neither torch nor Matplotlib."""
    line = "from deceive.cli.commands import parse; import sys\ntry: parse([])\nexcept SystemExit: "
    line += "print(*({'torch', 'matplotlib', 'numpy'} & sys.modules.keys()), file=sys.stderr)"
    said = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    assert said.stderr == "\n"
    assert "rounds" in said.stdout
