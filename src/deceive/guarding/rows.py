"""The run folder of a guarded classifier: its settings and rows."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from deceive.auditing.models.interface import Interface
from deceive.guarding.settings import GuardSettings
from deceive.storage.kinds import Kind, Row, RowSchema


class _Settings(GuardSettings):
    model_config = ConfigDict(extra="ignore")

    model: str
    interface: Interface


class _Guarded(RowSchema):
    seconds: float


def _schemas(settings: Row, row: Row) -> Sequence[type[BaseModel]]:
    return [_Guarded] if row.get("part") == "guarded" else []


GUARD = Kind("guard", "a guarded classifier", _Settings, _schemas)
"""Its only row says that the guard is fitted; the audits have run folders of their own."""

AUDITS = {"before": "before the guard", "after": "behind the guard"}
"""The folders of the two audits in it, and what each is called."""
