"""Ready to be released: versions, the address, what PyPI shows, forms and workflows."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from tools import address, release

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in ROOT.glob(".github/*s/*.yml")}
FORMS = sorted(ROOT.glob(".github/ISSUE_TEMPLATE/*.yml"))
PYTHONS = [
    each.rpartition(" ")[2]
    for each in PYPROJECT["project"]["classifiers"]
    if re.search(r":: 3\.\d+$", each)
]


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A small repository with files that name the address and the version."""
    files = ("pyproject.toml", "CITATION.cff", "CHANGELOG.md", "README.md")
    for each in (*files, "web/package.json", "web/package-lock.json"):
        (tmp_path / each).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / each, tmp_path / each)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    monkeypatch.setattr(address, "ROOT", tmp_path)
    monkeypatch.setattr(release, "ROOT", tmp_path)
    return tmp_path


def test_every_file_has_the_same_version():
    tag = f"v{release.version()}"
    said = release.troubles(tag, address.name())
    assert [each for each in said if not each.startswith("address")] == []


def test_another_address_is_written_everywhere(copied):
    assert address.main(["me/it"]) == 0
    assert address.repository() == "https://github.com/me/it"
    for each in ("pyproject.toml", "CITATION.cff", "README.md"):
        text = (copied / each).read_text()
        assert "OWNER" not in text
        assert "github.com/me/it" in text
    assert "https://me.github.io/it/play/" in (copied / "README.md").read_text()
    assert release.troubles(f"v{release.version()}", "me/it") == []


def test_a_placeholder_is_told(copied, capsys):
    address.move("OWNER/deceive")
    assert address.main(["--check"]) == 1
    assert "is a placeholder" in capsys.readouterr().out
    assert address.main(["me/it"]) == address.main(["--check"]) == 0


@pytest.mark.parametrize("arguments", [["one", "two"], ["no-slash"], ["a/b/c"]])
def test_an_address_that_is_none_is_refused(arguments, capsys):
    assert address.main(arguments) == 2


def test_a_release_that_does_not_fit_is_refused(copied, capsys):
    address.main(["me/it"])
    (copied / "CHANGELOG.md").write_text("# Changelog\n")
    assert release.main(["v0.0.1", "you/it"]) == 1
    said = capsys.readouterr().out
    for each in ("tag: expected v", "address: expected you/it, got me/it", "CHANGELOG.md"):
        assert each in said
    assert release.main([]) == 2


def test_what_pypi_shows_has_no_relative_link():
    hook = PYPROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    assert hook["fragments"] == [{"path": "README.md"}]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for each in hook["substitutions"]:
        text = re.sub(each["pattern"], each["replacement"], text)
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    assert links
    assert [each for each in links if not each.startswith("https://")] == []
    raw = address.repository().replace("github.com", "raw.githubusercontent.com")
    pictures = re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", text)
    assert pictures
    for each in pictures:
        assert (ROOT / each.removeprefix(f"{raw}/main/")).is_file()


def test_the_wheel_is_tried_with_every_python_that_it_names():
    assert PYTHONS == ["3.11", "3.12", "3.13", "3.14"]
    assert WORKFLOWS["release"]["jobs"]["try"]["strategy"]["matrix"]["python"] == PYTHONS
    matrix = WORKFLOWS["test"]["jobs"]["make"]["strategy"]["matrix"]
    tested = {each["python"] for each in matrix["include"]} | {*matrix["python"]}
    assert sorted(tested) == PYTHONS


def test_a_release_is_built_tried_and_only_then_published_without_a_token():
    jobs = WORKFLOWS["release"]["jobs"]
    assert (jobs["try"]["needs"], jobs["publish"]["needs"]) == ("build", "try")
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    text = (ROOT / ".github/workflows/release.yml").read_text()
    assert "secrets." not in text
    assert "password" not in text.replace("no password", "")


def test_the_targets_that_workflows_make_are_there():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    assert {*WORKFLOWS["test"]["jobs"]["make"]["strategy"]["matrix"]["target"]} <= targets
    runs = [each.get("run", "") for each in WORKFLOWS["pages"]["jobs"]["build"]["steps"]]
    (made,) = [each for each in runs if each.startswith("make ")]
    assert made.split()[1:] == ["page", "site"]  # the page first: the site takes it in


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_the_forms_for_issues_are_forms(path):
    form = yaml.safe_load(path.read_text())
    if path.name == "config.yml":
        assert all(link.keys() == {"name", "url", "about"} for link in form["contact_links"])
        return
    assert form.keys() == {"name", "description", "labels", "body"}
    names = [field["id"] for field in form["body"]]
    assert len(set(names)) == len(names)
    assert all(field["attributes"]["label"] for field in form["body"])


def test_the_citation_is_complete():
    said = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors", "version", "license"} <= said.keys()
    assert said["repository-code"] == address.repository()
