"""Numbers as people read them."""

import math

import pytest

from sksoft.audit import formatting as f

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (f.number(0.12345), "0.1235"),
        (f.number(-0.00001), "0.0000"),
        (f.number(-0.5), "−0.5000"),
        (f.number(INF), "∞"),
        (f.number(-INF), "−∞"),
        (f.number(NAN), "–"),
        (f.number(None), "–"),
        (f.signed(0.5), "+0.5000"),
        (f.signed(-0.5), "−0.5000"),
        (f.signed(0.00001), "0.0000"),
        (f.signed(NAN), "–"),
        (f.percent(0.1234), "12.3%"),
        (f.percent(NAN), "–"),
        (f.count(1234567.0), "1,234,567"),
        (f.count(NAN), "–"),
        (f.p_value(0.0004), "< 0.001"),
        (f.p_value(0.0126), "0.013"),
        (f.equals_p(0.0001), "p < 0.001"),
        (f.equals_p(0.5), "p = 0.500"),
        (f.interval(0.1, 0.2, f.two_digits), "[0.10, 0.20]"),
        (f.interval(NAN, 0.2), "–"),
        (f.shortened("x" * 60, 5), "xxxx…"),
        (f.names(["a", "b"]), "“a”, “b”"),
        (f.names(range(6), 2), "“0”, “1” and 4 more"),
    ],
)
def test_form(found, expected):
    assert found == expected
