"""Pictures from stored images and numbers. Never trains or runs a network."""

from deceive.common.plotting import import_matplotlib

import_matplotlib()  # before any of the modules below imports Matplotlib

from deceive.reporting.figures.curves import Curve, curves, rounds_curves  # noqa: E402
from deceive.reporting.figures.files import png, read_png, save  # noqa: E402
from deceive.reporting.figures.film import filmstrip  # noqa: E402
from deceive.reporting.figures.galleries import Deceived, caption, from_the_same_starts, gallery  # noqa: E402
from deceive.reporting.figures.rounds import emergence, rounds_pictures, shown_rounds  # noqa: E402
from deceive.reporting.figures.sheets import contact_sheet, shown_images  # noqa: E402
from deceive.reporting.figures.study import TITLES, study_captions, study_filmstrip, study_pictures  # noqa: E402

__all__ = [
    "TITLES",
    "Curve",
    "Deceived",
    "caption",
    "contact_sheet",
    "curves",
    "emergence",
    "filmstrip",
    "from_the_same_starts",
    "gallery",
    "png",
    "read_png",
    "rounds_curves",
    "rounds_pictures",
    "save",
    "shown_images",
    "shown_rounds",
    "study_captions",
    "study_filmstrip",
    "study_pictures",
]
