"""Progress of long steps on standard error: a spinner on a terminal where rich is installed, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress


class Progress:
    """Names each step while it lasts and says how long it took.

    Parameters
    ----------
    quiet : bool
        Say nothing.
    """

    def __init__(self, quiet: bool = False):
        self.quiet = quiet
        self._status = None

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Open while the step lasts; steps do not nest."""
        started = time.perf_counter()
        with self._spinner(name) as self._status:
            yield
        if not self.quiet:
            say(f"  {name:<44} {time.perf_counter() - started:6.1f} s", sys.stderr)

    def update(self, text: str) -> None:
        """Say how far the step in progress has come."""
        if self.quiet:
            return
        if self._status is None:
            say(f"    {text}", sys.stderr)
        else:
            self._status.update(text)

    def _spinner(self, name: str):
        if self.quiet or sys.stderr is None or not sys.stderr.isatty():
            return nullcontext()
        try:
            from rich.console import Console
        except ImportError:
            return nullcontext()
        return Console(stderr=True).status(name)


def say(text: str, stream) -> None:
    """Print a line, with ``?`` for what the stream cannot encode; that nobody can listen is no error."""
    if stream is None:  # closed before this process began
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    with suppress(OSError, ValueError):
        print(text.encode(encoding, errors="replace").decode(encoding), file=stream, flush=True)
