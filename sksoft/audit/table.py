"""Tables from files, as text or typed columns: delimited text (also gzipped) and Parquet.

Nothing is guessed about values here and nothing is unpickled. A file that cannot be read is an
:class:`UnusableInput` whose message is one line naming the file and the place. Data rows are numbered from 1, the
header not counted, as a reader of the file counts them.
"""

import codecs
import csv
import gzip
import hashlib
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DELIMITERS = ",;\t|"
GZIP_MAGIC, PARQUET_MAGIC = b"\x1f\x8b", b"PAR1"
ROWS_PER_REPORT = 200_000
SHOWN_LENGTH = 40


class UnusableInput(ValueError):
    """Input that no report can be made of; the message is one line for the person who passed it."""


@dataclass(frozen=True)
class Table:
    """Some columns of a file.

    Attributes
    ----------
    name : str
        File name without its folder.
    sha256 : str
        Of the bytes of the file, in hexadecimal.
    n_bytes : int
    n_rows : int
        Data rows, unreadable ones included.
    columns : dict of str -> sequence of length n_rows
        The columns chosen, in the order of the file: lists of str from text, arrays from Parquet.
    broken : dict of int -> str
        Rows (0-based) that do not have the shape of the header, and what is wrong with them. Their values are ''.
    """

    name: str
    sha256: str
    n_bytes: int
    n_rows: int
    columns: dict[str, Any]
    broken: dict[int, str] = field(default_factory=dict)


def shown(value) -> str:
    """A value as messages show it: quoted, on one line, not longer than 40 characters."""
    text = repr(str(value))
    return text if len(text) <= SHOWN_LENGTH else text[: SHOWN_LENGTH - 2] + "…'"


def shown_path(path: Path) -> str:
    """A path as messages show it: quoted, on one line, whole."""
    return repr(str(path))


def listed(values: Iterable, limit: int = 8) -> str:
    """The first few values as messages show them."""
    values = list(values)
    more = f", … ({len(values)} in all)" if len(values) > limit else ""
    return ", ".join(shown(v) for v in values[:limit]) + more


def read_table(
    path,
    choose: Callable[[list[str]], list[str]],
    *,
    delimiter: str | None = None,
    encoding: str | None = None,
    on_rows: Callable[[int], None] = lambda n_rows: None,
) -> Table:
    """Read the columns that `choose` picks from the header.

    Parameters
    ----------
    path : path-like
        A delimited text file with a header, possibly gzipped, or a Parquet file, told apart by their first bytes.
    choose : callable
        Takes the column names of the file, all different, and returns those wanted; may raise
        :class:`UnusableInput`.
    delimiter : str of length 1, optional
        By default the one of comma, semicolon, tab and bar that occurs most often in the header, outside
        quotation marks.
    encoding : str, optional
        By default UTF-8, or UTF-16 where the file begins with its byte order mark.
    on_rows : callable, optional
        Told the number of rows read so far, now and then.

    Returns
    -------
    table : Table

    Raises
    ------
    UnusableInput
        If the file cannot be opened, decoded or parsed, is empty, or names a column twice.
    ImportError
        For a Parquet file without pyarrow.
    """
    path = Path(path)
    if path.is_dir():
        raise UnusableInput(f"{shown_path(path)} is a directory, not a file.")
    try:
        if path.exists() and not path.is_file():
            raise UnusableInput("a pipe or device cannot be read twice, for hash and rows; save it as a file first.")
        digest, n_bytes, head = _fingerprint(path)
        if head.startswith(PARQUET_MAGIC):
            n_rows, columns = _read_parquet(path, choose)
            broken: dict[int, str] = {}
        else:
            source = _TextSource(path, encoding, gzipped=head.startswith(GZIP_MAGIC))
            n_rows, columns, broken = _read_text(source, choose, delimiter, on_rows)
    except FileNotFoundError as error:
        raise UnusableInput(f"{shown_path(path)}: no such file.") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UnusableInput(f"{shown_path(path)}: damaged gzip file ({error}).") from error
    except (OSError, UnusableInput) as error:
        reason = (error.strerror or error) if isinstance(error, OSError) else error
        raise UnusableInput(f"{shown_path(path)}: {reason}") from error
    return Table(path.name, digest, n_bytes, n_rows, columns, broken)


def _fingerprint(path: Path) -> tuple[str, int, bytes]:
    """SHA-256, size and first bytes."""
    digest, n_bytes, head = hashlib.sha256(), 0, b""
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            head = head or chunk[:4]
            digest.update(chunk)
            n_bytes += len(chunk)
    return digest.hexdigest(), n_bytes, head


def check_distinct(names: list[str]) -> None:
    """UnusableInput for a name used twice; columns without a name, which trailing commas make, cannot be asked for."""
    seen: set[str] = set()
    for name in filter(None, names):
        if name in seen:
            raise UnusableInput(f"the header has more than one column named {shown(name)}.")
        seen.add(name)


# --- Parquet ---------------------------------------------------------------------------------------------------


