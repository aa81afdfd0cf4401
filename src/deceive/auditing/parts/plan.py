"""Everything that an audit does, the most valuable part first."""

from deceive.auditing.context import Context
from deceive.auditing.parts.attack import attack_parts
from deceive.auditing.parts.certificate import certificate_parts
from deceive.auditing.parts.clean import CleanPart
from deceive.auditing.parts.curve import curve_parts
from deceive.auditing.parts.garbage import OptimisedPart, garbage_parts
from deceive.auditing.parts.part import Part
from deceive.auditing.parts.resemblance import ResemblancePart
from deceive.auditing.parts.search import search_parts
from deceive.auditing.parts.transfer import transfer_parts


def parts_of(context: Context) -> list[Part]:
    """The parts of this audit; of a black box none follows a gradient."""
    along = []
    if context.subject.module is not None:
        along = [*attack_parts(context), *curve_parts(context)]
    return [
        CleanPart(),
        *garbage_parts(context),
        *along,
        *transfer_parts(context),
        *search_parts(context),
        ResemblancePart(),
        OptimisedPart(),
        *certificate_parts(context),
    ]
