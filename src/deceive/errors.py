"""The errors that a user meets, each one sentence."""


class InputError(ValueError):
    """Bad input: something was not what was expected. The message says what was, and what came."""


class LostProcessError(Exception):
    """Among several processes: another one is gone, or the launcher asked this one to end."""
