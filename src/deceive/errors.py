"""The errors that a user meets, each one sentence."""


class InputError(ValueError):
    """Bad input: something was not what was expected. The message says what was, and what came."""


class WriteError(InputError):
    """A place that cannot be written to, a full disk, or another reason why a file is not there."""


class LostProcessError(Exception):
    """Among several processes: another one is gone, or the launcher asked this one to end."""
