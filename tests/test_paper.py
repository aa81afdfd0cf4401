"""The paper's draft: short, every reference used and known, and every figure that of its rows."""

import json
import re
from collections import defaultdict
from pathlib import Path
from statistics import fmean, median

import pytest
import yaml
from benchmarks.spread import paired_ratio

ROOT = Path(__file__).resolve().parents[1]
_, FRONT, BODY = (ROOT / "paper/paper.md").read_text(encoding="utf-8").split("---\n", 2)
BIBLIOGRAPHY = (ROOT / "paper/paper.bib").read_text(encoding="utf-8")
ONE_LINE = " ".join(BODY.split())


def rows(contest):
    content = json.loads((ROOT / f"benchmarks/results/{contest}.json").read_text())
    return content["rows"]


def of_network(name):
    return [row for row in rows("plain") if row["network"] == name]


def gibberish(name):
    audit = json.loads((ROOT / f"docs/reference/audits/{name}.json").read_text())
    (white,) = (each for each in audit["headlines"] if each["box"] == "white")
    (asked,) = (each for each in white["outcomes"] if each["threshold"] == "asked")
    return asked["gibberish_rate"]


def drawn(contestant, measure="frechet_distance", minutes=20):
    """The median over the seeds."""
    return median(
        row[measure]
        for row in rows("drawing")
        if (row["contestant"], row["minutes"]) == (contestant, minutes)
    )


def faster():
    """As the table of benchmarks has it: the median ratio to the fastest peer, turn by turn."""
    paces = defaultdict(list)
    for row in rows("fooling"):
        if row["contest"] == "rate 0.99":
            paces[row["library"]].append(row["fooled"] / row["seconds"])
    ours = paces.pop("deceive")
    return paired_ratio(ours, max(paces.values(), key=median)).median


FAST, RESIST = of_network("fast"), of_network("resist")
WHOLE = json.loads((ROOT / "benchmarks/results/certificate.json").read_text())["whole"]
RESISTING = ["resist", "resist-1", "resist-2", "resist-3", "resist-4"]
SAID = [
    f"reads {fmean(row['test_accuracy'] for row in rows('accuracy')):.2%} of the test digits",
    f"Of {sum(row['candidates'] for row in FAST)} squares of uniform noise, "
    f"{sum(row['fooled'] for row in FAST)} deceive it",
    f"in a median of {fmean(row['median_steps'] for row in FAST):.0f} steps",
    f"sees the target in {fmean(row['judge_agreement'] for row in FAST):.0%} of them (chance",
    f"reaches 0.99 for all {sum(row['fooled'] for row in RESIST)} squares",
    f"sees the target in {fmean(row['judge_agreement'] for row in RESIST):.0%} of them. The",
    f"it is {fmean(map(gibberish, RESISTING)):.1%} (mean of five trainings)",
    f"that of `fast` is {gibberish('fast'):.1%}",
    f"features of another classifier, is {drawn('rounds'):.2f}",
    f"cleaned up its images, and {drawn('rounds, as they come'):.2f} before",
    f"JEM [@grathwohl2020] has {drawn('JEM'):.2f}. After an hour",
    f"variational autoencoder has {drawn('VAE', minutes=60):.2f} and a diffusion model "
    f"{drawn('diffusion', minutes=60):.2f}.",
    f"real digits have {drawn('rounds', 'floor_frechet_distance'):.2f}",
    f"of {WHOLE['proved']:.2%} of {WHOLE['images']:,} images of garbage",
    f"it makes {faster():.1f} times as many fooling images",
]


@pytest.mark.parametrize("said", SAID)
def test_its_figures_are_those_of_the_rows(said):
    assert said in ONE_LINE


@pytest.mark.parametrize("name", ["rounds-030000", "resist"])
def test_the_rounds_take_less_than_25_minutes(name):
    assert "thousands of rounds in less than 25 minutes" in ONE_LINE
    assert json.loads((ROOT / f"models/{name}.json").read_text())["seconds"] < 25 * 60


def test_it_is_as_short_as_the_journal_asks():
    assert len(BODY.split()) <= 1000


def test_its_references_are_those_that_it_cites():
    cited = set(re.findall(r"@([a-z]+\d{4})", BODY))
    assert cited == set(re.findall(r"^@\w+\{(\w+),$", BIBLIOGRAPHY, re.MULTILINE))


def test_it_has_what_the_journal_asks_for():
    said = yaml.safe_load(FRONT)
    assert {"title", "tags", "authors", "affiliations", "date", "bibliography"} <= said.keys()
    for heading in ("Summary", "Statement of need", "Related work", "References"):
        assert f"\n# {heading}\n" in BODY
    for picture in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", BODY):
        assert (ROOT / "paper" / picture).is_file()
