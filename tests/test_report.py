import base64
import io
import json
import re
import shlex
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from deceive.cli import main
from deceive.cli.commands import parse
from deceive.common.errors import InputError
from deceive.reporting.figures import TITLES, png, study_captions, study_filmstrip
from deceive.reporting.findings import study_findings
from deceive.reporting.html import setting_in_words
from deceive.reporting.study import missing_parts, write_study_page
from deceive.storage.runs import Run
from deceive.study import command_of, settings_of
from worlds.records import STUDY, STUDY_ROWS, fooling, study_folder


class Page(HTMLParser):
    """What a browser makes of a page: its tags in order, and its text."""

    VOID = ("meta", "img", "link", "br")

    def __init__(self, path):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.pieces: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.pieces.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.pieces).split())

    def all(self, *names):
        return [attributes for tag, attributes in self.tags if tag in names]


def assert_headings_in_order(page):
    """One heading of the first rank, at the beginning, and no rank left out on the way down."""
    ranks = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert ranks[0] == 1
    assert ranks.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(ranks))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return study_folder(tmp_path_factory.mktemp("report") / "run")


@pytest.fixture(scope="module")
def page(finished):
    return Page(write_study_page(finished))


def test_the_page_is_in_the_run_folder_or_where_it_is_wanted(finished, tmp_path):
    path = write_study_page(finished)
    assert path == finished.folder / "report.html"
    other = write_study_page(finished, tmp_path / "deep" / "page.html")
    assert other.read_bytes() == path.read_bytes()
    assert [file.name for file in other.parent.iterdir()] == ["page.html"]


def test_every_rows_numbers_are_in_the_table(finished):
    html = write_study_page(finished).read_text(encoding="utf-8")
    body = html[html.index("<tbody>") : html.index("</tbody>")]
    cells = [re.findall(r"<t[hd][^>]*>([^<]*)<", row) for row in body.split("</tr>")[:-1]]
    expected = """
        digits alone      0     99.61% 99.61% –     –     99.8% 1,000 12.5 11.3% 10.0%
        + uniform noise   6,000 99.47% 99.48% 70.0% 65.3% 98.7% 1,000 31   9.7%  10.0%
        + fooling images  9,000 99.31% 99.39% 90.0% 89.2% 87.6% 1,000 50   8.5%  10.0%
    """
    assert [" ".join(row) for row in cells] == [
        " ".join(line.split()) for line in expected.strip().splitlines()
    ]


def test_settings_versions_and_command_are_there(finished, page):
    for value in [*STUDY.values(), *finished.environment.values()]:
        assert value is None or setting_in_words(value) in page.text
    assert command_of(settings_of(STUDY)) in page.text
    assert "4.0 minutes" in page.text


def test_the_pictures_are_the_arrays(finished, page):
    images = page.all("img")
    content = [base64.b64decode(image["src"].split(",")[1]) for image in images]
    assert content.pop(10) == png(study_filmstrip(finished))
    for k, name in enumerate(TITLES):
        arrays = finished.load_arrays(name)
        for at, levels in enumerate(arrays["levels"]):
            with Image.open(io.BytesIO(content[10 * k + at])) as image:
                assert np.array_equal(np.array(image), levels[0])
        assert " ".join(study_captions(arrays)) in page.text
        assert TITLES[name] in page.text
    assert len(content) == 40


def test_what_became_of_each_gallery_is_counted(page):
    assert "All of these 10 reach 99%" in page.text
    assert "It takes 8 of 10 for rubbish" in page.text
    assert "10 of 10 reach 99%" in page.text
    assert "6 of 10 squares made against that one reach 99%" in page.text
    assert "from 3.0% to 99.1% in 8 steps" in page.text


def test_nothing_is_fetched_from_anywhere(finished, page):
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "iframe", "object", "base"})
    for _, attributes in page.tags:
        assert attributes.keys().isdisjoint({"href", "srcset", "poster", "action", "background"})
        assert attributes.get("src", "data:").startswith("data:")
    html = write_study_page(finished).read_text(encoding="utf-8")
    assert not re.search(r"url\(|@import|https?:|//[a-z]", re.sub(r"base64,[^\"]+", "", html))


