"""Times on a CUDA device for ``cuda.py``: what the device takes, and what a caller waits for.

Device time is between two events. Calls return before the device is done, so that after one call alone the device would
wait for Python to start the next kernel; therefore copies that take longer than starting all calls of a sample are
started ahead, and the events stand behind them. Functions that wait for the device themselves (a fit, a metric that
returns a number) have times of the wall clock only.
"""

import time
from dataclasses import dataclass, field

import numpy as np

# Bytes of the copies that keep the device busy while calls are started.
AHEAD_BYTES = 1 << 28
# Seconds of a sample: as many calls as fit, and no more than the driver queues.
SAMPLE_SECONDS, MOST_CALLS, MOST_COPIES = 0.02, 50, 400


@dataclass
class Line:
    """One measured line: what ran, at which size, how long.

    Attributes
    ----------
    what, size : str
    device : float or None
        Seconds between events.
    wall : float or None
        Seconds of the wall clock for one call, until its result is there.
    moved : int or None
        Bytes read and written, for the bandwidth.
    error : float or None
        Largest difference from the same sums in float64.
    note : str
        What else is to be said; for a line that could not be measured, why.
    failed : bool
    """

    what: str
    size: str
    device: float | None = None
    wall: float | None = None
    moved: int | None = None
    error: float | None = None
    note: str = ""
    failed: bool = False


def failed(what, failure, size=""):
    """The line of what raised an exception."""
    return Line(what, size, note=f"{type(failure).__name__}: {' '.join(str(failure).split())[:160]}", failed=True)


@dataclass
class Clock:
    """Measures on the current device; in numba's simulator every function runs once and nothing is measured.

    Attributes
    ----------
    xp : module
        CuPy, or NumPy in the simulator.
    simulated : bool
    repeat : int
        Samples, of which the best counts.
    """

    xp: object
    simulated: bool
    repeat: int = 7
    _ahead: tuple = field(default=(), init=False)

    def wait(self):
        if not self.simulated:
            self.xp.cuda.get_current_stream().synchronize()

    def both(self, function):
        """Seconds of the device and of the wall clock for one call; its result."""
        result = function()
        if self.simulated:
            return None, None, result
        wall = self.wall(function)
        calls = int(np.clip(SAMPLE_SECONDS / wall, 1, MOST_CALLS))
        return min(self._sample(function, calls, wall) for _ in range(self.repeat)), wall, result

    def wall(self, function):
        """Best seconds of one call, the device's work included; None in the simulator."""
        function()
        if self.simulated:
            return None
        times = []
        for _ in range(self.repeat):
            self.wait()
            start = time.perf_counter()
            function()
            self.wait()
            times.append(time.perf_counter() - start)
        return min(times)

    def _sample(self, function, calls, wall):
        """Seconds of the device for a call, of several that were all started before the first one ran."""
        begin, end = self.xp.cuda.Event(), self.xp.cuda.Event()
        self.wait()
        self._keep_busy(2.0 * calls * wall + 1e-3)
        begin.record()
        for _ in range(calls):
            function()
        end.record()
        end.synchronize()
        return 1e-3 * self.xp.cuda.get_elapsed_time(begin, end) / calls

    def _keep_busy(self, seconds):
        if not self._ahead:
            source, target = (self.xp.zeros(AHEAD_BYTES, np.uint8) for _ in range(2))
            copier(self.xp, source, target)()
            self.wait()
            start = time.perf_counter()
            copier(self.xp, source, target)()
            self.wait()
            self._ahead = source, target, time.perf_counter() - start
        source, target, each = self._ahead
        for _ in range(min(int(seconds / each) + 1, MOST_COPIES)):
            copier(self.xp, source, target)()


def copier(xp, source, target):
    """The driver's own copy within the device; NumPy's in the simulator."""
    if xp is np:
        return lambda: np.copyto(target, source)
    stream = xp.cuda.get_current_stream()
    return lambda: target.data.copy_from_device_async(source.data, source.nbytes, stream)


def table(title, lines, copy_rate=None):
    """Print one row of Markdown a line, each when it is measured; returns the lines.

    "of copy" is against the measured copy, in bytes per second.
    """
    printed = []
    print(f"\n### {title}\n")
    print("| what | size | device, ms | call, ms | GB/s | of copy | largest error | note |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for line in lines:
        printed.append(line)
        seconds = line.device if line.device is not None else line.wall
        rate = line.moved / seconds if line.moved and seconds else None
        cells = [
            line.what,
            line.size,
            _cell(line.device, 1e3, ".3f"),
            _cell(line.wall, 1e3, ".3f"),
            _cell(rate, 1e-9, ".0f"),
            _cell(rate / copy_rate if rate and copy_rate else None, 100, ".0f", " %"),
            _cell(line.error, 1.0, ".1e"),
            line.note,
        ]
        print("| " + " | ".join(cells) + " |", flush=True)
    return printed


def _cell(value, factor, form, unit=""):
    return "" if value is None else f"{factor * value:{form}}{unit}"
