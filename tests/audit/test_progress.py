"""Progress goes to standard error, in plain lines where there is no terminal."""

import io
import sys

from sksoft.audit.progress import Progress, say


def test_plain_lines(capsys):
    progress = Progress()
    with progress.step("Thinking"):
        progress.update("half done")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[0].strip() == "half done"
    assert captured.err.splitlines()[1].split()[0] == "Thinking"


def test_quiet(capsys):
    progress = Progress(quiet=True)
    with progress.step("Thinking"):
        progress.update("half done")
    assert capsys.readouterr().err == ""


def test_on_a_terminal_without_rich(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    with Progress().step("Thinking"):
        pass
    assert "Thinking" in capsys.readouterr().err


def test_streams_that_cannot_say_everything():
    ascii_stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    say("a → b", ascii_stream)
    ascii_stream.seek(0)
    assert ascii_stream.read() == "a ? b\n"
    ascii_stream.close()
    say("nobody listens", ascii_stream)
