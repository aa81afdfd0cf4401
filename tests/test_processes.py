"""Two processes, by gloo on this machine's processor, as a launcher starts them.

Functions named `play_…` run in both of them at once; the tests look at how they ended.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import After, Bands
from deceive.cli import commands, main
from deceive.cli.rounds import RoundsCommand
from deceive.common import processes
from deceive.common.errors import InputError, NoGradientWarning
from deceive.common.processes import Place
from deceive.common.seeds import generator_for
from deceive.fooling.fool import fool
from deceive.fooling.result import FoolingResult
from deceive.networks.building import NETWORKS, network_of
from deceive.storage.models import load_network
from deceive.storage.runs import Run
from deceive.teaching import rounds
from deceive.training.recipes import RECIPES, train
from worlds.commands import run
from worlds.forked import forked
from worlds.quarters import Quarters, quarters_data
from worlds.rounds import LITERAL, SMALL, checkpoint_digest, quiet, without_clock

ROUNDS = SMALL.model_copy(update={"judged": 80})
LONG = SMALL.model_copy(update={"rounds": 250, "candidates": 64, "kept": 400, "shown": (0,)})
FEWER = LITERAL.model_copy(update={"rounds": 1, "epochs": 3.0})


def in_two(play: str, *arguments: object) -> list[tuple[int, str]]:
    """Exit code and stderr of each of two processes that ran `play(*arguments)`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        said = [Path(folder) / f"{rank}" for rank in range(2)]
        started = [
            forked().Process(target=_one_of_two, args=(rank, port, said[rank], play, arguments))
            for rank in range(2)
        ]
        for process in started:
            process.start()
        try:
            for process in started:
                process.join(900)
        finally:
            for process in started:
                process.kill()
        return [
            (process.exitcode, path.read_text())
            for process, path in zip(started, said, strict=True)
        ]


def _one_of_two(rank: int, port: int, said: Path, play: str, arguments: tuple[object, ...]) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ |= {"CUDA_VISIBLE_DEVICES": ""}
    os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT), sys.stderr.fileno())
    warnings.simplefilter("error", UserWarning)
    globals()[play](*map(str, arguments))


def ends_well(play: str, *arguments: object) -> None:
    """Both processes end with 0; what they said is shown where they don't."""
    ended = in_two(play, *arguments)
    assert [code for code, _ in ended] == [0, 0], ended


def same(one: FoolingResult, other: FoolingResult) -> bool:
    """The same images after the same steps; confidences but for the last digits."""
    names = ("levels", "targets", "fooled", "steps", "stalled")
    ways = [[way.levels for way in each.trajectories or ()] for each in (one, other)]
    return (
        all(torch.equal(getattr(one, n), getattr(other, n)) for n in names)
        and torch.allclose(one.confidence, other.confidence, atol=1e-5)
        and all(torch.equal(a, b) for a, b in zip(*ways, strict=True))
    )


# What both processes do at once.


def play_images() -> None:
    """Sharded images are those of one process; more of them, fewer, or one for two processes."""
    processes.join()
    seen = []
    for targets, count in ((range(4), 3), ([2], 1)):
        together = fool(
            Bands(), targets, count=count, seed=5, trajectory=True, callback=seen.append
        )
        with processes.alone():
            assert same(together, fool(Bands(), targets, count=count, seed=5, trajectory=True))
    assert {now.total for now in seen} <= {6, 1}
    network = load_network("fast")
    together = fool(network, range(10), count=4, seed=7)
    with processes.alone():
        assert same(together, fool(network, range(10), count=4, seed=7))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoGradientWarning)
        together = fool(After(torch.round), range(4), count=3, steps=2)
        with processes.alone():
            assert same(together, fool(After(torch.round), range(4), count=3, steps=2))
    assert together.stalled.any()
    processes.leave()


def play_exchange() -> None:
    """Means, parts in order, and errors of the main process that are everyone's."""
    processes.join()
    rank = processes.here().rank
    tensors = [torch.tensor([[1.0, 2.0], [3.0, 4.0]]).T * (rank + 1), torch.tensor(float(rank))]
    processes.average_(tensors)
    assert tensors[0].tolist() == [[1.5, 4.5], [3.0, 6.0]]
    assert tensors[1].item() == 0.5
    assert processes.joined(torch.full((2 - rank,), rank)).tolist() == [0, 0, 1]
    assert processes.first_trouble("late" if rank else None) == "late"
    assert processes.first_trouble(None) is None
    assert processes.on_main(lambda: processes.here().count + 10 * rank) == 1
    with pytest.raises(InputError, match="by the main one"):
        processes.on_main(_refuse)
    one, other = processes.gathered(processes.generator(3).initial_seed())
    assert one == 3
    assert other != 3
    processes.leave()


def _refuse() -> None:
    raise InputError(f"by the main one, {processes.here()}")


