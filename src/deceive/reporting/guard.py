"""The page of a guarded classifier, made from its folder: card, arrays and the two audits."""

from pathlib import Path

from deceive.auditing.record.schema import read_report
from deceive.auditing.tables import Table
from deceive.guarding import graph
from deceive.guarding.again import audit_flags, command_of
from deceive.guarding.card import read_card
from deceive.guarding.caveats import amounts, caveats
from deceive.guarding.comparison import tables_of_both
from deceive.guarding.refused import load_refused
from deceive.guarding.rows import AUDITS, GUARD
from deceive.guarding.snippet import FILE, FUNCTION
from deceive.guarding.verdict import verdict
from deceive.reporting import guard_pictures
from deceive.reporting.audit import in_quotes, write_audit_page
from deceive.reporting.grids import Grid
from deceive.reporting.guard_pictures import Audited
from deceive.reporting.html import is_large, write_page
from deceive.storage.places import is_there
from deceive.storage.runs import Run
from deceive.storage.shipped import shipped_names


def write_guard_page(run: Run) -> Path:
    """Write the page of a guarded classifier, and those of its audits; return the page's path.

    Raises `InputError` when the run is of another kind, isn't fitted yet, or a file is damaged.
    """
    run = run.of(GUARD)
    card = read_card(run.folder)
    audited = {name: each for name in AUDITS if (each := _audited(run.folder / name)) is not None}
    reports = {name: each.report for name, each in audited.items()}
    before, after = reports.get("before"), reports.get("after")
    asked = before.threshold("asked") if before else None
    made = run.row(part="guarded") or {}
    both = (audited["before"], audited["after"]) if len(audited) == len(AUDITS) else None
    return write_page(
        run.folder / "report.html",
        "guard.html.jinja",
        card=card,
        verdict=verdict(card, before, after),
        audits={AUDITS[name]: f"{name}/report.html" for name in audited},
        notes=caveats(before, after),
        less=amounts(before, after) if before and after else "",
        tables=[_grid(each) for each in tables_of_both(before, after)] if before and after else [],
        large=is_large(card.image_shape),
        real=guard_pictures.real_images(*both, card.set.threshold) if both else [],
        asked=asked.confidence if asked else None,
        pairs=guard_pictures.same_attack(*both) if both else [],
        garbage=guard_pictures.surest_garbage(*both, card.set.threshold) if both else [],
        through=guard_pictures.through(both[1], card.set.threshold) if both else None,
        judged=bool(after and after.judges),
        refused=guard_pictures.refused_images(
            load_refused(run.folder, card), in_quotes(card.class_names)
        ),
        shipped=card.guard.source in shipped_names(),
        command=command_of(
            run.settings,
            data=made.get("data"),
            trust=card.reader.trust,
            audits=audit_flags(run.folder),
        ),
        environment=run.environment,
        folder=run.folder.as_posix(),
        snippet=(FILE, FUNCTION),
        onnx=graph.FILE if is_there(run.folder / graph.FILE) else None,
    )


def _audited(folder: Path) -> Audited | None:
    """An audit, with its page and `audit.json` written; None where there is none."""
    if not is_there(folder / "rows.jsonl"):
        return None
    run = Run.open(folder)
    write_audit_page(run)
    return Audited.of(run, read_report(folder / "audit.json"))


def _grid(table: Table) -> Grid:
    label, *columns = table.columns
    return Grid(label[:1].upper() + label[1:], ("", *columns), table.rows)
