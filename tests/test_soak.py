"""A short campaign: every reader meets seeded damage, every kind of run is killed and resumed."""

import json
import random

import pytest
from soak import mutations

GOOD = json.dumps({"name": "a", "sizes": [1, 2, {"deep": None}], "share": 0.5}).encode()


@pytest.mark.parametrize("kinds", [mutations.BYTES, mutations.JSON, mutations.NPZ])
def test_the_same_seed_makes_the_same_damage_and_another_one_mostly_another(kinds):
    once, again = (
        [mutations.mutate(GOOD, random.Random(seed), kinds) for seed in range(200)]
        for _ in range(2)
    )
    assert once == again
    assert len(set(once)) > 150
    assert once.count(GOOD) < 20


def test_damaged_json_is_mostly_still_json_and_some_of_it_has_a_key_twice():
    damaged = [mutations.change_json(GOOD, random.Random(seed)) for seed in range(300)]
    pairs = []
    for each in damaged:
        try:
            json.loads(each, object_pairs_hook=lambda found: pairs.append(found) or dict(found))
        except RecursionError:
            continue
    assert any(len(dict(found)) < len(found) for found in pairs)
