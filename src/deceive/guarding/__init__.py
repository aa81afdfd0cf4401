"""`guard` puts a guard in front of any classifier, so that garbage doesn't pass."""

from deceive.guarding.card import GuardedCard
from deceive.guarding.core import GuardReport, guard
from deceive.guarding.graph import export_guarded
from deceive.guarding.loading import load_guarded
from deceive.guarding.model import Answers, GuardedModel
from deceive.guarding.settings import GuardSettings

__all__ = [
    "Answers",
    "GuardReport",
    "GuardSettings",
    "GuardedCard",
    "GuardedModel",
    "export_guarded",
    "guard",
    "load_guarded",
]
