"""What made a report: versions, machine, time. No user name, host name or path."""

import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

import sksoft

PACKAGES = ("numpy", "scipy", "scikit-learn", "pandas", "numba")


def environment() -> dict[str, str]:
    """Time (UTC), versions and platform, in the order of the report."""
    made = {
        "created": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "sksoft": sksoft.__version__,
        "python": platform.python_version(),
    }
    return (
        made | {name: _version(name) for name in PACKAGES} | {"platform": f"{platform.system()} {platform.machine()}"}
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
