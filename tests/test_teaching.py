"""Rounds on images of four bright quarters, small enough that a hundred of them take a second."""

import json
import random
import shlex
import time
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from deceive.cli.commands import parse
from deceive.common import processes
from deceive.common.errors import InputError
from deceive.data.dataset import Stack
from deceive.fooling.ascent import Ascent, Schedule
from deceive.fooling.drawing import DRAWING, draw
from deceive.reporting.rounds import write_rounds_page
from deceive.storage.models import load_card, load_network
from deceive.storage.runs import Run
from deceive.teaching import (
    PRESETS,
    DivergedError,
    EmergingSettings,
    ResistingSettings,
    RetrainingSettings,
    RoundsSettings,
    changed,
    command_of,
    preset_for,
    rounds,
)
from deceive.teaching.continual import Continual
from deceive.teaching.emerging import Emerging
from deceive.teaching.keeping import measured
from deceive.teaching.retraining import Retraining
from deceive.teaching.settings import read_settings
from deceive.teaching.vitals import Vitals, signs_of
from worlds.forked import forked
from worlds.old_rounds import OLD_OF
from worlds.quarters import Quarters, quarters_data
from worlds.rounds import LITERAL, SMALL, checkpoint_digest, quiet, without_clock


def play(folder, settings=SMALL, task=quiet):
    run = Run(folder, settings.model_dump(mode="json"))
    rows = list(rounds(quarters_data(), run, settings, Quarters(), task))
    return run, rows


def test_a_row_a_network_and_images_for_each_round_shown(tmp_path):
    run, rows = play(tmp_path)
    assert [row["round"] for row in rows] == [0, 5, 12]
    assert rows == run.rows()
    for row in rows:
        name = f"round-{row['round']:06d}"
        arrays = run.load_arrays(name)
        assert arrays["levels"].shape == (16, 1, 8, 8)
        card = load_card(run.weights(name))
        assert (card.round, card.rubbish_class, card.ascent) == (row["round"], 4, SMALL.ascent)
        # The network that was kept draws the images that were kept.
        again = draw(
            load_network(run.weights(name)).to(processes.here().device),
            range(4),
            count=4,
            seed=1_000_003,
            polish=None,
            accepted=None,
            ascent=card.ascent,
        )
        assert np.array_equal(again.levels.numpy(), arrays["levels"])
        assert row["judge_agreement"] == pytest.approx(
            (Quarters()(again.images).argmax(1) == again.targets).float().mean().item()
        )


def test_digits_emerge(tmp_path):
    settings = SMALL.model_copy(
        update={"rounds": 250, "candidates": 64, "kept": 400, "shown": (0,)}
    )
    _, (first, last) = play(tmp_path, settings)
    assert first["judge_agreement"] < 0.6
    assert last["judge_agreement"] > 0.9
    assert last["frechet_distance"] < first["frechet_distance"] / 4
    assert last["validation_accuracy"] > 0.95


def test_a_finished_run_is_not_played_again(tmp_path):
    run, rows = play(tmp_path)
    before = (run.folder / "checkpoint.safetensors").read_bytes()
    _, again = play(tmp_path)
    assert again == []
    assert run.rows() == rows
    assert (run.folder / "checkpoint.safetensors").read_bytes() == before


def test_same_seed_same_rows_another_seed_others(tmp_path):
    one, rows = play(tmp_path / "one")
    other, again = play(tmp_path / "other")
    assert without_clock(rows) == without_clock(again)
    assert checkpoint_digest(one) == checkpoint_digest(other)
    third, _ = play(tmp_path / "third", SMALL.model_copy(update={"seed": 1}))
    assert checkpoint_digest(third) != checkpoint_digest(one)


def test_without_a_round_shown_there_is_something_to_go_back_to(tmp_path):
    settings = SMALL.model_copy(update={"learning_rate": 1e30, "shown": ()})
    with pytest.raises(InputError, match="expected a network that goes on learning"):
        play(tmp_path, settings)
    assert [row["to"] for row in Run.open(tmp_path).rows()] == [0] * 4


