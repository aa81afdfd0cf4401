"""The one error a user meets: something that came in was not what was expected."""


class InputError(ValueError):
    """Bad input. The message says what was expected and what came, in one sentence."""