def play_rounds(folder: str, which: str, dies_at: str = "-1") -> None:
    """Rounds by way of the command line, so that errors end as a user sees them."""
    settings = {"tiny": ROUNDS, "long": LONG, "literal": FEWER}[which]

    class Play(RoundsCommand):
        def run(self) -> int:
            path = Path(folder)
            run = processes.on_main(lambda: Run(path, settings.model_dump(mode="json")))
            rows = list(rounds(quarters_data(), run, settings, Quarters(), dying(int(dies_at))))
            assert processes.gathered(rows) == [rows, rows]
            return 0

    commands.parse = lambda arguments: Play(settings=settings)
    main(["play"])


def dying(number: int):
    """The second process is killed after so many rounds."""

    def task(description):
        shown = quiet(description)

        class Shown:
            def __enter__(self):
                report = shown.__enter__()

                def reported(done, total, note=""):
                    report(done, total, note)
                    if done == number and processes.here().rank == 1:
                        os.kill(os.getpid(), signal.SIGKILL)

                return reported

            def __exit__(self, *error):
                return shown.__exit__(*error)

        return Shown()

    return task


def play_training() -> None:
    """Both end with the same network, which has learnt."""
    processes.join()
    settings = RECIPES["fast"].model_copy(update={"epochs": 3, "batch_size": 51})
    network, card = train("fast", quarters_data(), settings=settings)
    one, other = processes.gathered(network.state_dict())
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert card.test_accuracy > 0.95
    processes.leave()


# The tests.


@pytest.mark.parametrize("play", ["play_images", "play_exchange", "play_training"])
def test_two_processes(play):
    assert in_two(play) == [(0, ""), (0, "")]


def test_a_killed_worker_ends_the_run_and_it_resumes_as_if_it_had_not_been(tmp_path):
    ends_well("play_rounds", tmp_path / "whole", "tiny")
    (code, said), (killed, _) = in_two("play_rounds", tmp_path / "killed", "tiny", 8)
    assert killed == -signal.SIGKILL
    assert code == 4
    assert "another process is gone" in said
    assert "Traceback" not in said
    assert [row["round"] for row in Run.open(tmp_path / "killed").rows()] == [0, 5]
    ends_well("play_rounds", tmp_path / "killed", "tiny")

    whole, again = Run.open(tmp_path / "whole"), Run.open(tmp_path / "killed")
    assert checkpoint_digest(again) == checkpoint_digest(whole)
    clocks = {"seconds_to_draw", "images_per_second"}
    one, other = (
        [{k: v for k, v in row.items() if k not in clocks} for row in without_clock(each.rows())]
        for each in (whole, again)
    )
    assert one == other
    assert [row["part"] for row in one] == ["round"] * 3 + ["quality"]

    # The share of each is its own, and a run goes on with as many processes.
    with pytest.raises(InputError, match=r"of 1 process.*, got one of 2"):
        list(rounds(quarters_data(), whole, ROUNDS, Quarters(), quiet))


def test_digits_emerge_from_two_processes(tmp_path):
    """As they do from one, in `test_teaching`, and by the same measures."""
    ends_well("play_rounds", tmp_path, "long")
    first, last = Run.open(tmp_path).rows()
    assert first["judge_agreement"] < 0.6
    assert last["judge_agreement"] > 0.9
    assert last["frechet_distance"] < first["frechet_distance"] / 4
    assert last["validation_accuracy"] > 0.95


def test_the_case_study_literally_in_two_processes(tmp_path):
    ends_well("play_rounds", tmp_path, "literal")
    rows = Run.open(tmp_path).rows()
    assert [row["round"] for row in rows] == [0, 1]
    assert rows[0]["rubbish_images"] == 100
    assert 100 < rows[1]["rubbish_images"] <= 140
    assert rows[0]["fooling_rate"] > 0.5
    assert rows[-1]["rubbish_caught"] > 0.9


