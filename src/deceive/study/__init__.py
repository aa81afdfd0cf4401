"""The case study, all four parts: train, deceive, teach rubbish, deceive again.

`settings` are the study's settings, `loop` does the missing parts of a run folder, `stages` holds
the work of each part, and `rows` describes the results.
"""

from deceive.study.loop import study as study
from deceive.study.loop import summary as summary
from deceive.study.rows import FILMSTRIP as FILMSTRIP
from deceive.study.rows import STUDY as STUDY
from deceive.study.rows import load_gallery as load_gallery
from deceive.study.settings import StudySettings as StudySettings
from deceive.study.settings import command_of as command_of
from deceive.study.settings import settings_of as settings_of
