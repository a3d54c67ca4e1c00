"""Which part of each array a head uses, and where its gradient goes."""

import numpy as np
import pytest

from sksoft.functional.heads import Heads


def heads(queries, keys, **others):
    arrays = {"queries": np.zeros((*queries, 1, 1)), "keys": np.zeros((*keys, 1, 1))}
    arrays.update({name: np.zeros(shape) for name, shape in others.items()})
    return Heads({"queries": 2, "keys": 2, **dict.fromkeys(others, 0)}, arrays)


def test_leading_axes_are_broadcast():
    found = heads((2, 1), (3,), temperature=(3,))
    assert found.shape == (2, 3)
    assert [found.where("queries", h) for h in range(6)] == [(0, 0)] * 3 + [(1, 0)] * 3
    assert [found.where("keys", h) for h in range(6)] == [(0,), (1,), (2,)] * 2


def test_no_leading_axes_are_one_head():
    found = heads((), ())
    assert len(found) == 1
    assert found.part("queries", 0).shape == (1, 1)


def test_neighbouring_heads_of_queries_share_one_of_keys():
    found = heads((2, 4), (2, 2))
    assert [found.where("keys", h) for h in range(8)] == [(b, h // 2) for b in range(2) for h in range(4)]
    np.testing.assert_array_equal(found.added("keys", [np.ones((1, 1))] * 8), np.full((2, 2, 1, 1), 2.0))


def test_what_does_not_fit_is_an_error():
    with pytest.raises(ValueError, match="must divide"):
        heads((4,), (3,))
    with pytest.raises(ValueError, match="broadcastable together"):
        heads((4,), (5,))
    with pytest.raises(ValueError, match="at least one head"):
        heads((0,), (0,))
