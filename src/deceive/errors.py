"""The errors and warnings that a user meets, each one sentence."""

import sys
import warnings


class InputError(ValueError):
    """Bad input: something was not what was expected. The message says what was, and what came."""


class WriteError(InputError):
    """A place that cannot be written to, a full disk, or another reason why a file is not there."""


class DamageError(InputError):
    """A file of a run that is missing, or not as it was written."""


class LostProcessError(Exception):
    """Among several processes: another one is gone, or the launcher asked this one to end."""


class NoGradientWarning(UserWarning):
    """Where a search along the gradient ended for want of one, and says nothing of the model."""


class UnsteadyWarning(UserWarning):
    """Where an image alone does not settle what a model answers to it."""


def warn(message: str, category: type[UserWarning] = UserWarning) -> None:
    """Warn the user of a line of their own: the first on the way up that isn't ours or torch's."""
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and frame.f_globals["__name__"].split(".")[0] in _OURS:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


_OURS = ("deceive", "torch")