def _read_parquet(path: Path, choose) -> tuple[int, dict]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ImportError('reading Parquet needs pyarrow: pip install "sksoft[audit]"') from error
    try:
        with pq.ParquetFile(path) as file:
            names = [str(name) for name in file.schema_arrow.names]
            check_distinct(names)
            wanted = choose(names)
            table = file.read(columns=wanted)
        # Whole numbers stay whole beside missing values: as floats, long identifiers would merge.
        columns = {name: table.column(name).to_pandas(integer_object_nulls=True).to_numpy() for name in wanted}
    except pa.ArrowException as error:
        raise UnusableInput(f"not a readable Parquet file ({_one_line(error)}).") from error
    return table.num_rows, columns


# --- delimited text --------------------------------------------------------------------------------------------


class _TextSource:
    """Lines of a text file, decoded strictly, with the place of a byte that cannot be."""

    def __init__(self, path: Path, encoding: str | None, gzipped: bool):
        self.path, self.gzipped = path, gzipped
        with self._open() as file:
            start = file.read(4)
        self.encoding = encoding or _encoding_by_mark(start)
        try:
            "".encode(self.encoding)  # also refuses codecs that are not of text, which lookup() would accept
        except LookupError as error:
            raise UnusableInput(f"unknown encoding {shown(self.encoding)}.") from error

    def _open(self):
        return gzip.open(self.path, "rb") if self.gzipped else self.path.open("rb")

    def lines(self) -> Iterator[str]:
        with self._open() as file:
            try:
                yield from _whole_lines(file, codecs.getincrementaldecoder(self.encoding)("strict"))
            except UnicodeError as error:
                raise self._explained(error) from error

    def _explained(self, error: UnicodeError) -> UnusableInput:
        """Find the line again: the streaming decoder reports positions within its buffer."""
        hint = "pass --encoding, for example --encoding cp1252"
        if self.encoding.startswith("utf-8"):
            with self._open() as file:
                for number, line in enumerate(file, start=1):
                    try:
                        line.decode("utf-8")
                    except UnicodeDecodeError as found:
                        byte = line[found.start]
                        return UnusableInput(
                            f"line {number} is not {self.encoding.upper().removesuffix('-SIG')}: byte 0x{byte:02x} "
                            f"at position {found.start + 1}; {hint}."
                        )
        return UnusableInput(f"the text is not valid {self.encoding} ({_one_line(error)}); {hint}.")


def _whole_lines(file, decoder) -> Iterator[str]:
    """Lines with their ends kept, for the csv module; only LF ends a line here, unlike in str.splitlines.

    The decoder is told when the file ends: a stream reader would drop a character that is cut off there.
    """
    rest, ended = "", False
    while not ended:
        chunk = file.read(1 << 16)
        ended = not chunk
        pieces = (rest + decoder.decode(chunk, final=ended)).split("\n")
        rest = pieces.pop()
        for piece in pieces:
            yield piece + "\n"
    if rest:
        yield rest


def _encoding_by_mark(start: bytes) -> str:
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return "utf-8-sig"


def _read_text(source: _TextSource, choose, delimiter, on_rows) -> tuple[int, dict, dict]:
    lines = source.lines()
    first = next((line for line in lines if line.strip("\r\n")), None)
    if first is None:
        raise UnusableInput("the file is empty.")
    if "\0" in first:
        raise UnusableInput(
            "line 1 holds the character NUL, as text in UTF-16 does; pass --encoding, for example --encoding utf-16-le."
        )
    delimiter = "\t" if delimiter == "\\t" else delimiter or max(DELIMITERS, key=re.sub('"[^"]*"', "", first).count)
    if len(delimiter) != 1:
        raise UnusableInput(f"the delimiter must be one character, not {shown(delimiter)}.")
    records = csv.reader(_chained(first, lines), delimiter=delimiter, strict=True)
    try:
        header = [name.strip() for name in next(records)]
        check_distinct(header)
        wanted = choose(header)
        return _collect(records, header, wanted, on_rows)
    except csv.Error as error:
        reason = _one_line(error)
        if reason == "unexpected end of data":
            reason = "a quotation mark is opened and not closed"
        elif reason.startswith("new-line character"):
            reason = "a carriage return does not end a line; save the file with LF or CRLF"
        raise UnusableInput(f"line {records.line_num}: {reason} (delimiter {shown(delimiter)}).") from error


def _chained(first: str, lines: Iterator[str]) -> Iterator[str]:
    yield first
    yield from lines


def _collect(records, header, wanted, on_rows) -> tuple[int, dict, dict]:
    """Columns of the chosen names. A blank line at the end is nothing; elsewhere it is a broken row."""
    positions = [header.index(name) for name in wanted]
    width, empty = len(header), [""] * len(header)
    stores: list[list[str]] = [[] for _ in wanted]
    broken: dict[int, str] = {}
    n_rows = n_blank = 0
    for record in records:
        if not record:
            n_blank += 1
            continue
        for _ in range(n_blank):
            broken[n_rows] = "the line is blank"
            n_rows += 1
            for store in stores:
                store.append("")
        n_blank = 0
        if len(record) != width:
            broken[n_rows] = f"it has {len(record)} fields and the header {width}"
            record = empty
        for store, position in zip(stores, positions):
            store.append(record[position])
        n_rows += 1
        if n_rows % ROWS_PER_REPORT == 0:
            on_rows(n_rows)
    return n_rows, dict(zip(wanted, stores)), broken


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")[:200]
