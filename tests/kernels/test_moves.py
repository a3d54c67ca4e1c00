"""What a moved call moves, writes back and returns."""

import sys
from collections import namedtuple

import device_arrays
import numpy as np
import pytest

from sksoft.kernels.moves import call_elsewhere
from sksoft.kernels.placement import to_host

DeviceArray = device_arrays.DeviceArray


@pytest.fixture(autouse=True)
def cupy(monkeypatch):
    """Arrays of the stand-in are CuPy's."""
    monkeypatch.setattr(DeviceArray, "__module__", "cupy")
    monkeypatch.setitem(sys.modules, "cupy", device_arrays.cupy)


def to_stand_in(value):
    """Onto the device of the stand-in."""
    return value if isinstance(value, DeviceArray) else device_arrays.cupy.asarray(value)


@pytest.fixture
def moves():
    """``to_host``, and what it was asked for."""

    def move(value):
        move.seen.append(value)
        return to_host(value)

    move.seen = []
    return move


def test_results_are_where_the_first_argument_lives():
    first = DeviceArray(np.arange(3.0))
    array, number, (inner, name) = call_elsewhere(lambda x: (x + 1, 2.5, (x * 2, "name")), to_host, first)
    assert isinstance(array, DeviceArray)
    assert isinstance(inner, DeviceArray)
    assert (number, name) == (2.5, "name")
    np.testing.assert_array_equal(array.get(), [1.0, 2.0, 3.0])


def test_arrays_of_the_host_go_to_a_device_and_results_come_back():
    def function(first, second, *, third):
        assert all(isinstance(value, DeviceArray) for value in (first, second, third))
        return first + second * third

    ones = np.ones(2)
    found = call_elsewhere(function, to_stand_in, ones, (3 * ones,), {"third": 2 * ones}, writes=())
    assert type(found) is np.ndarray
    np.testing.assert_array_equal(found, [7.0, 7.0])


def test_an_array_that_is_there_twice_is_moved_once(moves):
    array = DeviceArray(np.zeros(2))
    call_elsewhere(lambda a, b, *, c: None, moves, array, ((array, array),), {"c": array}, writes=())
    assert len(moves.seen) == 1


def test_tuples_are_moved_with_their_names_and_anything_else_is_passed_on(moves):
    Pair = namedtuple("Pair", "left right")

    def function(first, pair, *, depth, labels):
        assert isinstance(pair, Pair)
        assert type(pair.left) is np.ndarray
        assert (pair.right, depth, labels) == (3, 2, ["a"])

    array = DeviceArray(np.zeros(2))
    call_elsewhere(function, moves, array, (Pair(array, 3),), {"depth": 2, "labels": ["a"]}, writes=())


@pytest.mark.parametrize("writes", [("out",), None], ids=["named", "not named"])
def test_what_is_written_is_the_callers_and_is_returned_as_itself(writes):
    def function(scores, *, out, factor):
        out[...] = factor * scores
        return out

    scores, out = DeviceArray(np.arange(3.0)), DeviceArray(np.zeros(3))
    factor = DeviceArray(np.full(3, 2.0))
    found = call_elsewhere(function, to_host, scores, (), {"out": out, "factor": factor}, writes=writes)
    assert found is out
    np.testing.assert_array_equal(out.get(), [0.0, 2.0, 4.0])


def test_what_is_not_written_is_not_moved_back():
    class Fixed(DeviceArray):
        def __setitem__(self, key, value):
            raise AssertionError("written")

    scores = DeviceArray(np.arange(3.0))
    call_elsewhere(lambda s, *, mask: None, to_host, scores, (), {"mask": Fixed(np.ones(3, bool))}, writes=("out",))


def test_an_output_may_be_the_input():
    def function(scores, *, out):
        out[...] = scores + 1
        return out

    scores = DeviceArray(np.zeros(2))
    assert call_elsewhere(function, to_host, scores, (), {"out": scores}) is scores
    np.testing.assert_array_equal(scores.get(), [1.0, 1.0])


def test_an_output_of_the_host_is_filled_from_a_device():
    def function(scores, *, out):
        out[...] = scores + 1
        return out

    scores, out = np.zeros(2), np.zeros(2)
    assert call_elsewhere(function, to_stand_in, scores, (), {"out": out}, writes=("out",)) is out
    np.testing.assert_array_equal(out, [1.0, 1.0])


def test_on_the_host_nothing_moves(moves):
    array, out = np.zeros(2), np.zeros(2)

    def function(first, *, out):
        assert first is array
        out[...] = 1.0
        return out

    assert call_elsewhere(function, moves, array, (), {"out": out}) is out
    np.testing.assert_array_equal(out, [1.0, 1.0])
