"""What made a report, and nothing about who or where."""

import getpass
import os
import platform

from sksoft.audit.provenance import environment


def test_versions():
    made = environment()
    assert made["python"] == platform.python_version()
    assert all(made[name][0].isdigit() for name in ("numpy", "scipy", "scikit-learn", "pandas", "numba"))
    assert made["created"].endswith("UTC")


def test_no_names_or_places():
    said = " ".join(environment().values())
    for private in (platform.node(), getpass.getuser(), os.getcwd()):
        assert private not in said
