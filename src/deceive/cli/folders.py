"""The folder of a run, locked while a command works in it."""

import itertools
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from deceive.common.files import check_writable, remove_temporaries, write_errors
from deceive.common.locks import LOCK, locked
from deceive.storage.places import check_place, holds_run

# What is said about a folder that another command has locked.
_HELD = (
    "--out: expected a folder that no other command is using, got {}; wait until that command "
    "ends, or choose another folder"
)


@contextmanager
def claimed(folder: Path, *, fresh: bool) -> Iterator[None]:
    """Lock a folder against other commands; with `fresh`, set aside a run in it first.

    Locks a file inside, and removes it at the end. The lock ends with its process, so a file left
    behind by a kill blocks nothing. A command that fails at once leaves no new folders behind.

    Raises:
        InputError: when another command uses the folder, or it is neither a run nor empty;
            `WriteError` when it is not writable. Either way nothing has changed.
    """
    with ExitStack() as stack:
        with write_errors(folder):
            place = Path(os.path.realpath(folder))
            check_place(folder)
            check_writable(place / "rows.jsonl", streams=False)
            stack.callback(_remove_empty, _make(place))
            lock = stack.enter_context(ExitStack())
            lock.enter_context(locked(place, _HELD.format(folder)))
            check_place(folder)  # another command may have used it in the meantime
            remove_temporaries(place)
            if fresh and holds_run(place):
                if os.name == "nt":  # can't rename a folder that contains an open file
                    lock.close()
                _put_aside(place)
                place.mkdir()
                lock.enter_context(locked(place, _HELD.format(folder)))
        yield


def _make(folder: Path) -> list[Path]:
    """Make a folder and its parents; return the new ones, deepest first."""
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return made


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):  # not empty
            folder.rmdir()


def _put_aside(folder: Path) -> None:
    """Rename a folder to the first free NAME.1, NAME.2, …, without its lock file."""
    names = (folder.with_name(f"{folder.name}.{number}") for number in itertools.count(1))
    aside = folder.rename(next(name for name in names if not os.path.lexists(name)))
    (aside / LOCK).unlink(missing_ok=True)