@pytest.mark.shipped
def test_the_same_command_under_accelerate(tmp_path):
    alone, together = tmp_path / "alone.npz", tmp_path / "together.npz"
    words = ["fool", "--target", "all", "--count", "3"]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    launch += ["--main_process_port", "0"]
    said = subprocess.run(
        [sys.executable, *launch, "-m", "deceive", *words, "--out", together],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert said.returncode == 0, said.stderr
    assert said.stdout.count("30 of 30 images fool fast") == 1  # the main one alone speaks
    command = [sys.executable, "-m", "deceive", *words, "--out", alone]
    subprocess.run(command, env=environment, check=True)
    with np.load(alone) as one, np.load(together) as two:
        for name in one.files:
            assert np.allclose(one[name], two[name], atol=1e-5 if name == "confidence" else 0)


def test_alone_nothing_is_asked_of_accelerate(tmp_path):
    code = (
        "import sys, deceive.cli as c\n"
        "try: c.main(['fool', '--target', '1', '--out', sys.argv[1]])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert 'accelerate' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "one.npz"], check=True)


@pytest.fixture
def second_of_three():
    token = processes._place.set(Place(1, 3, torch.device("cpu")))
    yield
    processes._place.reset(token)


def test_alone_one_has_everything():
    assert processes.here().is_main
    assert processes.share(7) == range(7)
    assert processes.gathered("all") == ["all"]
    assert processes.generator(5).initial_seed() == 5
    tensor = torch.tensor([1.0, 2.0])
    processes.average_([tensor])
    assert tensor.tolist() == [1, 2]


@pytest.mark.usefixtures("second_of_three")
def test_shares_cover_all_once():
    shares = []
    for rank in range(3):
        token = processes._place.set(Place(rank, 3, torch.device("cpu")))
        shares.append([processes.share(total) for total in (0, 1, 2, 7, 300)])
        processes._place.reset(token)
    for total, parts in zip((0, 1, 2, 7, 300), zip(*shares, strict=True), strict=True):
        assert [number for part in parts for number in part] == list(range(total))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
    with processes.alone():
        assert processes.share(7) == range(7)
    assert processes.share(300) == range(100, 200)
    expected = generator_for(5, 1, "process").initial_seed()
    assert processes.generator(5).initial_seed() == expected


@pytest.mark.usefixtures("second_of_three")
def test_what_does_not_fit_the_processes_is_one_clear_error(capsys, monkeypatch):
    with pytest.raises(InputError, match=r"candidates: expected a multiple of the 3 .* got 16"):
        SMALL.check(quarters_data())
    with pytest.raises(InputError, match=r"kept: expected a multiple of the 3 .* got 32"):
        SMALL.model_copy(update={"candidates": 15}).check(quarters_data())
    settings = RECIPES["fast"].model_copy(update={"batch_size": 5})
    with pytest.raises(InputError, match="at least 2 images for each of 3 processes, got 5"):
        train("fast", quarters_data(), settings=settings)
    monkeypatch.setattr(processes, "join", lambda announce: None)
    code, _, said = run(capsys, "info")
    assert code == 2
    assert "info: expected one process, got 3" in said


def launched(monkeypatch, count: int) -> None:
    """The environment of the last of so many processes, whose main one can't be reached."""
    given = {"WORLD_SIZE": count, "RANK": count - 1, "LOCAL_RANK": count - 1}
    for name, value in (given | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": 9}).items():
        monkeypatch.setenv(name, str(value))


def test_without_accelerate_it_is_one_clear_error(capsys, monkeypatch):
    launched(monkeypatch, 2)
    monkeypatch.setitem(sys.modules, "accelerate", None)
    code, _, said = run(capsys, "info")
    assert code == 2
    assert "pip install 'deceive[accelerate]'" in said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"WORLD_SIZE": ""}, "WORLD_SIZE: expected a whole number of at least 1"),
        ({"WORLD_SIZE": "two"}, "got 'two'"),
        ({"WORLD_SIZE": "-2"}, "WORLD_SIZE: expected a whole number of at least 1"),
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE=2: expected RANK in the environment too"),
        ({"WORLD_SIZE": "2", "RANK": "2"}, "RANK: expected a whole number of at least 0 and at"),
        ({"WORLD_SIZE": "2", "RANK": "1", "MASTER_PORT": "x"}, "MASTER_PORT: expected a whole"),
    ],
)
def test_half_an_environment_of_a_launcher_is_one_clear_error(given, said, capsys, monkeypatch):
    if "RANK" in given:
        launched(monkeypatch, 2)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    code, _, err = run(capsys, "info")
    assert code == 2
    assert said in err
    assert err.count("\n") == 1


def test_a_main_process_that_is_not_there_is_waited_for_aloud_and_not_for_long(capsys, monkeypatch):
    with socket.socket() as taken:  # and doesn't listen
        taken.bind(("127.0.0.1", 0))
        launched(monkeypatch, 2)
        monkeypatch.setenv("MASTER_PORT", str(taken.getsockname()[1]))
        monkeypatch.setenv("DECEIVE_JOIN_SECONDS", "1")
        code, _, err = run(capsys, "info")
    assert code == 2
    waiting, refused = err.splitlines()
    assert waiting.startswith("waiting up to 1 s for the other processes at 127.0.0.1:")
    assert "expected 2 processes to meet at 127.0.0.1:" in refused
    assert "within 1 s" in refused


def test_more_processes_than_gpus_are_one_clear_error(capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("ACCELERATE_USE_CPU", raising=False)
    launched(monkeypatch, 3)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    code, _, err = run(capsys, "fool", "--target", "1")
    assert code == 2
    assert (
        "LOCAL_WORLD_SIZE=3: expected at most one process per GPU, and there are 2; set CUDA" in err
    )


@pytest.mark.parametrize("architecture", NETWORKS)
def test_networks_keep_to_their_device(architecture):
    """On a device without memory, in place of one that is not there: tensors must not mix."""
    network = network_of(architecture).to("meta").eval()
    images = torch.empty(2, 1, 28, 28, device="meta")
    assert network(images, torch.empty(2, device="meta")).device.type == "meta"
