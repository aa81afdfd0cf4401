"""Damage to command lines and to arguments of Python functions."""

from collections.abc import Sequence

from soak.mutations.raw import BYTES
from soak.mutations.values import FLOATS, INTEGERS, STRINGS, Random


def change_arguments(arguments: Sequence[str], rng: Random) -> list[str]:
    """Drop, double, swap or change words of a command line, or give flags odd values."""
    words = list(arguments)
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(words) + 1)
        kind = rng.randrange(7)
        if kind == 0 and words:
            del words[at - 1]
        elif kind == 1 and words:
            words.insert(at, words[rng.randrange(len(words))])
        elif kind == 2:
            words.insert(at, odd_word(rng))
        elif kind == 3 and words:
            first, second = rng.randrange(len(words)), rng.randrange(len(words))
            words[first], words[second] = words[second], words[first]
        elif words:
            words[at - 1] = odd_word(rng, words[at - 1])
    return words


def odd_word(rng: Random, instead_of: str = "") -> str:
    """An extreme number, odd text, or a damaged form of the word."""
    kind = rng.randrange(4)
    if kind == 0:
        return str(rng.choice(INTEGERS))
    if kind == 1:
        return rng.choice((*FLOATS, "1e5", "0x10", "1_000", "+1", "5" * 5000))
    if kind == 2 and instead_of:
        damaged = rng.choice(BYTES)(instead_of.encode("utf-8", "surrogatepass"), rng)
        return damaged.decode("utf-8", "surrogateescape")
    return rng.choice(STRINGS)


# fmt: off
EXPRESSIONS = (
    "None", "True", "False", "0", "-1", "1", "3", "10**12", "2**63", "-2**63 - 1", "2**64",
    "10**30", "0.5", "1.5", "-0.5", "float('nan')", "float('inf')", "-float('inf')", "1e308", "1j",
    "''", "'a'", "'0'", "'\\ud800'", "'a' * 100_000", "b'a'", "[]", "()", "{}", "set()", "[None]",
    "[1, 'a']", "[[1], [2, 3]]", "{'a': 1}", "range(3)", "range(0)", "range(10**12)", "object()",
    "int", "lambda *a, **k: None", "iter([1, 2])", "slice(3)", "Ellipsis", "Path('.')",
    "Path('/nowhere/at/all')", "np.nan", "np.int64(3)", "np.float32(0.5)", "np.zeros(3)",
    "np.zeros((2, 1, 8, 8))", "np.array('a')", "np.array([None])", "np.array(5)",
    "torch.zeros(())", "torch.zeros(3)", "torch.zeros(0, 1, 8, 8)",
    "torch.full((2, 1, 8, 8), torch.nan)", "torch.full((2, 1, 8, 8), 2.0)",
    "torch.zeros(2, 1, 8, 8).long()", "torch.zeros(2, 3, 5, 7)", "torch.zeros(2).bool()",
    "torch.tensor(3)", "torch.zeros(2, device='meta')", "torch.nn.Identity()",
    "torch.nn.Linear(64, 10)", "torch.float32", "torch.Generator()", "torch.device('cpu')",
)
# fmt: on
"""Python values as source text, so that failures can be saved; names: np, torch, Path."""


def change_call(arguments: dict[str, str], rng: Random) -> dict[str, str]:
    """Replace one to three arguments of a call; each is an expression."""
    changed = dict(arguments)
    for name in rng.sample(sorted(changed), min(len(changed), rng.choice((1, 1, 2, 3)))):
        changed[name] = rng.choice(EXPRESSIONS)
    return changed