@pytest.mark.parametrize(("width", "media"), [(390, "screen"), (1280, "screen"), (718, "print")])
def test_no_table_is_wider_than_the_page(finished, browser, width, media):
    shown = browser.new_page(viewport={"width": width, "height": 800})
    shown.emulate_media(media=media)
    shown.set_content(write_study_page(finished).read_text(encoding="utf-8"))
    beyond = "all => all.map(one => one.parentElement.scrollWidth - one.parentElement.clientWidth)"
    found = shown.locator("table").evaluate_all(beyond)
    across = shown.evaluate("document.documentElement.scrollWidth")
    shown.close()
    assert found == [0]
    assert across <= width


def test_it_is_accessible(finished, page):
    assert (
        write_study_page(finished).read_text(encoding="utf-8").startswith("<!doctype html>\n<html")
    )
    assert page.all("html") == [{"lang": "en"}]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all(
        "meta"
    )
    assert_headings_in_order(page)
    assert all(image["alt"] for image in page.all("img"))
    assert all(header["scope"] in ("row", "col") for header in page.all("th"))
    assert "prefers-color-scheme: dark" in write_study_page(finished).read_text(encoding="utf-8")


def test_the_same_run_has_the_same_page(finished):
    assert write_study_page(finished).read_bytes() == write_study_page(finished).read_bytes()


@pytest.mark.parametrize("parts", range(6))
def test_a_run_on_its_way_has_a_page_of_what_is_there(tmp_path, parts):
    run = study_folder(tmp_path / "run", parts)
    page = Page(write_study_page(run))
    assert ("This study is not finished" in page.text) == (parts < 4)
    assert len(missing_parts(run)) == max(0, 4 - parts)
    assert all(words in page.text for words in missing_parts(run))
    assert len(page.all("img")) == [0, 0, 11, 31, 41, 41][parts]
    assert len(page.all("tr")) == [0, 2, 2, 3, 4, 4][parts]
    assert_headings_in_order(page)
    assert "None" not in page.text.replace("None of", "")


def test_a_part_that_was_cut_off_shows_the_pictures_it_had(tmp_path):
    run = study_folder(tmp_path / "run", 3)
    (run.folder / "rows.jsonl").write_text("\n".join(map(json.dumps, STUDY_ROWS[:2])) + "\n")
    page = Page(write_study_page(run))
    assert len(page.all("img")) == 31
    assert len(page.all("tr")) == 2
    assert len(missing_parts(run)) == 2


def test_strings_are_text_and_never_tags(tmp_path):
    evil = '"><script>alert(1)</script><img src=http://evil.example/x onerror=a>'
    run = study_folder(tmp_path / "run", 2, STUDY | {"judge": evil, "data_checksum": evil})
    run.add(STUDY_ROWS[2] | {"name": evil, "start": evil})
    environment = run.environment | {"machine": evil, evil: 1}
    (run.folder / "environment.json").write_text(json.dumps(environment))
    page = Page(write_study_page(run))
    assert not page.all("script")
    assert all("onerror" not in image for image in page.all("img"))
    assert page.text.count(evil) >= 3


def test_nothing_fooled_is_a_dash_and_no_claim_that_nothing_can(tmp_path):
    run = study_folder(tmp_path / "run", 3)
    run.add(STUDY_ROWS[3] | {"fooling_rate": 0.0, "median_steps": None})
    page = Page(write_study_page(run))
    assert "0.0% 1,000 – 8.5%" in page.text
    assert (
        "None of 1,000 candidates fooled the network within 1,000 steps; with more steps, or in "
        "another way, some might." in page.text
    )
    assert "still fooled" not in page.text
    assert "times as many" not in page.text


def test_the_finding_compares_the_last_network_with_the_clean_one(page):
    assert "The network is still fooled, by 87.6% of all candidates." in page.text
    assert (
        "It became harder to fool: the median fooling image took 12.5 steps with the clean network "
        "and takes 50 with the one taught fooling images, 4 times as many; 87.6% of the candidates "
        "succeed, and 99.8% did before." in page.text
    )
    assert (
        "It recognises 89.2% of the images made to deceive the network before it as rubbish."
        in page.text
    )


