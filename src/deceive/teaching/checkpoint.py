"""Checkpoints: everything that the next rounds depend on, in one file."""

from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from deceive.common import processes
from deceive.common.checks import Count
from deceive.common.errors import InputError
from deceive.storage import checkpoints
from deceive.teaching.game import Game

_EXPECTED = "expected the checkpoint of this run"

# The greatest finite float32.
_GREATEST = torch.finfo(torch.float32).max


class Facts(BaseModel):
    """A checkpoint's data besides its tensors; the same as the game's."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    number: Count
    seconds: float = Field(ge=0)
    slowed: float = Field(gt=0, le=1)
    rollbacks: Count
    digest: str
    """Of the tensors: damaged weights may still be finite."""


def save(game: Game, path: Path) -> None:
    """Write a game to `path`, atomically, with every process's share of it."""
    shares = processes.gathered(game.own())
    state = game.shared() | {k: torch.cat([own[k] for own in shares]) for k in shares[0]}

    def write() -> None:
        facts = Facts(
            number=game.number,
            seconds=game.seconds,
            slowed=game.slowed,
            rollbacks=game.rollbacks,
            digest=checkpoints.digest_of(state),
        )
        checkpoints.write(path, state, facts)

    processes.on_main(write)


def load(game: Game, path: Path) -> None:
    """Take a game back to where `save` wrote it.

    Raises `InputError` when the file is damaged, of another run, or from another number of
    processes.
    """
    facts, state = processes.on_main(
        lambda: checkpoints.read(path, Facts, f"{_EXPECTED}, with its facts")
    )
    own = game.own()
    wrote = len(state.get("generator", ())) // len(own["generator"])
    if wrote not in (0, game.here.count):
        raise InputError(
            f"{path}: expected the checkpoint of {game.here.count} process(es), got one of "
            f"{wrote}; a run continues with as many as it started with"
        )
    if trouble := _trouble(game, facts, state):
        raise InputError(f"{path}: {_EXPECTED}; {trouble}")
    mine = {name: state[name].chunk(wrote)[game.here.rank] for name in own}
    try:
        game.generator.set_state(mine["generator"].clone())
    except RuntimeError as error:
        raise InputError(f"{path}: {_EXPECTED}; {error}") from error
    game.number, game.seconds = facts.number, facts.seconds
    game.slowed, game.rollbacks = facts.slowed, facts.rollbacks
    game.restore(state | mine)


def _trouble(game: Game, facts: Facts, state: dict[str, Tensor]) -> str | None:
    """What is wrong with a checkpoint's content; None if nothing is."""
    if facts.number > game.settings.rounds:
        return f"it is of round {facts.number:,} of {game.settings.rounds:,}"
    own = game.own()
    expected = game.shared() | own
    if names := sorted(state.keys() ^ expected.keys()):
        return f"{names[0]} should be {'there' if names[0] in expected else 'absent'}"
    for name, like in expected.items():
        came, shape = state[name], list(like.shape)
        if name in own:
            shape[0] *= game.here.count
        elif name in game.growing and came.ndim:
            shape[0] = len(came)
        if came.dtype != like.dtype or list(came.shape) != shape:
            return f"{name} should be {like.dtype} {shape}, is {came.dtype} {list(came.shape)}"
        least, most = _range(name, game.data.n_classes)
        if came.numel() and not least <= came.min().item() <= came.max().item() <= most:
            return f"{name} should be finite and from {least:g} to {most:g}, has other values"
    return (
        None
        if facts.digest == checkpoints.digest_of(state)
        else "its tensors are not those that were saved"
    )


def _range(name: str, n_classes: int) -> tuple[float, float]:
    """The least and the greatest value of a checkpoint's tensor."""
    if name.endswith("targets"):
        return 0, n_classes - 1
    if name == "vitals":
        return 0, 1
    counted = (".taken", ".step", ".exp_avg_sq", ".running_var", ".num_batches_tracked")
    return (0 if name.endswith(counted) else -_GREATEST), _GREATEST
