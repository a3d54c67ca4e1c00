"""The choice of the largest scores; the rest of a head is tested where it is used, in test_attention."""

import numpy as np

from sksoft.functional.head import largest


def test_the_first_of_equal_scores_are_kept():
    z = np.array([[1.0, 3.0, 2.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(largest(z, 3), [[False, True, True, True, False], [True, True, True, False, False]])


def test_nan_is_kept_so_that_it_shows():
    z = np.array([[1.0, np.nan, 2.0, -np.inf, 0.0]])
    assert largest(z, 1)[0, 1]
    assert largest(z, 2)[0, 1]