@pytest.mark.parametrize(("settings", "game"), [(SMALL, Continual), (LITERAL, Retraining)])
def test_a_round_is_measured_once_however_early_the_run_was_interrupted(
    settings, game, tmp_path, monkeypatch
):
    whole, rows = play(tmp_path / "whole", settings)
    numbers, step = [], game.play

    def interrupted(self):
        raise KeyboardInterrupt

    def counted(game, *others):
        numbers.append(game.number)
        return measured(game, *others)

    monkeypatch.setattr("deceive.teaching.loop.measured", counted)
    monkeypatch.setattr(game, "play", interrupted)
    with pytest.raises(KeyboardInterrupt):
        play(tmp_path / "parts", settings)
    monkeypatch.setattr(game, "play", step)
    parts, later = play(tmp_path / "parts", settings)
    assert numbers == [row["round"] for row in rows]
    assert without_clock(later) == without_clock(rows)[1:]
    assert without_clock(parts.rows()) == without_clock(whole.rows())


def test_progress_says_when_the_network_is_measured_and_ends_with_the_news(tmp_path):
    notes = []

    @contextmanager
    def watched(description):
        yield lambda done, total, note="": notes.append((done, note))

    play(tmp_path, SMALL, watched)
    assert notes[:2] == [(0, "preparing"), (0, "measuring")]
    last, end = notes[-2:]
    assert last == (SMALL.rounds, "measuring")
    assert "of the rubbish caught" in end[1]


def _play_until_killed(folder):
    settings = SMALL.model_copy(update={"rounds": 40, "shown": tuple(range(0, 40, 4))})
    play(folder, settings)


def test_killed_at_any_moment_it_ends_as_if_it_had_not_been(tmp_path):
    def begin(folder):
        process = forked().Process(target=_play_until_killed, args=(folder,))
        process.start()
        return process

    whole = begin(tmp_path / "whole")
    started = time.perf_counter()
    whole.join()
    assert whole.exitcode == 0
    lasted = time.perf_counter() - started

    chance, kills, pauses = random.Random(0), 0, 0
    while kills < 10:
        process = begin(tmp_path / "killed")
        process.join(chance.uniform(0, lasted / 3))
        if process.exitcode is None:
            process.kill()
            process.join()
            kills += 1
        else:  # it came to its end: once more from the start
            assert process.exitcode == 0
            _same_end(tmp_path)
            (tmp_path / "killed").rename(tmp_path / f"done-{pauses}")
            pauses += 1
    last = begin(tmp_path / "killed")
    last.join()
    assert last.exitcode == 0
    _same_end(tmp_path)


def _same_end(folder):
    whole, killed = Run.open(folder / "whole"), Run.open(folder / "killed")
    assert without_clock(killed.rows()) == without_clock(whole.rows())
    assert checkpoint_digest(killed) == checkpoint_digest(whole)
    one, other = (load_network(run.weights("round-000040")).state_dict() for run in (whole, killed))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_that_diverges_goes_back_more_slowly_and_at_last_gives_up(tmp_path):
    settings = SMALL.model_copy(update={"learning_rate": 1e30, "rounds": 50})
    with pytest.raises(InputError, match=r"expected a network that goes on learning, but .*NaN"):
        play(tmp_path, settings)
    rows = Run.open(tmp_path).rows()
    back = [row for row in rows if row["part"] == "rollback"]
    assert [row["learning_rate"] for row in back] == [5e29, 2.5e29, 1.25e29, 6.25e28]
    assert all(row["to"] == 0 for row in back)
    assert [row["round"] for row in rows if row["part"] == "round"] == [0]


@pytest.mark.parametrize(
    ("vital", "words"), [(0, "are caught"), (1, "of the real images in noise")]
)
def test_a_network_that_has_nothing_to_learn_is_noticed(vital, words):
    game = Continual(quarters_data(), SMALL)
    game.vitals.patience = 3
    for _ in range(2):
        game.play()
    game.number = 1000
    game.vitals.shares.fill_(0.9)
    game.vitals.shares[vital] = 1.0 if vital == 0 else 0.0
    with pytest.raises(DivergedError, match=words):
        game.play()


def test_nothing_is_said_of_rounds_that_were_not_played(tmp_path):
    game = Continual(quarters_data(), SMALL)
    assert game.news() == ""
    _, rows = play(tmp_path)
    shares = [(row["rubbish_caught"], row["digits_read_in_noise"]) for row in rows]
    assert shares[0] == (None, None)
    assert all(0 <= share <= 1 for after in shares[1:] for share in after)
    page = write_rounds_page(Run.open(tmp_path)).read_text()
    first = page[page.index('<th scope="row">0</th>') :]
    assert ">–</td>" in first[: first.index("</tr>")]


def test_recent_shares_are_those_of_the_rounds_that_were_played():
    vitals = Vitals()
    assert vitals.after(0) == (None, None)
    for number in (1, 2):
        vitals.watch(torch.tensor([0.25, 0.75, 1.0]), number, lambda is_caught: None)
        assert vitals.after(number) == pytest.approx((0.25, 0.75))


