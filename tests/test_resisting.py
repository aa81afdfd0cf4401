"""What makes a classifier resist, on images of four bright quarters."""

from contextlib import contextmanager

import pytest
import torch
from torch import nn

from deceive.fooling.ascent import Ascent
from deceive.fooling.fool import fool
from deceive.fooling.objectives import log_odds
from deceive.networks.building import GUARDED, network_of
from deceive.networks.frozen import FrozenCopy
from deceive.networks.inference import logits_of
from deceive.storage.models import load_card, load_network
from deceive.storage.runs import Run
from deceive.teaching import PRESETS, rounds
from deceive.teaching.checkpoint import load, save
from deceive.teaching.continual import Continual
from deceive.teaching.squares import led_by_squares
from deceive.training.calibrating import expect_rubbish
from deceive.training.recipes import train
from worlds.quarters import Quarters, quarters_data
from worlds.rounds import checkpoint_digest, quiet, without_clock

SMALL = PRESETS["resist"].model_copy(
    update={
        "rounds": 12,
        "candidates": 16,
        "kept": 32,
        "shown": (0, 5),
        "measured": 2,
        "training_images": 900,
    }
)


def play(folder, settings=SMALL, task=quiet):
    run = Run(folder, settings.model_dump(mode="json"))
    rows = list(rounds(quarters_data(), run, settings, Quarters(), task))
    return run, rows


