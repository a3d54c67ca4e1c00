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
        folder = path.resolve().parent
        if _is_special(path):
            if not os.access(path, os.W_OK):
                raise UnusableInput(f"{option} {shown_path(path)} cannot be written to.")
        elif not folder.is_dir():
            raise UnusableInput(f"{option} {shown_path(path)}: there is no folder {shown_path(folder)}.")
        elif not os.access(folder, os.W_OK):
            raise UnusableInput(f"{option} {shown_path(path)}: the folder {shown_path(folder)} cannot be written to.")
        other = taken.setdefault(path.resolve(), option)
        if other != option:
            raise UnusableInput(f"{option} {shown_path(path)} is also {other}.")


def write_all(texts: dict[Path, str]) -> None:
    """Write UTF-8 texts to files beside their paths; once all are written whole, move each there in one step.

    A link is followed. What is no regular file, such as ``/dev/stdout``, cannot be replaced and is written to at once.
    """
    staged: list[tuple[str, Path]] = []
    try:
        for path, text in texts.items():
            content = text.encode("utf-8", errors="replace")
            if _is_special(path):
                path.write_bytes(content)
            else:
                staged.append((_staged(path.resolve(), content), path.resolve()))
        while staged:
            os.replace(*staged[0])
            del staged[0]
    except BaseException:
        for name, _ in staged:
            Path(name).unlink(missing_ok=True)
        raise


def _staged(path: Path, content: bytes) -> str:
    """Name of a new file beside `path` that holds `content`."""
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:50]}.", suffix=".part")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error  # not the name of the file beside it
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())  # mkstemp makes files that only their owner reads
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return name


def _is_special(path: Path) -> bool:
    """A pipe, a terminal or another device."""
    return path.exists() and not path.is_file()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
