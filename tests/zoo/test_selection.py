"""Which models a device can hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from heartzoo import zoo
from heartzoo.errors import UserError
from heartzoo.zoo import index as zoo_index
from heartzoo.zoo.selection import Limits, select


def entries(tiny_zoo: Path, **costs: tuple[int, int, float]) -> list[zoo_index.IndexEntry]:
    """Name -> flash, arena, figure."""
    (one,) = zoo.read_index(tiny_zoo)
    return [
        one.model_copy(
            update={
                "name": name,
                "cost": one.cost.model_copy(update={"tflite_bytes": flash, "arena_bytes": arena}),
                "headline": one.headline.model_copy(update={"value": value}),
            }
        )
        for name, (flash, arena, value) in costs.items()
    ]


def test_what_fits_comes_best_first_and_the_nearest_misses_tell_what_they_exceed(tiny_zoo):
    models = entries(tiny_zoo, a=(100, 50, 0.7), b=(90, 60, 0.8), c=(101, 50, 0.9), d=(500, 500, 0.95))
    fits, misses = select(models, Limits(flash=100, arena=60))
    assert [entry.name for entry in fits] == ["b", "a"]
    assert [(miss.entry.name, miss.exceeded) for miss in misses] == [
        ("c", {"flash": (101, 100)}), ("d", {"flash": (500, 100), "arena": (500, 60)}),
    ]  # fmt: skip
    worst = entries(tiny_zoo, a=(400, 61, 0.7), b=(200, 50, 0.6))  # nearer by what each exceeds most
    assert [miss.entry.name for miss in select(worst, Limits(flash=100, arena=60))[1]] == ["b", "a"]
    assert [entry.name for entry in select(models, Limits(), sort="flash")[0]] == ["b", "a", "c", "d"]
    assert select(models, Limits(), task="beat-2") == ([], [])
    with pytest.raises(UserError, match="cannot sort by 'taste'"):
        select(models, Limits(), sort="taste")


def test_withdrawn_older_and_seen_patients_do_not_count(tiny_zoo):
    (one,) = entries(tiny_zoo, a=(100, 50, 0.7))
    newer = one.model_copy(update={"version": "1.10.0"})
    gone = one.model_copy(update={"version": "2.0.0", "withdrawn": "wrong"})
    seen = one.model_copy(update={"name": "b", "track": "random"})
    unmeasured = one.model_copy(update={"name": "c", "cost": one.cost.model_copy(update={"arena_bytes": None})})
    fits, misses = select([one, newer, gone, seen, unmeasured], Limits(arena=50))
    assert [entry.label for entry in fits] == ["a@1.10.0"]
    assert [(miss.entry.name, miss.exceeded) for miss in misses] == [("c", {"arena": (None, 50)})]
    _, misses = select([unmeasured, newer], Limits(arena=10))
    assert [miss.entry.name for miss in misses] == ["a", "c"]  # what was not measured is not the nearest
    assert [entry.name for entry in select([one, seen], Limits(), track="random")[0]] == ["b"]
