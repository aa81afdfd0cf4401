"""`python -m soak`: damage and kill for a given time, then print the counts."""

import json
import tempfile
from pathlib import Path

import tyro

from soak.campaign import Campaign
from soak.counts import FAILURES, tried_by
from soak.plan import Plan


def main(
    *,
    minutes: float | None = None,
    seed: int = 0,
    only: str = "",
    cases: int | None = None,
    kills: int | None = None,
    workers: int = 2,
    failures: Path = FAILURES,
    json_to: Path | None = None,
    replay: tuple[Path, ...] = (),
) -> None:
    """Feed damaged inputs to every reader, and kill and resume every kind of run.

    Prints the counts at the end; exits with 1 if anything failed. Each new kind of failure is kept
    as a file, which --replay tries again.

    Args:
        minutes: running time; by default 60, and 0 with --replay alone.
        seed: of the damage and the kills.
        only: readers and kinds of runs, separated by commas (`idx,network,kill-study`); by default
            all.
        cases: inputs per reader; by default as many as time allows.
        kills: kills per kind of run.
        workers: parallel processes.
        failures: the folder for failures.
        json_to: also write the counts there, as JSON.
        replay: kept failures to try again first.
    """
    names = tuple(filter(None, only.split(",")))
    if minutes is None:
        minutes = 0 if replay and not names else 60
    replayed = tuple(map(tried_by, replay))
    plan = Plan(seed, minutes, names or replayed, cases, kills, workers, replayed)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        campaign = Campaign(plan, Path(folder).resolve(), failures.resolve())
        campaign.prepare(lambda words: print(words, flush=True))
        again = {path: campaign.replay(path) for path in replay}
        counts = campaign.run()
    for path, how in again.items():
        print(f"{path}: {how or 'fixed'}")
    print(counts.table())
    for path in campaign.new:
        print(f"new: python -m soak --replay {path}")
    if json_to is not None:
        json_to.write_text(json.dumps(counts.summary(), indent=1) + "\n")
    raise SystemExit(1 if counts.failed or any(again.values()) else 0)


if __name__ == "__main__":
    tyro.cli(main, prog="python -m soak")
