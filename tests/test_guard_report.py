"""The report of a guarded classifier: its sentences and its page."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conftest import Bands
from deceive.auditing import AuditReport, Interface, audit
from deceive.auditing.models.interface import FOUND_OUT
from deceive.auditing.record.assemble import write_audit
from deceive.auditing.record.measured import Certificate, Proved
from deceive.auditing.record.schema import read_report
from deceive.common.errors import InputError
from deceive.guarding.card import GuardedCard, read_card, write_card
from deceive.guarding.caveats import amounts, caveats
from deceive.guarding.comparison import tables_of_both
from deceive.guarding.model import answers_to
from deceive.guarding.verdict import verdict
from deceive.reporting.guard import write_guard_page
from deceive.storage.runs import Run
from worlds.audits import LITTLE, Strict, WithRubbish, band_data
from worlds.commands import run
from worlds.guard_folders import bands_card, guard_folder
from worlds.records import audit_content

CARD = bands_card()


def attack(start: str, asked: float, own: float = 0.5, box: str = "white") -> dict[str, Any]:
    """An attack of 50 candidates, with these gibberish rates."""
    outcomes = [
        {"threshold": name, "candidates": 50, "fooling_rate": 1.0, "gibberish_rate": rate}
        for name, rate in (("asked", asked), ("own", own))
    ]
    outcomes = [each | {"median": 3.0, "gibberish_median": 3.0} for each in outcomes]
    return {"name": "momentum", "box": box, "start": start, "outcomes": outcomes}


def garbage(kind: str, asked: float, own: float = 0.0) -> dict[str, Any]:
    """2,000 images of garbage, of which the network is so often sure."""
    (found,) = audit_content()["garbage"]
    return found | {"kind": kind, "asked_share": asked, "own_share": own}


def of_seven(start: str, asked: float) -> dict[str, Any]:
    found = attack(start, asked)
    return found | {"outcomes": [each | {"candidates": 7} for each in found["outcomes"]]}


def report(*attacks: dict[str, Any], **changes: Any) -> AuditReport:
    return AuditReport.model_validate(audit_content(**{"attacks": list(attacks)} | changes))


BEFORE = report(attack("uniform", 0.9), attack("squares", 0.7), attack("real", 0.8))


def test_the_verdict_says_what_passes_and_what_fooled_it_before_and_behind_the_guard():
    after = report(
        attack("uniform", 0.02),
        attack("squares", 0.0),
        attack("real", 0.04),
        attack("search", 0.1, box="black"),
        garbage=[garbage("uniform", 0.0), garbage("squares", 0.013)],
    )
    door, fooled, accuracy, through = verdict(CARD, BEFORE, after)
    assert door == (
        "Behind the guard, an image passes if one class gets at least 99%: 95.0% of 80 validation "
        "images do, and 99.90% of those are read correctly."
    )
    assert fooled == (
        "The worst attack turns 90.0% of the candidates from noise and squares into gibberish that "
        "the classifier alone is at least 99% sure of; behind the guard, 2.0% pass."
    )
    assert accuracy == (
        "Of the test images, 99.53% are read correctly behind the guard, and 99.53% by the "
        "classifier alone."
    )
    assert through == (
        "What still gets through: 4.0% of the candidates from another real image, 10.0% of the "
        "candidates of searches without a gradient and 1.3% of the overlapping squares."
    )


def test_where_nothing_gets_through_it_says_what_was_tried():
    after = report(attack("uniform", 0), attack("real", 0), garbage=[garbage("uniform", 0)])
    _, fooled, _, through = verdict(CARD, BEFORE, after)
    assert "of the candidates from noise into" in fooled  # the other start was not tried on both
    assert fooled.endswith("behind the guard, none pass.")
    assert through == (
        "Nothing else gets through: no candidate from another real image and none of 2,000 garbage "
        "images. With more effort, or in another way, something might."
    )


def test_what_is_proved_behind_the_guard_is_said():
    proved = [Proved(kind="uniform", epsilon=0.3, images=50, share=0.98)]
    found = Certificate(threshold=0.99, reason=None, proved=proved)
    after = report().model_copy(update={"certificate": found})
    assert verdict(CARD, BEFORE, after)[-1] == (
        "It is proved that nothing makes it 99% sure of a class within ε = 0.3 of 98.0% of 50 "
        "images of garbage (of uniform noise 98.0%, the least)."
    )


def test_a_threshold_below_the_one_asked_for_is_compared_with_the_own_one():
    card = bands_card(threshold=0.44)
    own = [{"name": "asked", "confidence": 0.99, "test_share": 0.0}]
    own += [{"name": "own", "confidence": 0.45, "test_share": 0.95}]
    after = report(attack("uniform", 0, 0.03), thresholds=own, garbage=[garbage("uniform", 0, 0.2)])
    door, fooled, _, through = verdict(card, report(attack("uniform", 0.9, 0.6)), after)
    assert "gets at least 44%" in door
    assert "60.0% of the candidates from noise" in fooled
    assert "99.763% (its own threshold) sure of" in fooled.replace("99.76%", "99.763%")
    assert fooled.endswith("behind the guard, 3.0% reach 45%, its own threshold.")
    assert through == (
        "What else reaches 45%: 20.0% of the uniform noise. Images already pass at 44%, so more "
        "gibberish may get through."
    )


def of_guard(**facts: Any) -> GuardedCard:
    guard = CARD.guard.model_copy(update={"architecture": "shaped", **facts})
    return CARD.model_copy(update={"guard": guard})


def test_a_guard_that_stops_little_is_said_first_with_the_likely_reason():
    after = report(attack("uniform", 0.5), attack("real", 0.8))
    little = "The guard stops little of what the worst attack makes."
    few_rounds = "It was trained in only 2 rounds (1,500 are usual): that is the likely reason."
    few_images = "It learned from only 600 images: more may help."
    for rounds, images, reason in (
        (2, 9000, few_rounds),
        (2, 600, few_rounds),
        (1500, 600, few_images),
    ):
        said = verdict(of_guard(rounds=rounds, images=images), BEFORE, after)
        assert said[0] == f"{little} {reason}"
    (first, door, *_) = verdict(CARD, BEFORE, after)  # what it was made with isn't known
    assert first == little
    assert door.startswith("Behind the guard, an image passes")


def test_a_guard_of_few_rounds_that_was_not_measured_may_stop_little():
    said = verdict(of_guard(rounds=2), None, None)
    assert said[0] == (
        "The guard was trained in only 2 rounds (1,500 are usual), so it may stop little."
    )
    assert verdict(of_guard(rounds=1500), None, None) == verdict(CARD, None, None)
    good = report(attack("uniform", 0.02), attack("real", 0.8))
    few = of_guard(rounds=2, images=600)
    assert verdict(few, BEFORE, good) == verdict(CARD, BEFORE, good)


def test_without_audits_it_says_what_was_set():
    assert verdict(CARD, None, None)[1:] == [
        "Of the validation images, 99.00% are read correctly behind the guard, and 99.10% by the "
        "classifier alone."
    ]


def test_a_black_box_is_compared_by_searches():
    before = report(attack("search", 0.5, box="black"))
    after = report(attack("search", 0.1, box="black"), attack("uniform", 0.2))
    _, fooled, _, through = verdict(CARD, before, after)
    assert "turns 50.0% of the candidates of searches without a gradient into" in fooled
    assert through.startswith("What still gets through: 20.0% of the candidates from noise and ")


def test_without_judges_it_says_so():
    unjudged = [
        each | {"outcomes": [one | {"gibberish_rate": None} for one in each["outcomes"]]}
        for each in (attack("uniform", 0.9), attack("real", 0.8))
    ]
    alone = report(*unjudged, judges=[])
    said = verdict(CARD, alone, alone)
    assert said[0] == "The guard stops little of what the worst attack makes."
    assert "100.0% of the candidates from noise into fooling images that" in said[2]
    assert said[-1] == "There was no judge, so images that really show the class count too."


def test_it_is_said_what_one_audit_did_less():
    usual = BEFORE.planned
    less = usual.model_copy(update={"starts": ("uniform", "real"), "candidates": 7})
    after = BEFORE.model_copy(update={"planned": less})
    assert amounts(BEFORE, BEFORE) == ""
    assert amounts(BEFORE, after) == (
        "To fit their budgets, the audits before and behind the guard did different amounts: 6 and "
        "2 kinds of start; 50 and 7 candidates from each start. A dash stands for what one of them "
        "left out. --budget none does everything in both."
    )
    both = after.model_copy(update={"reductions": ["Candidates from each start: 7 instead of 50."]})
    assert amounts(both, both) == (
        "To fit their budgets, both audits did less than usual: candidates from each start: 7 "
        "instead of 50. --budget none does it all."
    )


def test_what_is_missing_failed_or_misleading_is_told_of_each_audit():
    before = report(complete=False, missing=["a curve"], warnings=["It is odd."])
    failed = [{"part": "a search", "reason": "no light."}]
    after = report(complete=False, failures=failed)
    assert caveats(before, after) == [
        "The audit before the guard is not finished; still to come: a curve. The same command "
        "continues from here.",
        "The audit before the guard warns: It is odd.",
        "The audit behind the guard failed in parts: a search: no light.",
    ]
    assert caveats(None, None) == []


@pytest.fixture(scope="module")
def audited(tmp_path_factory) -> Path:
    """With two audits of bands, in the second of which nearly everything is rubbish."""
    folder = tmp_path_factory.mktemp("guarded") / "out"
    guard_folder(folder)
    judge = Strict()
    behind = Interface(rubbish_class=4)
    for name, model, said in (
        ("before", Bands(sure=12), FOUND_OUT),
        ("after", WithRubbish(sure=12), behind),
    ):
        ways = {"judge": judge, "settings": LITTLE, "interface": said}
        audit(model, band_data(), out=folder / name, **ways)
    return folder


def page_of(folder: Path) -> str:
    return write_guard_page(Run.open(folder)).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(audited) -> str:
    return page_of(audited)


@pytest.fixture
def copied(audited, tmp_path, monkeypatch) -> Path:
    """A folder to change; the audits' own pages are not written again, which takes a while."""
    monkeypatch.setattr("deceive.reporting.guard.write_audit_page", write_audit)
    return Path(shutil.copytree(audited, tmp_path / "out"))


