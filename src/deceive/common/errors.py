"""Errors and warnings for the user, one sentence each."""

import sys
import warnings


class InputError(ValueError):
    """Bad input: a value, a file or a flag is not what was expected.

    The message is one sentence: what it is about, what was expected, and what came.

    >>> import deceive
    >>> deceive.load_network("slow")
    Traceback (most recent call last):
        ...
    deceive.common.errors.InputError: model: expected a shipped network ... got 'slow'
    """


class WriteError(InputError):
    """A path that can't be written to, a full disk, or another failed write."""


class DamageError(InputError):
    """A run's file that is missing or damaged."""


class LostProcessError(Exception):
    """Among several processes: another one is gone, or the launcher asked this one to end."""


class NoGradientWarning(UserWarning):
    """The gradient vanished, so a failed search says nothing about the model."""


class UnsteadyWarning(UserWarning):
    """A model's answers vary between calls or depend on the rest of the batch."""


def warn(message: str, category: type[UserWarning] = UserWarning) -> None:
    """Warn at the user's own line: the first caller that is neither ours nor torch's."""
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and frame.f_globals["__name__"].split(".")[0] in _OURS:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


_OURS = ("deceive", "torch")
