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
    data: str | None = None
    """Where the images are, as it was given; earlier versions kept only a name, in the settings."""


class _Graph(RowSchema):
    reason: str


def _schemas(settings: Row, row: Row) -> Sequence[type[BaseModel]]:
    schemas: dict[object, list[type[BaseModel]]] = {"guarded": [_Guarded], "graph": [_Graph]}
    return schemas.get(row.get("part"), [])


GUARD = Kind("guard", "a guarded classifier", _Settings, _schemas)
"""A row says that the guard is fitted, another, if need be, why there is no ONNX file of it. The
audits have run folders of their own."""

AUDITS = {"before": "before the guard", "after": "behind the guard"}
"""The folders of the two audits in it, and what each is called."""
