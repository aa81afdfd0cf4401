"""Audits of earlier schema versions, as the current one has them."""

from collections.abc import Callable
from typing import Any

Content = dict[str, Any]
"""What an `audit.json` holds."""


def _from_2(content: Content) -> Content:
    judges, model = content.get("judges"), content.get("model")
    if isinstance(judges, list):
        unknown = dict.fromkeys(("accuracy", "bounds", "mean", "std"))
        judges = [{"name": name} | unknown for name in judges]
    if isinstance(model, dict):
        # That version took log-probabilities for logits.
        kind = "probabilities" if model.get("gives_probabilities") else "logits"
        model = {name: value for name, value in model.items() if name != "gives_probabilities"}
        model |= {"output": None, "answers": kind}
    return content | {"warnings": [], "judges": judges, "model": model}


def _from_3(content: Content) -> Content:
    data = content.get("data")
    if isinstance(data, dict) and isinstance(count := data.get("n_classes"), int):
        # Classes had no names. The slice keeps a damaged file from asking for millions.
        data = data | {"class_names": [str(number) for number in range(count)[:MOST_CLASSES]]}
    if isinstance(model := content.get("model"), dict):
        content = content | {"model": model | {"prepared": ""}}
    # Nothing was planned.
    planned: Content = {"planned": content.get("settings"), "reductions": []}
    later: Content = {"limits": [], "advice": None, "resemblance": None}
    return content | {"data": data} | later | planned


MOST_CLASSES = 1_000_000
"""More classes than any data set has."""

_STEPS: dict[int, Callable[[Content], Content]] = {2: _from_2, 3: _from_3}

EARLIER = tuple(_STEPS)
"""The earlier versions that can be read. Fields they lack get a value for "not measured"."""


def upgraded(content: Content, version: int) -> Content:
    """The content of an audit of an earlier version, as the current version has it.

    >>> upgraded({"data": {"n_classes": 2}}, 3)
    {'data': {'n_classes': 2, 'class_names': ['0', '1']}, 'limits': [], 'advice': None, ...}
    """
    while version in _STEPS:
        content, version = _STEPS[version](content), version + 1
    return content | {"schema_version": version}