def section(page: str, title: str) -> str:
    """What is below a heading."""
    return page.partition(f"<h2>{title}</h2>")[2].partition("<h2>")[0]


def test_the_page_begins_with_the_verdict_and_links_to_the_audits(audited, page):
    first, _, _ = page.partition("<h2>")
    reports = [read_report(audited / name / "audit.json") for name in ("before", "after")]
    for sentence in verdict(read_card(audited), *reports):
        assert sentence in first
    for name in ("before", "after"):
        assert f'<a href="{name}/report.html">' in first
        assert (audited / name / "report.html").is_file()
    assert "guarded: “0”" in first
    assert "alone: “0”" in first


def test_a_share_of_few_candidates_is_a_count():
    before = report(of_seven("uniform", 6 / 7), of_seven("real", 1.0))
    after = report(of_seven("uniform", 1 / 7), of_seven("real", 2 / 7))
    _, fooled, _, through = verdict(CARD, before, after)
    assert "turns 6 of 7 candidates from noise into gibberish" in fooled
    assert fooled.endswith("behind the guard, 1 of 7 pass.")
    assert "2 of 7 candidates from another real image" in through
    attacks = next(rows for columns, rows in tables_of_both(before, after) if "worst" in columns[0])
    assert ("from uniform noise", "6 of 7", "1 of 7") in attacks


