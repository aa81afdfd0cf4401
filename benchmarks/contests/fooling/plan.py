"""How large the contest is."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Plan:
    """How large a contest is."""

    model: str = "fast"
    """The network to deceive: a shipped name or a file."""
    confidence: float = 0.99
    """Softmax probability of the target to reach."""
    steps: int = 100
    """The most steps an image may take, for every library."""
    count: int = 1000
    """Images in each repeat."""
    count_few: int = 200
    """Images in each repeat of the contest that explains the others."""
    count_tuning: int = 100
    """Images that a setting is tried on."""
    count_final: int = 500
    """Images that the best settings are tried on, in batches of several sizes."""
    repeats: int = 3
    """How often each contestant takes its turn."""
    short: tuple[int, ...] = (3, 5, 7, 10, 20)
    """Budgets that every attack and step size is tried with, besides the whole one."""
    middle: tuple[int, ...] = (30, 50, 70)
    """Budgets that the best of them are tried with."""
    finalists: int = 3
    """How many of the best settings for each fooling rate are tried on more images."""
    batches: tuple[int, ...] = (100, 250, 500)
    """Batch sizes that the best settings of all are tried with."""
    networks: tuple[str, ...] = ("study", "judge", "draw", "resist")
    """Other networks to deceive, in a smaller contest each (`smaller`)."""
    count_networks: int = 400
    """Images in each of their repeats."""


def smaller(plan: Plan, network: str) -> Plan:
    """The plan of the contest on another network: fewer settings, tried on fewer images."""
    return replace(
        plan,
        model=network,
        count=plan.count_networks,
        count_tuning=max(1, plan.count_networks // 20),
        count_final=max(1, plan.count_networks // 5),
        short=tuple(steps for steps in (3, 5, 10, 20) if steps < plan.steps),
        middle=tuple(steps for steps in (50,) if steps < plan.steps),
        finalists=2,
        batches=(),
    )


QUICK = Plan(
    steps=20,
    count=50,
    count_few=20,
    count_tuning=20,
    count_final=50,
    repeats=2,
    short=(5,),
    middle=(10,),
    finalists=1,
    batches=(25, 50),
    networks=("study",),
    count_networks=50,
)
