"""What not to write, and what to write instead."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from tools.prose.passages import Passage


class Rule(NamedTuple):
    """A pattern, and what to write instead."""

    pattern: re.Pattern[str]
    instead: str


class Finding(NamedTuple):
    """Where a rule is broken."""

    line: int
    found: str
    instead: str


# Words, in small letters or capitals, on one line or two.
WORDS = {
    # No native reader expects them.
    r"who(?:so)?ever": "anyone who",
    r"nobody": "no one",
    r"had better": "should",
    r"(?:one|two|three|some|most|all|many|none|each|half) of which": "a new sentence",
    r"(?<=,) of which": "a new sentence",
    r"by means of which": "so, then, or a new sentence",
    r"as (?:they|it) comes?": "unchanged, or as read",
    r"owed to": "because of",
    r"much what": "about the same as",
    r"the like of|(?:its|their|his) like": "similar ones",
    r"(?:do|does|did) the like": "do the same",
    r"in place of": "instead of",
    r"(?:there|where|here)(?:of|upon|with|from|in|by)": "plain words",
    r"but for|save for": "except for, or apart from",
    r"anew": "again",
    r"lest": "so that … not",
    r"albeit": "although",
    r"amongst": "among",
    r"whilst": "while",
    r"amidst": "in",
    r"seldom(?:ly)?": "rarely",
    r"oft(?:times)?": "often",
    r"thrice": "three times",
    r"unto|upon": "on",
    r"ere": "before",
    r"be it": "whether",
    r"what for": "why",
    r"said to be one": "reported",
    r"taken for so": "assumed",
    r"none but": "only",
    r"nought|naught": "nothing, or 0",
    r"of late": "recently",
    r"rightly": "correctly",
    r"(?:has|have|had|was|were) begun": "started",
    r"goes? on with|gets? on(?=[.,;])": "continues, or makes progress",
    r"(?:say|says) of (?!the|which|course)\w+": "says about",
    # Padding.
    r"in order to(?= \w)": "to",
    r"due to the fact that": "because",
    r"prior to": "before",
    r"utili[sz]e[sd]?": "use",
    r"leverag(?:e|es|ed|ing)": "use",
    r"it should be noted that|it is worth noting that": "the fact alone",
    r"(?:is|are) able to": "can",
    r"in the event that": "if",
    # British spelling.
    r"colors?|colored|coloring": "colour",
    r"gray\w*": "grey",
    r"behavior\w*": "behaviour",
    r"(?-i:optimi|normali|initiali|generali|summari|organi|recogni|minimi|maximi)z\w+": "…is…",
    r"centers?|centered": "centre",
    r"labele[dr]|labeling|modele[dr]|modeling|canceled": "double l",
    r"analyz\w+": "analys…",
}

_VERB = "(?:am|is|are|was|were|do|does|did|has|have|had|can|could|will|would|may|might|must)"

# Beginnings of sentences in which the verb comes before its subject.
BEGINNINGS = {
    f"Neither {_VERB}(?! (?:we|I|you))": "the subject first",
    f"(?:Never|Nor|Seldom|Rarely|Hardly|Not once|Nowhere) {_VERB}": "the subject first",
    f"Only (?:then|when|here|there|now) {_VERB}": "the subject first",
    f"So {_VERB}(?! not)": "the subject first, and too",
    r"(?:Had|Were|Should) (?:it|they|he|she|this|that|the|an?|no|you)": "if",
    r"Be (?:it|they|that)": "whether",
}

LONGEST = 60
"""Words in a sentence."""

# What ends a sentence: a full stop, a blank line, or the next item, row or argument.
_END = re.compile(r"(?<=[.!?:])\s+(?=[^a-z\s])|\n\s*\n|\n\s*(?:[-*|#]|\d+\.|\w+:\s)")

_START = r"(?:(?<=[.!?:]\s)|(?<=\n\n)|(?<=- )|(?<=\| )|\A)"


def _spaced(pattern: str) -> str:
    """A pattern in which a space may be a line break."""
    return pattern.replace(" ", r"\s+")


RULES = [
    *(
        Rule(re.compile(rf"(?<![\w-]){_spaced(f'(?:{words})')}(?![\w-])", re.IGNORECASE), instead)
        for words, instead in WORDS.items()
    ),
    *(
        Rule(re.compile(rf"{_START}{_spaced(words)}\b"), instead)
        for words, instead in BEGINNINGS.items()
    ),
]


def findings(passage: Passage) -> Iterator[Finding]:
    """Where a passage breaks a rule."""
    for rule in RULES:
        for found in rule.pattern.finditer(passage.text):
            line = passage.line + passage.text[: found.start()].count("\n")
            yield Finding(line, " ".join(found[0].split()), rule.instead)
    yield from _long(passage)


def _long(passage: Passage) -> Iterator[Finding]:
    """The sentences that are too long, by their first words; tables have none."""
    start = 0
    for end in [*(found.end() for found in _END.finditer(passage.text)), len(passage.text)]:
        words = passage.text[start:end].split()
        if len(words) > LONGEST and "|" not in words:
            skipped = passage.text[start:end]
            at = start + len(skipped) - len(skipped.lstrip())
            line = passage.line + passage.text[:at].count("\n")
            yield Finding(line, f"{' '.join(words[:5])} …", f"shorter: it has {len(words)} words")
        start = end
