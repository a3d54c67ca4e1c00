"""Files that are either the old ones or the new ones whole, never half of each."""

import os
import tempfile
from pathlib import Path

from sksoft.audit.table import UnusableInput, shown_path


def check_writable(paths: dict[str, Path], sources: list[Path]) -> None:
    """UnusableInput if an output cannot be written or would overwrite an input or another output.

    Parameters
    ----------
    paths : dict of option -> path
    sources : list of path
        Input files.
    """
    taken = {source.resolve(): "the input file" for source in sources}
    for option, path in paths.items():
        if path.is_dir():
            raise UnusableInput(f"{option} {shown_path(path)} is a directory, not a file.")
        if not path.parent.is_dir():
            raise UnusableInput(f"{option} {shown_path(path)}: there is no folder {shown_path(path.parent)}.")
        if not os.access(path.parent, os.W_OK):
            raise UnusableInput(
                f"{option} {shown_path(path)}: the folder {shown_path(path.parent)} cannot be written to."
            )
        other = taken.setdefault(path.resolve(), option)
        if other != option:
            raise UnusableInput(f"{option} {shown_path(path)} is also {other}.")


def write_atomically(path: Path, text: str) -> None:
    """Write UTF-8 text to a file beside `path`, then move it there in one step."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:50]}.", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode("utf-8", errors="replace"))
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())  # mkstemp makes files that only their owner reads
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
