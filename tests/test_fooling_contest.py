"""The tables of the fooling contest, from rows with known answers."""

from benchmarks.contest import facts
from benchmarks.contests.fooling import table
from benchmarks.contests.fooling.plan import Plan, smaller
from benchmarks.contests.fooling.table import CONTESTS


def rows(contest, paces):
    """Rows of a contest with three repeats of 100 images: 99 fool, at each library's pace."""
    return [
        {
            "contest": contest,
            "library": library,
            "repeat": repeat,
            "images": 100,
            "fooled": 99,
            "seconds": 99 / pace,
            "image_steps": 500,
            "attack": "an attack",
            "step_size": 0.1,
            "steps": 20,
            "batch": 250,
        }
        for repeat in range(3)
        for library, pace in paces.items()
    ]


def made(*networks):
    paces = {"deceive": 800.0, "foolbox": 100.0, "torchattacks": 200.0}
    found = [row for contest in CONTESTS for row in rows(contest, paces)]
    found += rows("budget", {"deceive by default": 900.0})
    for name, factor in networks:
        found += rows(f"network {name}", paces | {"deceive": 200.0 * factor})
    plan = {"model": "fast", "confidence": 0.99, "steps": 100, "repeats": 3}
    return table({"facts": facts(), "plan": plan, "weights_sha256": "0" * 64, "rows": found})


def test_only_other_libraries_are_peers():
    """Not `fool` as it is by default, however fast it is."""
    assert made().count("**Against the fastest peer, torchattacks: 4 (4–4) ×.**") == len(CONTESTS)


def test_each_network_is_a_line_with_its_fastest_peer():
    lines = made(("study", 2), ("resist", 3)).splitlines()
    found = [line for line in lines if line.startswith(("| `fast`", "| `study`", "| `resist`"))]
    assert [line.rsplit("|", 2)[1].strip() for line in found] == ["4 (4–4)", "2 (2–2)", "3 (3–3)"]
    assert all("| torchattacks | 200 (200–200) | 99.0% | 5.0 |" in line for line in found)
    assert "**The median of the networks: 3 ×.**" in lines


def test_without_other_networks_there_is_no_such_table():
    assert "On each shipped network" not in made()


def test_a_smaller_contest_asks_for_no_budget_that_it_has_not():
    plan = smaller(Plan(steps=10), "judge")
    assert (plan.model, plan.count, plan.steps) == ("judge", plan.count_networks, 10)
    assert plan.short == (3, 5)
    assert plan.middle == ()
