"""The command that makes an audit again."""

from deceive.auditing.class_names import as_text
from deceive.auditing.record.rows import Again
from deceive.auditing.settings import QUICK, THOROUGH, AuditSettings
from deceive.common.flags import command_line, flag, flags_of
from deceive.storage.kinds import Row


def command_of(settings: Row, again: Again) -> str:
    """The command that makes an audit again, from the settings of its run and its other arguments.

    It names what differs from the preset.
    """
    words = [settings["model"]]
    if again.data is not None:
        words += ["--data", again.data]
    given = AuditSettings(**{name: settings[name] for name in AuditSettings.model_fields})
    preset = min((QUICK, THOROUGH), key=lambda each: len(flags_of(given, each)))
    if preset is THOROUGH:
        words.append("--thorough")
    if again.trust:
        words.append("--trust")
    if settings["judges"] != ["auto"]:
        words += ["--judge", *(settings["judges"] or ["none"])]
    if again.other_data is not None:
        words += ["--other-data", again.other_data]
    words += declared_flags("", settings["interface"])
    words += declared_flags("judge-", settings["judge_interface"])
    return command_line("audit", *words, *flags_of(given, preset))


def declared_flags(prefix: str, interface: Row) -> list[str]:
    """The flags for what is declared of a model."""
    words = []
    declared = (interface["scaling"] or {}) | interface
    for name in ("size", "crop"):
        if declared.get(name) is not None:
            words += flag(f"{prefix}{name}", "x".join(map(str, declared[name])))
    for name in ("resize", "bounds", "mean", "std", "preprocess", "output", "rubbish_class"):
        if declared.get(name) is not None:
            words += flag(f"{prefix}{name}", declared[name])
    if declared.get("class_names") is not None:
        words += flag(f"{prefix}class_names", as_text(declared["class_names"]))
    if not prefix and declared.get("device", "auto") != "auto":  # it is the judges' too
        words += flag("device", declared["device"])
    return words