def test_every_figure_has_a_column_for_each(page):
    tables = section(page, "Before and behind the guard")
    assert tables.count("<h3>") == tables.count("<table") == 5
    cells = re.findall(r"<td[^>]*>", tables)
    assert cells[::2] == ['<td data-label="before">'] * (len(cells) // 2)
    assert cells[1::2] == ['<td data-label="behind the guard">'] * (len(cells) // 2)


def test_pictures_of_both_stand_side_by_side(page):
    for title in ("The same attack on both", "Garbage"):
        pictures = section(page, title)
        assert pictures.count(">alone\n") == pictures.count(">guarded\n") > 1
    assert "to be “3”" in section(page, "The same attack on both")


def change_attacks(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    for path in (folder / "arrays").glob("attack-*.npz"):
        with np.load(path) as stored:
            arrays = dict(stored)
        change(arrays)
        np.savez(path, **arrays)


def test_what_gets_through_is_gibberish_first(copied):
    def nothing(arrays: dict[str, Any]) -> None:
        for name in ("asked", "own"):
            arrays[f"{name}_confidence"] = arrays[f"{name}_confidence"] * 0 + 0.25
            arrays[f"{name}_judged"] = (arrays["targets"] + 1) % 4

    def one(arrays: dict[str, Any]) -> None:
        arrays["own_confidence"][1] = 0.995

    def real(arrays: dict[str, Any]) -> None:
        arrays["own_judged"][1] = arrays["targets"][1]

    searches = (copied / "after" / "rows.jsonl").read_text().splitlines()
    kept = [line for line in searches if json.loads(line)["type"] != "search"]
    (copied / "after" / "rows.jsonl").write_text("\n".join(kept) + "\n")
    change_attacks(copied / "after", nothing)
    nearest = section(page_of(copied), "What still gets through")
    assert "No gibberish passes." in nearest
    assert nearest.count("<img") == 4
    assert "25.0%" in nearest

    change_attacks(copied / "after", one)
    passing = section(page_of(copied), "What still gets through")
    assert "This gibberish passes" in passing
    assert passing.count("<img") == 1
    assert "“1” 99.5%" in passing

    change_attacks(copied / "after", real)
    shown = section(page_of(copied), "What still gets through")
    assert "No gibberish passes." in shown
    assert shown.partition("most judges see the class in them too")[2].count("<img") == 1


def test_real_images_that_do_not_pass_are_shown(copied):
    costs = section(page_of(copied), "What it costs")
    assert "5.0% of them don’t" in costs
    assert costs.count("<img") == 2
    assert "“1”\nalone: “1” 90.0%\nguarded: not sure enough; at best “2” (40.0%)" in costs
    (copied / "arrays" / "refused.npz").unlink()
    assert "What it costs" not in page_of(copied)


@pytest.mark.parametrize(
    ("sure", "rubbish", "said"),
    [
        (0.4002, 0.5, "“0” (40.0%)"),  # it passes, although rubbish is likelier
        (0.125, 0.7502, "none of these (75.0%)"),
        (0.2752, 0.1, "not sure enough; at best “0” (27.5%)"),
    ],
)
def test_an_image_passes_on_the_page_as_it_does_in_use(copied, sure, rubbish, said):
    write_card(bands_card(threshold=0.3), copied)
    for name, sizes in (("real", "predicted_confidence"), ("garbage-uniform", "confidence")):
        path = copied / "after" / "arrays" / f"{name}.npz"
        with np.load(path) as stored:
            arrays = dict(stored)
        arrays["predicted"][:] = 0
        arrays[sizes][:] = sure
        arrays["rubbish"][:] = rubbish
        np.savez(path, **arrays)
    page = page_of(copied)
    assert f"guarded: {said}" in page.partition("<h2>")[0]
    assert f"guarded\n{said}" in section(page, "Garbage")
    others = [(1 - sure - rubbish) / 3] * 3
    logits = torch.tensor([[sure, *others, rubbish]], dtype=torch.float64).log()
    assert answers_to(logits, 0.3).in_words(["“0”", *"123"]) == [said]


def test_arrays_of_an_earlier_version_tell_of_rubbish_alone(copied):
    path = copied / "after" / "arrays" / "real.npz"
    with np.load(path) as stored:
        arrays = {k: v for k, v in stored.items() if not k.startswith(("predicted", "rubbish"))}
    arrays["answers"][:], arrays["confidence"][:] = 4, 0.75
    np.savez(path, **arrays)
    assert "guarded: none of these (75.0%)" in page_of(copied)


def test_it_says_how_the_guarded_classifier_is_used(copied):
    use = section(page_of(copied), "How to use it")
    assert f'deceive.load_guarded("{copied.as_posix()}")' in use
    assert "guarded.py picture.png" in use
    assert "ONNX" not in use
    (copied / "guarded.onnx").touch()
    assert "guarded.onnx" in section(page_of(copied), "How to use it")


def test_the_command_that_makes_it_again_has_the_flags_of_its_audits(copied):
    again = "<code>deceive guard bands.py:make --data bands --keep 0.9"
    assert f"{again} --budget 120 --judge Strict</code>" in page_of(copied)
    for name in ("before", "after"):
        shutil.rmtree(copied / name)
    assert f"{again} --no-audits</code>" in page_of(copied)
    rows = copied / "rows.jsonl"
    rows.write_text(rows.read_text().replace("1.0}", '1.0, "data": "my own/bands"}'))
    assert again.replace("bands --keep", "&#39;my own/bands&#39; --keep") in page_of(copied)


def test_an_object_has_to_be_given_again(copied):
    card = read_card(copied)
    write_card(card.model_copy(update={"reader": bands_card(spec=None).reader}), copied)
    page = page_of(copied)
    assert ", classifier)" in section(page, "How to use it")
    assert "deceive guard" not in section(page, "How it was made")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("resist", "a network that is shipped with deceive"),
        ("runs/guards/a.safetensors", "was trained on this data in 2.0 minutes"),
    ],
)
def test_it_says_where_the_guard_is_from(copied, source, said):
    card = read_card(copied)
    guard = card.guard.model_copy(update={"source": source})
    write_card(card.model_copy(update={"guard": guard}), copied)
    words = " ".join(section(page_of(copied), "What the guard is").split())
    assert said in words


def test_without_audits_the_page_says_so(copied):
    for name in ("before", "after"):
        shutil.rmtree(copied / name)
    page = page_of(copied)
    assert "No audit has measured it." in page
    assert "Before and behind" not in page
    assert "What it costs" in page


def test_an_audit_that_has_just_begun_has_a_page_too(copied):
    shutil.rmtree(copied / "after")
    page = page_of(copied)
    assert '<a href="before/report.html">' in page
    assert "after/report.html" not in page


def test_the_command_writes_it_again(copied, capsys):
    code, out, _ = run(capsys, "report", str(copied), "--json")
    assert code == 0
    assert json.loads(out)["report"] == str(copied / "report.html")
    (copied / "guarded.json").unlink()
    code, _, err = run(capsys, "report", str(copied))
    assert code == 2
    assert "guarded.json" in err


def test_strings_are_text_and_never_tags(copied):
    evil = "<script>alert(1)</script>"
    card = read_card(copied)
    reader = card.reader.model_copy(update={"name": evil, "prepared": evil})
    names = [evil, *card.class_names[1:]]
    update = {"reader": reader, "class_names": names, "notes": [evil], "data": evil}
    write_card(card.model_copy(update=update), copied)
    page = page_of(copied)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 5


@pytest.mark.parametrize(("width", "media"), [(390, "screen"), (1280, "screen"), (718, "print")])
def test_nothing_is_wider_than_the_page(page, browser, width, media):
    shown = browser.new_page(viewport={"width": width, "height": 800})
    shown.emulate_media(media=media)
    shown.set_content(page)
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert shown.evaluate(wide) == 0
    found = shown.locator(".wide").evaluate_all(
        "all => all.map(each => each.scrollWidth - each.clientWidth)"
    )
    shown.close()
    assert found == [0] * 5


def test_damaged_pictures_are_refused(copied):
    np.savez(copied / "arrays" / "refused.npz", levels=np.zeros((1, 1, 9, 9), np.uint8))
    with pytest.raises(InputError, match=r"refused\.npz"):
        page_of(copied)
