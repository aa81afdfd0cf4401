"""Rounds: deceive a network, teach it that this was rubbish, repeat.

`loop` plays the rounds, measures them and keeps their results. `continual` is a round in which one
network keeps learning, until digits emerge from noise (`emerging`) or it resists gibberish
(`resisting`). `retraining` is a round of the case study, with a new network every time. `uniting`
teaches networks of both kinds together. `settings` has a class for each kind of rounds, and
`presets` the usual values.
"""

from deceive.teaching.game import DivergedError as DivergedError
from deceive.teaching.loop import rounds as rounds
from deceive.teaching.presets import PRESETS as PRESETS
from deceive.teaching.presets import changed as changed
from deceive.teaching.presets import command_of as command_of
from deceive.teaching.presets import preset_for as preset_for
from deceive.teaching.settings import EmergingSettings as EmergingSettings
from deceive.teaching.settings import ResistingSettings as ResistingSettings
from deceive.teaching.settings import RetrainingSettings as RetrainingSettings
from deceive.teaching.settings import RoundsSettings as RoundsSettings
from deceive.teaching.settings import UnitingSettings as UnitingSettings
