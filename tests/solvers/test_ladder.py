"""A ladder that goes from problem to problem keeps its rung and its metric."""

from dataclasses import dataclass

from sksoft.objective.preconditioning import Rung
from sksoft.solvers.ladder import EXPECTED_PRODUCTS, Ladder


@dataclass
class Curvature:
    amount: float


def rungs(names):
    return [Rung(lambda curvature, name=name: name, cost=1.0, entry=1.0, patience=4.0) for name in names]


def test_a_metric_is_built_again_when_products_beyond_the_expected_outweigh_it():
    ladder = Ladder(rungs("a"))
    ladder.metric(Curvature(1.0))
    ladder.charge(EXPECTED_PRODUCTS + 4, 1.0)
    ladder.metric(Curvature(1.0))
    assert ladder.builds == [0]
    ladder.charge(EXPECTED_PRODUCTS + 1, 1.0)
    ladder.metric(Curvature(1.0))
    assert ladder.builds == [0, 0]


def test_a_stale_metric_that_works_is_kept_and_one_that_does_not_is_built_again_soon():
    ladder = Ladder(rungs("a"))
    ladder.metric(Curvature(1.0))
    ladder.charge(EXPECTED_PRODUCTS, 1.0)
    ladder.metric(Curvature(2.0))
    assert ladder.builds == [0]
    ladder.charge(EXPECTED_PRODUCTS + 1, 1.0)
    ladder.metric(Curvature(2.0))
    assert ladder.builds == [0, 0]


def test_a_ladder_moved_on_keeps_metric_and_rung_until_they_are_stale():
    ladder = Ladder(rungs("ab"))
    assert ladder.metric(Curvature(1.0)) == "a"
    ladder.charge(2, 1.0)
    assert ladder.metric(Curvature(1.0)) == "b"
    moved = ladder.moved_to(rungs("AB"))
    assert moved.metric(Curvature(1.2)) == "b"
    moved.charge(EXPECTED_PRODUCTS + 1, 1.0)
    assert moved.metric(Curvature(2.0)) == "B"
    assert moved.builds == [0, 1, 1]
