"""Rounds: deceive the network, teach it that this was rubbish, and again. One loop, three presets.

`loop` plays them, `settings` says what they are. There are three kinds: `retraining`, the case
study's own, with a new network every time; and two whose network goes on learning (`continual`),
until digits emerge from noise (`emerging`) or it resists gibberish (`resisting`).
"""

from deceive.teaching.game import DivergedError as DivergedError
from deceive.teaching.loop import rounds as rounds
from deceive.teaching.presets import PRESETS as PRESETS
from deceive.teaching.presets import changed as changed
from deceive.teaching.presets import command_of as command_of
from deceive.teaching.settings import EmergingSettings as EmergingSettings
from deceive.teaching.settings import ResistingSettings as ResistingSettings
from deceive.teaching.settings import RetrainingSettings as RetrainingSettings
from deceive.teaching.settings import RoundsSettings as RoundsSettings
