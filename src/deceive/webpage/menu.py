"""What the page says about each network, and which it offers first."""

from collections.abc import Mapping

from deceive.storage.card import Card

_MOST = 5  # networks that the menu shows until a visitor asks for more

_DRAWS = 0.8  # the share of digits in which the judge sees what was asked for


def in_words(cards: Mapping[str, Card], judge: str | None) -> dict[str, tuple[str, str]]:
    """For each network its group in the menu, and what it is."""
    return {name: _words(name, card, judge) for name, card in cards.items()}


def _words(name: str, card: Card, judge: str | None) -> tuple[str, str]:
    if name == judge:
        return "ordinary", "the judge, which says what it sees in an image"
    if card.round is None:
        noise = card.rubbish_class is not None
        return (
            ("taught rubbish", "reads digits in noise")
            if noise
            else ("ordinary", "never taught rubbish")
        )
    times = f"taught rubbish {card.round:,} times" if card.round > 1 else "taught rubbish once"
    times = times if card.round > 0 else "before its first round"
    return "taught rubbish", times + (": resists" if card.ascent is None else "")


def menu(default: str, rounds: list[str], names: list[str]) -> list[str]:
    """The networks that the menu shows first: at most five, the default one before the others.

    >>> menu("fast", ["round-1", "round-100"], ["fast", "judge", "one", "round-1", "round-100"])
    ['fast', 'one', 'round-100', 'judge', 'round-1']
    """
    halfway = rounds[len(rounds) // 2 : len(rounds) // 2 + 1]
    wanted = [default, "resist", "one", *rounds[-1:], *halfway, "judge", *names]
    return [name for name in dict.fromkeys(wanted) if name in names][:_MOST]


def verdict(judged: list[int]) -> str:
    """What a network of the rounds does, by what the judge sees in its images of 0, 1, 2 and so on.

    >>> verdict([0, 1, 2, 3, 4]), verdict([8, 8, 2, 3, 8])
    (': draws', ': static deceives it')
    """
    right = sum(seen == digit for digit, seen in enumerate(judged)) / len(judged)
    return ": draws" if right >= _DRAWS else ": static deceives it"