def stage(rate, median, agreement=0.1, **more):
    known = {"name": "x", "caught_all": 0.5, "test_accuracy": 0.9}
    return known | fooling(rate, median, agreement) | more


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ((1.0, 10), (1.0, 20), "became harder to fool: .* 2 times as many;"),
        ((1.0, 10), (0.9, 10), "became harder to fool:"),
        ((1.0, 10), (1.0, 10), "became neither harder nor easier to fool:"),
        ((0.9, 10), (1.0, 5), "became easier to fool: .* 0.5 times as many;"),
        ((1.0, 10), (1.0, 9), "became easier to fool:"),
        ((1.0, 10), (0.1, 5), "became harder to fool in one way:"),
        ((0.5, 10), (1.0, 25), "became harder to fool in one way:"),
        ((1.0, 0), (1.0, 8), "became harder to fool: .* takes 8 with the one taught x;"),
    ],
)
def test_harder_or_easier(before, after, said):
    assert re.search(said, study_findings([stage(*before), stage(*after)], 500)[1])


@pytest.mark.parametrize(
    ("before", "after"), [((0.0, None), (0.5, 9)), ((0.5, 9), (0.0, None)), ((0, None), (0, None))]
)
def test_steps_are_compared_only_where_both_were_fooled(before, after):
    assert "became" not in " ".join(study_findings([stage(*before), stage(*after)], 500))


def test_a_clean_network_alone_is_not_still_fooled():
    first, judged = study_findings([stage(1.0, 9)], 500)
    assert first == "The network is fooled, by 100.0% of all candidates."
    assert judged.startswith("Another network, the judge, sees the target in")


def test_no_numbers_no_finding():
    assert study_findings([], 500) == []
    assert study_findings([stage(None, None)], 500) == []


@pytest.mark.parametrize(
    ("agreement", "candidates", "sees"),
    [(0.1, 1000, False), (0.118, 1000, False), (0.12, 1000, True), (0.2, 20, False), (1, 9, True)],
)
def test_the_judge_is_measured_against_chance(agreement, candidates, sees):
    said = study_findings([stage(1.0, 9, agreement, candidates=candidates)], 500)[-1]
    assert ("So it sees no digits" in said) != sees
    assert ("looks for too" in said) == sees


@pytest.mark.parametrize("changed", [{}, {"epochs": 0.5, "judge": "a b'c", "confidence": 0.999}])
def test_the_command_makes_the_same_study(changed):
    settings = settings_of(STUDY | changed)
    program, *arguments = shlex.split(command_of(settings))
    assert program == "deceive"
    assert parse(arguments).settings == settings


def test_a_run_of_another_kind_is_no_study(tmp_path):
    run = Run(tmp_path / "run", {"seed": 1, "steps": 3})
    with pytest.raises(
        InputError,
        match="a study written by this version, got settings without candidates, con",
    ):
        write_study_page(run)
    assert not (run.folder / "report.html").exists()


# The command.


def cli(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        main(["report", *map(str, arguments)])
    out, err = capsys.readouterr()
    return end.value.code, out, " ".join(err.split())


def test_the_command_draws_everything_again(tmp_path, capsys):
    run = study_folder(tmp_path / "run", 3)
    code, out, _ = cli(capsys, run.folder, "--json")
    said = json.loads(out.splitlines()[-1])
    assert code == 0
    assert said["report"] == str(run.folder / "report.html")
    assert [path.rsplit("/", 1)[1] for path in said["pictures"]] == [
        "mnist_confidence.png",
        "improved_model_predictions.png",
        "deceive_improved.png",
        "filmstrip.png",
    ]
    assert said["missing"] == missing_parts(run)
    made = {path.name for path in (run.folder / "images").iterdir()}
    assert made == {path.rsplit("/", 1)[1] for path in said["pictures"]}
    code, out, _ = cli(capsys, run.folder)
    assert (code, out.splitlines()) == (
        0,
        [f"{said['report']}: still to come: {said['missing'][0]}"],
    )


def test_by_default_it_looks_where_the_study_writes(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study_folder(tmp_path / "runs" / "study")
    code, out, _ = cli(capsys)
    assert (code, out) == (0, "runs/study/report.html: all four parts\n")


def test_a_folder_that_is_no_run_is_one_sentence(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for name in ("empty", "nowhere"):
        code, out, err = cli(capsys, tmp_path / name, "--json")
        assert (code, out) == (2, "")
        assert f"{name}: expected the folder of a run, found no settings.json in it" in err
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


def test_a_damaged_row_is_one_sentence(tmp_path, capsys):
    run = study_folder(tmp_path / "run", 2)
    with (run.folder / "rows.jsonl").open("a") as rows:
        rows.write('{"part": "rubb')
    code, out, err = cli(capsys, run.folder)
    assert (code, out) == (2, "")
    assert "rows.jsonl, line 3: expected a JSON object" in err
    assert not (run.folder / "report.html").exists()
