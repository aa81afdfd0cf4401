"""The case study, all four parts: train, deceive, teach rubbish, deceive again.

`settings` says what is done, `loop` does what is missing in a run folder, part by part, `stages`
holds the work of each part, and `rows` says what it leaves behind.
"""

from deceive.study.loop import study as study
from deceive.study.loop import summary as summary
from deceive.study.rows import FILMSTRIP as FILMSTRIP
from deceive.study.rows import STUDY as STUDY
from deceive.study.rows import load_gallery as load_gallery
from deceive.study.settings import StudySettings as StudySettings
from deceive.study.settings import command_of as command_of
from deceive.study.settings import settings_of as settings_of
