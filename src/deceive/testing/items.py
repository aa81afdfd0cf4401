"""The test items of `pytest --deceive MODEL`: one for each check of one audit."""

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from deceive.auditing import AuditReport, audit
from deceive.cli.declared import Declared
from deceive.common import checks
from deceive.common.errors import InputError
from deceive.reporting.exports.checks import KEYS, Check, checks_of
from deceive.testing.plugin import declared_fields


class Audit(pytest.Collector):
    """The audit, done once, when its first item runs."""

    def collect(self) -> Iterator["CheckItem"]:
        """An item for each check that any audit has."""
        if (most := self.config.getoption("deceive_max")) is not None:
            try:
                checks.half_open_interval("--deceive-max", most, 0, 1)
            except InputError as error:
                raise self.CollectError(str(error)) from error
        for key in KEYS:
            yield CheckItem.from_parent(self, name=key)

    @cached_property
    def outcome(self) -> AuditReport | InputError:
        """What the audit found, or why it couldn't be done."""
        option = self.config.getoption
        given: dict[str, Any] = self.config.hook.pytest_deceive_options(config=self.config) or {}
        try:
            given |= _options(option)
            report = audit(option("deceive"), option("deceive_data"), **given)
            if "out" in given:
                _write_page(given["out"])
        except InputError as error:
            return error
        return report


def _options(option: Callable[[str], Any]) -> dict[str, Any]:
    """The arguments of `audit` that options give. Raises `InputError` that begins with one."""
    given: dict[str, Any] = {}
    if (judge := option("deceive_judge")) is not None:
        given["judge"] = None if judge == ["none"] else judge
    if (budget := option("deceive_budget")) is not None:
        given["budget"] = None if budget == "none" else budget
    if (out := option("deceive_out")) is not None:
        given["out"] = Path(out)
    if (other := option("deceive_other_data")) is not None:
        given["other_data"] = other
    if option("deceive_trust"):
        given["trust"] = True
    values = {name: option(f"deceive_{name}") for name in declared_fields()}
    values = {name: value for name, value in values.items() if value is not None}
    if values:
        try:
            given["interface"] = Declared(**values).interface("")
        except InputError as error:
            said = str(error).removeprefix("--")
            raise InputError(f"--deceive-{said}") from error
    return given


class CheckItem(pytest.Item):
    """One check of the audit."""

    parent: Audit

    def runtest(self) -> None:
        """Fail or skip as the check does."""
        outcome = self.parent.outcome
        if isinstance(outcome, InputError):
            raise CheckError(str(outcome))
        limit = self.config.getoption("deceive_max")
        found = {each.key: each for each in checks_of(outcome, limit)}
        check = found.get(self.name, Check(self.name, self.name, "skipped", "not measured"))
        self.user_properties += check.figures.items()
        if check.status == "skipped":
            pytest.skip(check.reason)
        if check.status != "passed":
            figures = [f"  {name}: {value}" for name, value in check.figures.items()]
            raise CheckError("\n".join([check.reason, *figures]))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *args: Any) -> Any:
        """The reason alone, without a traceback."""
        if isinstance(excinfo.value, CheckError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, *args)

    def reportinfo(self) -> tuple[Path, None, str]:
        """What pytest calls it."""
        return self.path, None, self.nodeid


class CheckError(Exception):
    """A check that failed, with its figures."""


def _write_page(out: Path) -> None:
    from deceive.reporting.audit import write_audit_page
    from deceive.storage.runs import Run

    write_audit_page(Run.open(out))
