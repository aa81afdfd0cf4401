"""Settings are documented by their fields; their signature would only repeat them."""

from pydantic import BaseModel
from sphinx.application import Sphinx


def setup(app: Sphinx) -> None:
    """Leave out the signatures of settings."""
    app.connect("autodoc-process-signature", _short)


def _short(
    app: Sphinx, what: str, name: str, each: object, options: object, signature: str, returns: str
) -> tuple[str, str] | None:
    is_model = isinstance(each, type) and issubclass(each, BaseModel)
    return ("", "") if is_model else None