@pytest.fixture(scope="module", autouse=True)
def _measured_in_fewer_steps():
    """Networks of a test need not be deceived for as long as those of users."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("deceive.teaching.measuring._MEASURED_STEPS", 40)
        yield


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """A finished run and its rows."""
    return play(tmp_path_factory.mktemp("played"))


@contextmanager
def interrupting(description):
    """Progress of a run that is interrupted after its first round."""

    def tick(done, total, note=""):
        if done > 0:
            raise KeyboardInterrupt

    yield tick


def random_network(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = network_of("resist", 5, (1, 8, 8)).eval()
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.2)
    return network


@pytest.mark.parametrize("share", [0.25, 0.5, 0.96])
def test_rubbish_is_expected_as_seldom_as_digits_need(share):
    network, images = random_network(), torch.rand(200, 1, 8, 8)
    before = logits_of(network, images)
    labels = before[:, :4].argmax(1)
    added = expect_rubbish(network, images, labels, share=share, confidence=0.4)
    after = logits_of(network, images)
    torch.testing.assert_close(after[:, :4], before[:, :4])
    torch.testing.assert_close(after[:, 4], before[:, 4] + added)
    reached = after.softmax(1).gather(1, labels[:, None]) >= 0.4 - 1e-6
    assert reached.float().mean().item() == pytest.approx(share, abs=1 / 200)


def test_where_no_expectation_would_do_there_is_none():
    network, images = random_network(), torch.rand(50, 1, 8, 8)
    labels = logits_of(network, images)[:, :4].argmin(1)
    before = network.guard.head.bias.clone()
    assert expect_rubbish(network, images, labels, share=0.9, confidence=0.99) == 0
    assert torch.equal(network.guard.head.bias, before)


def test_a_row_and_a_network_for_each_round_shown(played):
    run, rows = played
    assert [row["round"] for row in rows] == [0, 5, 12]
    for row in rows:
        name = f"round-{row['round']:06d}"
        assert run.load_arrays(name)["levels"].shape == (4 * 2 * 4, 1, 8, 8)
        network = load_network(run.weights(name))
        assert [reader.architecture for reader in network.readers] == ["sharp", "sharp"]
        assert load_card(run.weights(name)).command.startswith("deceive rounds --preset resist")
        assert 0 <= row["gibberish_rate"] <= row["fooling_rate"] <= 1
    _, again = play(run.folder)
    assert again == []


def test_readers_that_are_in_the_checkpoint_are_not_trained_again(tmp_path, monkeypatch):
    checkpoint = tmp_path / "checkpoint.safetensors"
    settings = SMALL.model_copy(update={"shown": ()})
    with pytest.raises(KeyboardInterrupt):
        play(tmp_path, settings, interrupting)
    before = checkpoint.read_bytes()
    monkeypatch.setattr("deceive.teaching.readers.train", None)  # a call of it would fail
    with pytest.raises(KeyboardInterrupt):
        play(tmp_path, settings, interrupting)
    assert checkpoint.read_bytes() == before


def test_same_seed_same_rows_and_network(played, tmp_path):
    (one, rows), (other, again) = played, play(tmp_path)
    assert without_clock(again) == without_clock(rows)
    assert checkpoint_digest(one) == checkpoint_digest(other)


@pytest.mark.parametrize("searched", [0, 4])
def test_it_goes_on_as_if_it_had_not_been_interrupted(tmp_path, searched):
    settings = SMALL.model_copy(update={"searched": searched})
    games = [Continual(quarters_data(), settings) for _ in range(2)]
    games[0].begin()
    for _ in range(3):
        games[0].play()
    save(games[0], tmp_path / "checkpoint")
    load(games[1], tmp_path / "checkpoint")
    for game in games:
        game.play()
    one, other = (game.shared() | game.own() for game in games)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_in_the_rounds_an_easy_reader_reads_once_and_afterwards_its_own_in_several_places():
    game = Continual(quarters_data(), SMALL)
    game.begin()
    game.play()
    assert [reader.architecture for reader in game.network.readers] == ["reader"]
    assert game.network.shifts == ()
    assert game.best().shifts == GUARDED["resist"].shifts
    readers = game.best().readers
    assert [reader.architecture for reader in readers] == ["sharp", "sharp"]
    for reader, recipe, power in zip(readers, ("sharp", "robust"), (0.4, 0.6), strict=True):
        trained, _ = train(recipe, game.data, seed=SMALL.seed)
        expected = (power * trained.head.weight).half().float()
        assert torch.equal(reader.head.weight, expected)


def test_a_candidate_that_was_a_digit_is_to_be_another_one():
    starts = {"kept": 400, "starts": ("real", "uniform")}
    kind = Continual(quarters_data(), SMALL.model_copy(update=starts)).kind
    levels, targets = kind.candidates.levels, kind.candidates.targets
    assert 0.3 < kind.were_digits.float().mean() < 0.7
    seen = Quarters()(levels.float() / 255).argmax(1)
    assert (seen[kind.were_digits] != targets[kind.were_digits]).all()
    assert (seen[~kind.were_digits] == targets[~kind.were_digits]).any()


def test_patchworks_are_led_by_a_search_and_taught_to_be_rubbish():
    kind = Continual(quarters_data(), SMALL.model_copy(update={"searched": 4})).kind
    work, patchworks = kind.patchworks, kind.patchworks.candidates
    assert len(patchworks) == SMALL.kept * 4 // SMALL.candidates
    kind.begin()
    before, targets = (
        patchworks.levels.clone(),
        patchworks.targets.clone(),
    )
    chosen = kind.choose()
    kind.climb(FrozenCopy(kind.network, torch.rand(1, 1, 8, 8)), chosen, 1)
    assert (len(work.led), len(work.led.unique())) == (4, 4)
    others = torch.ones(len(patchworks), dtype=torch.bool)
    others[work.led] = False
    assert torch.equal(patchworks.levels[others], before[others])
    lesson = kind.lesson(chosen)
    assert torch.equal(lesson.images[-4:], patchworks.levels[work.led].float() / 255)
    assert (lesson.labels[-4:] == 4).all()
    assert not lesson.sigma[-4:].any()
    led_on = (targets == patchworks.targets)[work.led].nonzero().flatten()
    now, then = (
        log_odds(
            logits_of(kind.network, levels[work.led[led_on]].float() / 255),
            targets[work.led[led_on]],
        )
        for levels in (patchworks.levels, before)
    )
    assert (now >= then - 1e-4).all()

    # What it is taught of them tells in the loss.
    logits = torch.zeros(len(lesson.labels), 5)
    at_first = kind.loss(logits, lesson.labels, chosen)
    logits[-4:, 4] = 5.0
    assert kind.loss(logits, lesson.labels, chosen) < at_first


def test_a_search_puts_squares_where_they_help():
    generator = torch.Generator().manual_seed(0)
    images, bright = torch.rand(3, 2, 9, 12, generator=generator), []

    def score_of(images):
        bright.append(images.shape[:2])
        return images.mean((2, 3, 4))

    better = led_by_squares(images, score_of, enough=0.99, generator=generator)
    assert bright == [(3, 1)] + 4 * [(3, 8)]
    assert (better.mean((1, 2, 3)) > images.mean((1, 2, 3)) + 0.02).all()
    changed = better != images
    assert set(better[changed].unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(led_by_squares(images, score_of, enough=0.0, generator=generator), images)
    worst = led_by_squares(torch.ones(3, 2, 9, 12), score_of, enough=2, generator=generator)
    assert (worst == 1).all()  # what doesn't help is not put there


def test_it_comes_to_resist(tmp_path):
    settings = SMALL.model_copy(
        update={"rounds": 100, "candidates": 64, "kept": 400, "learning_rate": 3e-3, "shown": ()}
    )
    run, (last,) = play(tmp_path, settings)
    network = load_network(run.weights("round-000100"))
    assert last["validation_accuracy"] > 0.99
    assert last["digits_sure"] == pytest.approx(0.96, abs=0.02)
    rates = []
    for each in (network.readers[0], network):
        result = fool(each, range(4), count=20, seed=7, steps=200, ascent=Ascent(rule="sign"))
        gibberish = result.fooled & (Quarters()(result.images).argmax(1) != result.targets)
        rates.append(gibberish.float().mean().item())
    assert rates[0] > 0.2
    assert rates[1] < rates[0] / 4