def test_memory_stays_flat():
    game = Continual(quarters_data(), SMALL)
    game.play()
    sizes = {name: tensor.shape for name, tensor in game.shared().items()}
    for _ in range(5):
        game.play()
    assert {name: tensor.shape for name, tensor in game.shared().items()} == sizes


def test_a_damaged_checkpoint_is_refused(tmp_path):
    run, _ = play(tmp_path)
    path = run.folder / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="expected the checkpoint of this run"):
        play(tmp_path)


def test_the_case_study_literally(tmp_path):
    run, rows = play(tmp_path, LITERAL)
    assert [row["round"] for row in rows] == [0, 1, 2]
    rubbish = [row["rubbish_images"] for row in rows]
    assert rubbish[0] == 100
    assert 100 < rubbish[1] <= 140
    assert rubbish[1] < rubbish[2] <= 180
    assert rows[0]["fooling_rate"] > 0.5
    assert rows[-1]["rubbish_caught"] > 0.9
    _, again = play(tmp_path, LITERAL)
    assert again == []
    assert load_card(run.weights("round-000002")).n_outputs == 5


def test_a_candidate_begins_anew_at_the_end_of_its_schedule():
    settings = SMALL.model_copy(update={"kept": 50, "candidates": 50})
    kind = Emerging(quarters_data(), settings, torch.Generator().manual_seed(0))
    kept = kind.candidates
    assert set(kind.taken.tolist()) == set(range(6))
    assert set(kept.targets.tolist()) == set(range(4))
    kept.levels.zero_()
    kind.taken[:10] = 6
    assert sorted(kind.choose().tolist()) == list(range(50))
    assert (kind.taken[:10] == 0).all()
    assert (kept.levels[:10].float().mean((1, 2, 3)) > 90).all()
    assert (kept.levels[10:] == 0).all()


def test_candidates_begin_and_images_are_drawn_where_the_settings_say(tmp_path):
    settings = SMALL.model_copy(update={"start": "blank", "kept": 50, "candidates": 50})
    kind = Emerging(quarters_data(), settings, torch.Generator().manual_seed(0))
    assert kind.candidates.levels.max() == 0
    kind.candidates.levels.fill_(9)
    kind.taken[:10] = 6
    kind.choose()
    assert (kind.candidates.levels.amax((1, 2, 3)) == 0).tolist() == [True] * 10 + [False] * 40
    run, _ = play(tmp_path, settings)
    card = load_card(run.weights("round-000012"))
    assert card.start == "blank"
    assert parse(shlex.split(card.command)[1:]).data == quarters_data().folder
    network = load_network(run.weights("round-000012")).to(processes.here().device)
    ways = {"seed": 1_000_003, "polish": None, "accepted": None, "ascent": card.ascent}
    again = draw(network, range(4), count=4, start="blank", **ways)
    kept = run.load_arrays("round-000012")["levels"]
    assert np.array_equal(again.levels.numpy(), kept)


def test_an_image_whose_class_is_in_doubt_is_not_rubbish():
    doubtful = torch.tensor([[1.0, 1, 1, 1.5], [0, 0, 0, 1.5]])  # rubbish: 0.36 and 0.6
    signs = signs_of(doubtful.repeat(2, 1), torch.tensor([0, 0, 3, 3]), torch.tensor(0.5), 2)
    assert signs.tolist() == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("preset", PRESETS)
def test_the_command_makes_the_settings_again(preset):
    settings = PRESETS[preset].model_copy(update={"seed": 3, "shown": (0, 7)})
    if "ascent" in type(settings).model_fields:
        schedule = Schedule(steps=4) if preset in ("draw", "paint") else None
        settings = settings.model_copy(update={"ascent": Ascent(noise=0.5, schedule=schedule)})
    program, *words = command_of(settings).split()
    assert program == "deceive"
    assert parse(words).settings == settings


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("height", "width", "preset"),
    [(0, 0, "draw"), (2, 20, "draw"), (3, 6, "draw"), (5, 9, "paint"), (20, 20, "paint")],
)
def test_areas_of_grey_decide_between_draw_and_paint(height, width, preset, channels):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(300, channels, 20, 20, generator=generator).round()
    images[:, :, 8 : 8 + height, 5 : 5 + width] = 0.5
    assert preset_for(Stack(images)) == preset
    assert preset_for(Stack(images[:1])) == preset


