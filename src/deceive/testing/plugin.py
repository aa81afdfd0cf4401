"""A plugin of pytest: `pytest --deceive MODEL` checks a model, and `deceive_audit` is a fixture.

pytest loads it wherever deceive is installed, so nothing heavy is imported before it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

import pytest

if TYPE_CHECKING:
    from deceive.auditing import AuditReport

_REPORTS = pytest.StashKey[list["AuditReport"]]()


class Hooks:
    """What a project's `conftest.py` may add."""

    @pytest.hookspec(firstresult=True)
    def pytest_deceive_options(self, config: pytest.Config) -> dict[str, Any] | None:
        """More arguments of `deceive.audit` for `pytest --deceive`, such as its settings."""


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare `pytest_deceive_options`."""
    pluginmanager.add_hookspecs(Hooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the flags."""
    group = parser.getgroup("deceive", "how sure a classifier is of garbage")
    add = group.addoption
    add("--deceive", metavar="MODEL", help="audit this model: package.module:factory, or a file")
    add("--deceive-data", metavar="DIR", help="real images of its classes; by default MNIST")
    add(
        "--deceive-max",
        metavar="RATE",
        type=float,
        help="fail if the gibberish rate at either threshold is greater",
    )
    add(
        "--deceive-budget",
        metavar="SECONDS",
        type=_seconds,
        help="the time that the audit may take; none: no limit",
    )
    add(
        "--deceive-judge",
        metavar="MODEL",
        action="append",
        help="a model that votes on what an image shows; give it once for each; none: no judges",
    )
    add("--deceive-out", metavar="DIR", help="keep the audit and its page in this folder")
    add("--deceive-other-data", metavar="DIR", help="images of other things: garbage to this model")
    add("--deceive-trust", action="store_true", help="open files that can run code when read")
    for name, hint in declared_fields().items():
        flag = name.replace("_", "-")
        add(f"--deceive-{flag}", help=f"as --{flag} of `deceive audit`", **_taking(hint))


def declared_fields() -> dict[str, Any]:
    """The types of what `deceive audit` lets its user declare of a model, by name."""
    from deceive.cli.declared import Declared

    hints = get_type_hints(Declared)
    return {name: hint for name, hint in hints.items() if not name.startswith("judge_")}


def _taking(hint: Any) -> dict[str, Any]:
    """How argparse reads values of a type: X, X | None, a tuple, or a literal."""
    if get_origin(hint) is Literal:
        return {"choices": get_args(hint)}
    kind = next((each for each in get_args(hint) if each is not NoneType), hint)
    if get_origin(kind) is not tuple:
        return {"type": kind}
    each, *others = get_args(kind)
    return {"type": each, "nargs": "+" if others == [...] else 1 + len(others)}


def _seconds(text: str) -> float | str:
    return text if text == "none" else float(text)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Add the audit to what the session has collected."""
    report = yield
    model = collector.config.getoption("deceive")
    if model is not None and isinstance(collector, pytest.Session) and report.passed:
        from deceive.testing.items import Audit

        report.result.append(Audit.from_parent(collector, name="deceive", nodeid="deceive"))
    return report


@pytest.fixture
def deceive_audit(request: pytest.FixtureRequest) -> Callable[..., AuditReport]:
    """A function that audits a model, with the arguments of `deceive.audit`.

    If the test fails, pytest shows what the audit found, in sentences.
    """

    def audited(model: Any, data: Any = None, **options: Any) -> AuditReport:
        import deceive

        report = deceive.audit(model, data, **options)
        request.node.stash.setdefault(_REPORTS, []).append(report)
        return report

    return audited


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the audits of a failed test."""
    report = yield
    if report.when == "call" and report.failed:
        for audit in item.stash.get(_REPORTS, []):
            from deceive.auditing.verdict import verdict

            said = "\n".join(verdict(audit))
            report.sections.append((f"deceive audit of {audit.model.name}", said))
    return report
