"""Files are whole or untouched."""

import os
import stat

import pytest

from sksoft.audit.table import UnusableInput
from sksoft.audit.writing import check_writable, write_atomically


def test_replaces_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    write_atomically(path, "nëw\ud800")
    assert path.read_bytes() == "nëw?".encode()
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
def test_respects_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_failure_keeps_the_old(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail(*names):
        raise OSError("no")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_links_to_one_file_are_seen(tmp_path):
    (tmp_path / "in.csv").write_text("x")
    with pytest.raises(UnusableInput, match="is also the input file"):
        check_writable({"--output": tmp_path / "." / "in.csv"}, [tmp_path / "in.csv"])
    check_writable({"--output": tmp_path / "out.html"}, [tmp_path / "in.csv"])