def test_a_file_changes_a_preset(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"rounds": 7, "ascent": {"noise": 0.5}}))
    settings = changed(PRESETS["draw"], path)
    assert settings.rounds == 7
    assert settings.ascent == DRAWING.model_copy(update={"noise": 0.5})
    assert changed(PRESETS["draw"], None) == PRESETS["draw"]
    path.write_text("[1]")
    with pytest.raises(InputError, match="expected a JSON object of settings, got list"):
        changed(PRESETS["draw"], path)
    with pytest.raises(InputError, match="expected a JSON object of settings"):
        changed(PRESETS["draw"], tmp_path / "none.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rounds": 0}, "rounds"),
        ({"kept": None}, "kept"),
        ({"epochs": 1}, "epochs"),
        ({"ascent": Ascent()}, "expected an ascent with a schedule, got none"),
        (
            {"ascent": DRAWING.model_copy(update={"rule": "polyak"})},
            "expected the rule momentum, sign, adam or normalised, got 'polyak'",
        ),
        ({"restarted": 0.1}, "restarted"),
        ({"kind": "resisting"}, "kind"),
        ({"candidates": 5000}, "no more candidates than are kept"),
        ({"speed": 1}, "speed"),
        ({"learning_rate": 1e300}, "learning_rate"),
        ({"rubbish_weight": 1e300}, "rubbish_weight"),
        ({"smoothness": 1e300}, "smoothness"),
        ({"shown": (0, -1)}, r"shown\.1"),
        ({"start": "real"}, "start: expected one of uniform, .*squares; got 'real'"),
    ],
)
def test_settings_that_do_not_fit(change, message):
    with pytest.raises(ValidationError, match=message):
        EmergingSettings(**PRESETS["draw"].model_dump() | change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"starts": ()}, "expected at least one kind of start, got none"),
        ({"starts": ("static",)}, "starts: expected one of uniform, .*real; got 'static'"),
        ({"ascent": Ascent()}, "ascent"),
        ({"clean_digits": 3}, "clean_digits"),
    ],
)
def test_settings_that_do_not_fit_where_a_network_resists(change, message):
    with pytest.raises(ValidationError, match=message):
        ResistingSettings(**change)


def test_settings_are_of_a_kind():
    with pytest.raises(ValidationError, match=r"expected EmergingSettings, Res.* got RoundsS"):
        RoundsSettings(rounds=3)


@pytest.mark.parametrize("preset", OLD_OF)
def test_settings_from_before_there_were_kinds_are_read(preset, tmp_path):
    old = {"rounds": 16_000, "kept": 2000, "learning_rate": 6e-4} if preset == "draw" else {}
    expected = PRESETS[preset].model_copy(update=old)
    assert read_settings(OLD_OF[preset], "here") == expected
    path = tmp_path / "old.json"
    path.write_text(json.dumps(OLD_OF[preset] | {"rounds": 7}))
    assert changed(PRESETS[preset], path) == expected.model_copy(update={"rounds": 7})


def test_the_learning_rate_goes_by_the_rounds_unless_it_is_given():
    rates = [EmergingSettings(rounds=rounds).rate for rounds in (100, 16_000, 64_000)]
    assert rates == pytest.approx([2e-3, 1.2e-3, 6e-4])
    assert EmergingSettings(rounds=100, learning_rate=1e-3).rate == 1e-3
    assert PRESETS["paint"].model_copy(update={"rounds": 100}).rate == 6e-4


def test_old_settings_that_no_kind_has_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"emerging rounds; confidence: expected no such field"):
        read_settings(OLD_OF["draw"] | {"confidence": 0.9}, "here")
    with pytest.raises(InputError, match=r"here: kind of rounds: expected one of emerging, .*None"):
        read_settings({"rounds": 3}, "here")
    path = tmp_path / "old.json"
    path.write_text(json.dumps(OLD_OF["draw"]))
    with pytest.raises(InputError, match="expected settings for resisting rounds"):
        changed(PRESETS["resist"], path)


def test_an_unknown_network_is_one_clear_error(tmp_path):
    with pytest.raises(InputError, match=r"network: expected one of .*draw.*; got 'resnet'"):
        play(tmp_path / "one", SMALL.model_copy(update={"network": "resnet"}))
    untrained = RetrainingSettings(network="draw")
    with pytest.raises(
        InputError,
        match=r"network: expected one of fast, judge, study, .*robust; got 'draw'",
    ):
        play(tmp_path / "other", untrained)
