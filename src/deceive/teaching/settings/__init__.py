"""Settings of rounds: a class for each kind."""

from deceive.teaching.settings.base import SURE as SURE
from deceive.teaching.settings.base import ContinualSettings as ContinualSettings
from deceive.teaching.settings.base import RoundsSettings as RoundsSettings
from deceive.teaching.settings.emerging import EmergingSettings as EmergingSettings
from deceive.teaching.settings.resisting import ResistingSettings as ResistingSettings
from deceive.teaching.settings.retraining import RetrainingSettings as RetrainingSettings
from deceive.teaching.settings.stored import KINDS as KINDS
from deceive.teaching.settings.stored import read_settings as read_settings
from deceive.teaching.settings.stored import renewed as renewed
from deceive.teaching.settings.uniting import UnitingSettings as UnitingSettings
