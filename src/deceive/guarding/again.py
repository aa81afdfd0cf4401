"""The command that makes a guarded classifier again."""

from deceive.auditing.record.again import declared_flags
from deceive.common.flags import command_line, flag, flags_of
from deceive.data.source import MNIST
from deceive.guarding.settings import USUAL, GuardSettings
from deceive.storage.kinds import Row


def command_of(settings: Row, *, trust: bool = False) -> str:
    """The command that makes it again; data go by their folder's name.

    Args:
        settings: of its run.
        trust: whether a file was opened whose format can run code.

    >>> interface = {"scaling": None, "bounds": (0, 255)}
    >>> said = {"model": "mine.onnx", "data": "letters", "data_checksum": "1", "keep": 0.9}
    >>> command_of(said | {"use": None, "train": True, "interface": interface})
    'deceive guard mine.onnx --data letters --train --bounds 0 255 --keep 0.9'
    """
    words = [settings["model"]]
    if settings["data_checksum"] != MNIST.checksum:
        words += ["--data", settings["data"]]
    if settings["use"] is not None:
        words += flag("use", settings["use"])
    if settings["train"]:
        words.append("--train")
    if trust:
        words.append("--trust")
    words += declared_flags("", settings["interface"])
    names = GuardSettings.model_fields.keys() & settings.keys()
    given = GuardSettings(**{name: settings[name] for name in names})
    return command_line("guard", *words, *flags_of(given, USUAL))
