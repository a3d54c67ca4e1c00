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
    say("closed before the start", None)


def test_standard_error_is_closed(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with Progress().step("Thinking"):
        pass


def test_full_device_is_no_error():
    class Full(io.StringIO):
        def flush(self):
            raise OSError(28, "No space left on device")

    say("nobody listens", Full())
