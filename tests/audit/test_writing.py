"""Files are whole or untouched."""

import os
import stat

import pytest

from sksoft.audit.table import UnusableInput
from sksoft.audit.writing import check_writable, write_all


def test_replaces_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    write_all({path: "nëw\ud800"})
    assert path.read_bytes() == "nëw?".encode()
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
def test_respects_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_all({tmp_path / "a": "x"})
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
        write_all({path: "new"})
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_links_to_one_file_are_seen(tmp_path):
    (tmp_path / "in.csv").write_text("x")
    with pytest.raises(UnusableInput, match="is also the input file"):
        check_writable({"--output": tmp_path / "." / "in.csv"}, [tmp_path / "in.csv"])
    check_writable({"--output": tmp_path / "out.html"}, [tmp_path / "in.csv"])


def test_a_later_failure_keeps_the_earlier_old(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    lost = tmp_path / "gone" / "b.txt"
    with pytest.raises(OSError, match="No such file") as caught:
        write_all({path: "new", lost: "new"})
    assert caught.value.filename == str(lost)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_link_is_followed(tmp_path):
    (tmp_path / "folder").mkdir()
    target, link = tmp_path / "folder" / "target", tmp_path / "link"
    target.write_text("old")
    try:
        link.symlink_to(target)
    except OSError:
        pytest.skip("links cannot be made here")
    check_writable({"--output": link}, [])
    write_all({link: "new"})
    assert link.is_symlink()
    assert target.read_text() == "new"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_what_is_no_file_is_written_to_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        check_writable({"--output": pipe}, [])
        write_all({pipe: "new"})
        assert os.read(reader, 10) == b"new"
        assert stat.S_ISFIFO(pipe.stat().st_mode)
    finally:
        os.close(reader)
