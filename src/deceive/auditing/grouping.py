"""Work that is done group by group, so that little is lost when the time is up."""

from collections.abc import Callable, Mapping

import numpy as np

from deceive.common.arrays import Arrays, Layout
from deceive.storage.runs import Run


def arrays_name(part: str) -> str:
    """What the arrays of a part are called.

    >>> arrays_name("curve/adam/uniform")
    'curve-adam-uniform'
    """
    return part.replace("/", "-").replace(" ", "-")


def in_groups(
    run: Run,
    part: str,
    numbers: range,
    size: int,
    work: Callable[[range], Arrays],
    layout: Layout,
    **sizes: int,
) -> list[Arrays]:
    """Do work group by group; where there are several, each is kept until the part is whole.

    Args:
        run: where they are kept.
        part: the part's name, and whatever distinguishes this work in it.
        numbers: of what is worked on.
        size: how many are in a group.
        work: numbers to arrays; arrays with NaN or infinity aren't kept.
        layout: of the arrays.
        **sizes: of the layout's letters, as far as they are known.
    """
    groups = [numbers[first : first + size] for first in range(0, len(numbers), size)]
    if len(groups) <= 1:
        return [work(numbers)]
    done = []
    for group in groups:
        name = f"{arrays_name(part)}-from-{group.start}"
        if run.has_arrays(name):
            done.append(run.load_arrays(name, layout, **sizes))
            continue
        done.append(work(group))
        if all(np.isfinite(each).all() for each in done[-1].values()):
            run.save_arrays(name, **done[-1])
    return done


def kept_groups(run: Run) -> frozenset[str]:
    """The names of the groups that are kept, of all parts."""
    return run.arrays_like("*-from-*")


def drop_groups(run: Run, part: str) -> None:
    """Forget the groups of a part that is whole."""
    run.drop_arrays(f"{arrays_name(part)}*-from-*")


def joined(groups: list[Arrays], axes: Mapping[str, int]) -> Arrays:
    """The arrays of all groups, each put together along its axis; by default the first."""
    if len(groups) == 1:
        return dict(groups[0])
    return {
        name: np.concatenate([group[name] for group in groups], axes.get(name, 0))
        for name in groups[0]
    }
