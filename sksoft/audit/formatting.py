"""Numbers as people read them. Every function gives '–' for what is not known."""

import math

NOTHING = "–"


def _finite(value) -> bool:
    return value is not None and math.isfinite(value)


def number(value, digits: int = 4) -> str:
    """Fixed number of decimals; ∞ where infinite."""
    if value is not None and math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if not _finite(value):
        return NOTHING
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.removeprefix("-")
    return text.replace("-", "−")


def signed(value, digits: int = 4) -> str:
    """With a sign, also where positive."""
    text = number(value, digits)
    return text if not _finite(value) or text.startswith("−") or float(text) == 0 else f"+{text}"


def percent(value, digits: int = 1) -> str:
    """Share as a percentage."""
    return f"{number(100 * value, digits)}%" if _finite(value) else NOTHING


def whole_percent(value) -> str:
    """Percentage without decimals."""
    return percent(value, 0)


def one_digit(value) -> str:
    """One decimal."""
    return number(value, 1)


def two_digits(value) -> str:
    """Two decimals."""
    return number(value, 2)


def three_digits(value) -> str:
    """Three decimals."""
    return number(value, 3)


def count(value) -> str:
    """Whole number with commas between thousands."""
    return f"{round(value):,}" if _finite(value) else NOTHING


def p_value(value) -> str:
    """Three decimals, or '< 0.001'."""
    if not _finite(value):
        return NOTHING
    return "< 0.001" if value < 0.0005 else f"{value:.3f}"


def equals_p(value) -> str:
    """'p = 0.012' or 'p < 0.001'."""
    text = p_value(value)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def interval(low, high, show=number) -> str:
    """'[low, high]'."""
    return f"[{show(low)}, {show(high)}]" if _finite(low) and _finite(high) else NOTHING


def shortened(text: str, length: int = 48) -> str:
    """Cut to `length` characters."""
    return text if len(text) <= length else text[: length - 1] + "…"


def names(values, limit: int = 4) -> str:
    """The first few names, quoted, and how many more there are."""
    values = [f"“{shortened(str(value))}”" for value in values]
    more = f" and {count(len(values) - limit)} more" if len(values) > limit else ""
    return ", ".join(values[:limit]) + more
