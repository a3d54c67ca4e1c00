"""From a table to what is audited: labels, probabilities, groups and weights, and the rows that cannot be used.

Which class a probability column stands for is what remains of its name after the literal beginning (and end) of the
glob: ``p_*`` gives column ``p_yes`` the class ``yes``; in a list of names, after what they share up to a separator.
Labels are compared as text, then as numbers (``1`` is ``1.0``) and truth values (``True`` is ``true``).
"""

import csv
import fnmatch
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from sksoft.audit.exclusions import Exclusions, exclusion_shares
from sksoft.audit.table import Table, UnusableInput, listed, read_table, shown
from sksoft.functional import softmax
from sksoft.metrics.predictions import HEAVIEST, LIGHTEST, ROW_SUM_TOLERANCE

MISSING = "(missing)"
MISSING_TEXTS = ("", "nan", "NaN")
NAMED_BAD_ROWS = 3


@dataclass(frozen=True)
class Request:
    """Which columns of a file mean what; the options of the command of the same names.

    `proba` is a glob or a comma-separated list; `group` and `labels` are comma-separated lists. A name with a comma
    is quoted as in CSV.
    """

    y: str
    proba: str
    group: str = ""
    weight: str | None = None
    labels: str | None = None
    pos_label: str | None = None
    logits: bool = False
    bad_rows: str = "stop"
    delimiter: str | None = None
    encoding: str | None = None


@dataclass(frozen=True)
class AuditInput:
    """What is audited: arguments of :func:`sksoft.audit.audit`, and where they come from.

    `proba` is (n, K), or (n,) for the positive class, `labels` the classes of its columns (of one column, the
    negative and the positive class).
    """

    y_true: np.ndarray
    y_proba: np.ndarray
    labels: list[str]
    pos_label: str | None
    sensitive_features: pd.DataFrame | None
    sample_weight: np.ndarray | None
    exclusions: Exclusions
    table: Table


@dataclass
class _BadRows:
    """The first problem of every row that has one."""

    n_rows: int
    first: dict[int, tuple[str, str, str, str]] = field(default_factory=dict)

    def add(self, bad: np.ndarray, column: str, reason: str, value: Callable[[int], Any], said: str | None = None):
        """Note `reason` for the rows where `bad`; `said` is how a message puts it, '{}' standing for the value."""
        for row in np.flatnonzero(bad).tolist():
            if row not in self.first:
                text = shown(value(row))
                self.first[row] = (column, reason, text, (said or reason + ": {}").format(text))

    def mask(self) -> np.ndarray:
        mask = np.zeros(self.n_rows, dtype=bool)
        mask[list(self.first)] = True
        return mask

    def frame(self) -> pd.DataFrame:
        rows = [(row + 1, column, reason, value) for row, (column, reason, value, _) in sorted(self.first.items())]
        return pd.DataFrame(rows, columns=["row", "column", "reason", "value"])

    def message(self) -> str:
        parts = [
            f"row {row + 1}" + (f", column {shown(column)}" if column else "") + f": {said}"
            for row, (column, _, _, said) in sorted(self.first.items())[:NAMED_BAD_ROWS]
        ]
        more = len(self.first) - len(parts)
        return (
            f"{len(self.first)} of {self.n_rows} rows cannot be used: "
            + "; ".join(parts)
            + (f"; and {more} more" if more else "")
            + " (--bad-rows exclude leaves such rows out)."
        )


def load_predictions(path, request: Request, *, on_rows: Callable[[int], None] = lambda n: None) -> AuditInput:
    """Read and check a file of predictions.

    Parameters
    ----------
    path : path-like
    request : Request
    on_rows : callable, optional
        Told the number of rows read so far.

    Returns
    -------
    audit_input : AuditInput

    Raises
    ------
    UnusableInput
        Naming file, column, row and value of what cannot be used.
    """
    chosen: dict[str, Any] = {}

    def choose(header: list[str]) -> list[str]:
        chosen.update(_choose_columns(header, request))
        return list(dict.fromkeys([request.y, *chosen["proba"], *chosen["group"], *chosen["weight"]]))

    table = read_table(path, choose, delimiter=request.delimiter, encoding=request.encoding, on_rows=on_rows)
    try:
        return _checked(table, request, **chosen)
    except UnusableInput as error:
        raise UnusableInput(f"{shown(table.name)}: {error}") from error


def split_list(text: str, option: str) -> list[str]:
    """Items of a comma-separated list, quoted as in CSV where they hold a comma."""
    try:
        items = [item.strip() for item in next(csv.reader([text], skipinitialspace=True, strict=True), [])]
    except csv.Error as error:
        raise UnusableInput(f"{option} {shown(text)}: {error}.") from error
    if not items or "" in items:
        raise UnusableInput(f"{option} {shown(text)} has an empty item.")
    doubled = sorted({item for item in items if items.count(item) > 1})
    if doubled:
        raise UnusableInput(f"{option} {shown(text)} names {listed(doubled)} more than once.")
    return items


def _choose_columns(header: list[str], request: Request) -> dict[str, Any]:
    groups = split_list(request.group, "--group") if request.group else []
    weight = [request.weight] if request.weight is not None else []
    for option, names in (("--y", [request.y]), ("--group", groups), ("--weight", weight)):
        for name in names:
            if not name or name not in header:
                raise UnusableInput(f"there is no column {shown(name)} ({option}); the columns are {listed(header)}.")
    taken = {request.y, *groups, *weight}
    proba, names = _proba_columns(header, request.proba, taken)
    for option, columns in (("--y", [request.y]), ("--group", groups), ("--weight", weight)):
        both = [name for name in columns if name in proba]
        if both:
            raise UnusableInput(f"column {shown(both[0])} is named by --proba and by {option}.")
    return {"proba": proba, "names": names, "group": groups, "weight": weight}


def _proba_columns(header: list[str], pattern: str, taken: set[str]) -> tuple[list[str], list[str]]:
    """Probability columns and the class that the name of each stands for."""
    if pattern in header:
        return [pattern], [pattern]
    if re.search(r"[*?\[]", pattern) and "," not in pattern:
        columns = [name for name in header if name not in taken and fnmatch.fnmatchcase(name, pattern)]
        if not columns:
            raise UnusableInput(f"no column matches --proba {shown(pattern)}; the columns are {listed(header)}.")
        before, after = re.split(r"[*?\[]", pattern)[0], re.split(r"[*?\]]", pattern)[-1]
        return columns, [name[len(before) : len(name) - len(after)] for name in columns]
    columns = split_list(pattern, "--proba")
    for name in columns:
        if name not in header:
            raise UnusableInput(f"there is no column {shown(name)} (--proba); the columns are {listed(header)}.")
    start = _shared_beginning(columns) if len(columns) > 1 else 0
    return columns, [name[start:] for name in columns]


def _shared_beginning(names: list[str]) -> int:
    """Length of what all names begin with, up to and with its last separator."""
    first, last = min(names), max(names)
    same = next((i for i, (a, b) in enumerate(zip(first, last)) if a != b), min(len(first), len(last)))
    return max(first[:same].rfind(mark) for mark in "_-.: ") + 1


def _checked(table: Table, request: Request, proba, names, group, weight) -> AuditInput:
    if table.n_rows == 0:
        raise UnusableInput("the file has a header and no data rows.")
    bad = _BadRows(table.n_rows)
    for row, what in table.broken.items():
        bad.add(_only(row, table.n_rows), "", "not of the header's shape", lambda _: "", said=what)
    scores = _scores(table, proba, request, bad)
    labels, codes, pos_label = _encode(table, request, names, bad)
    weights = _weights(table, weight, bad)
    features = pd.DataFrame({name: groups_as_text(table.columns[name]) for name in group}) if group else None
    excluded = bad.mask()
    if excluded.any() and request.bad_rows == "stop":
        raise UnusableInput(bad.message())
    kept = ~excluded
    _check_enough(codes[kept], labels, request.y, None if weights is None else weights[kept])
    by_group = exclusion_shares(features if features is not None else pd.DataFrame(), excluded)
    return AuditInput(
        y_true=np.array(labels, dtype=object)[codes[kept]],
        y_proba=scores[kept],
        labels=labels,
        pos_label=pos_label,
        sensitive_features=None if features is None else features[kept].reset_index(drop=True),
        sample_weight=None if weights is None else weights[kept],
        exclusions=Exclusions(table.n_rows, bad.frame(), by_group),
        table=table,
    )


def _only(row: int, n_rows: int) -> np.ndarray:
    mask = np.zeros(n_rows, dtype=bool)
    mask[row] = True
    return mask


def _check_enough(codes, labels, y: str, weights):
    if len(codes) < 2:
        rows = "is 1 usable row" if len(codes) else "are no usable rows"
        raise UnusableInput(f"there {rows} where at least 2 are needed.")
    if weights is not None:
        if not weights.any():
            raise UnusableInput("all weights are zero.")
        codes = codes[weights > 0]
    present = np.unique(codes)
    if len(present) == 1:
        raise UnusableInput(
            f"column {shown(y)} shows one class only, {shown(labels[present[0]])}: "
            "neither calibration nor decision rates can be judged."
        )


# --- values ----------------------------------------------------------------------------------------------------


def as_numbers(column) -> tuple[np.ndarray, np.ndarray]:
    """Values (n,) float64 and which of them are no numbers at all (their value is NaN)."""
    if isinstance(column, np.ndarray) and column.dtype.kind in "biuf":
        return column.astype(np.float64), np.zeros(len(column), dtype=bool)
    values, wrong = np.full(len(column), np.nan), np.zeros(len(column), dtype=bool)
    if isinstance(column, np.ndarray) and column.dtype.kind in "mM":  # float() would count nanoseconds
        return values, ~wrong
    for row, cell in enumerate(column):
        try:
            values[row] = np.nan if cell is None else _number(cell, float)
        except (TypeError, ValueError):
            wrong[row] = True
    return values, wrong


def _number(cell, kind):
    """``kind(cell)``; ValueError also for ``1_000``, which Python takes for a number."""
    if isinstance(cell, str) and "_" in cell:
        raise ValueError(cell)
    return kind(cell)


def as_text(column) -> list[str]:
    """Cells as text without surrounding blanks; '' where there is nothing."""
    if isinstance(column, np.ndarray) and column.dtype.kind in "biu":
        return [str(cell) for cell in column.tolist()]
    return ["" if _is_nothing(cell) else str(cell).strip() for cell in column]


def _is_nothing(cell) -> bool:
    if isinstance(cell, np.datetime64 | np.timedelta64):
        return bool(np.isnat(cell))
    return cell is None or cell is pd.NA or cell is pd.NaT or (isinstance(cell, float) and cell != cell)


def groups_as_text(column) -> np.ndarray:
    """Groups (n,) as text; cells that are empty or NaN form a group of their own."""
    return np.array([MISSING if cell in MISSING_TEXTS else cell for cell in as_text(column)], dtype=object)


def _scores(table: Table, proba: list[str], request: Request, bad: _BadRows) -> np.ndarray:
    """Probabilities (n, K), or (n,) of one column; bad rows are noted."""
    scores = np.empty((table.n_rows, len(proba)))
    for position, name in enumerate(proba):
        column = table.columns[name]
        values, wrong = as_numbers(column)
        cell = column.__getitem__
        blank = np.zeros(table.n_rows, dtype=bool)
        doubtful = np.flatnonzero(wrong | np.isnan(values))
        blank[doubtful] = [text == "" for text in as_text([column[row] for row in doubtful])]
        bad.add(blank, name, "no value", cell, said="there is no value")
        bad.add(wrong & ~blank, name, "not a number", cell, said="{} is not a number")
        bad.add(np.isnan(values) & ~wrong, name, "NaN", cell, said="the value is NaN")
        bad.add(np.isinf(values), name, "infinite", cell, said="{} is not finite")
        if not request.logits:
            bad.add(values < 0, name, "negative probability", cell, said="{} is negative")
            if len(proba) == 1:
                bad.add(values > 1, name, "probability above 1", cell, said="{} is above 1")
        scores[:, position] = values
    if request.logits:
        return _probabilities(scores)
    if len(proba) == 1:
        return scores[:, 0]
    with np.errstate(invalid="ignore", over="ignore"):  # rows with infinities are noted above
        totals = scores.sum(axis=1)
    wrong_sum = np.abs(totals - 1) > ROW_SUM_TOLERANCE
    columns = request.proba if len(request.proba) <= 30 else f"{len(proba)} columns"
    bad.add(
        wrong_sum, columns, "row does not sum to 1", lambda row: f"{totals[row]:.6g}", said="the row sums to {}, not 1"
    )
    return scores


def _probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax of the rows; of one column z, the second probability of (0, z). Bad rows become uniform."""
    logits = np.where(np.isfinite(logits), logits, 0.0)
    if logits.shape[1] == 1:
        return softmax(np.column_stack([np.zeros(len(logits)), logits]))[:, 1]
    return softmax(logits)


def _weights(table: Table, weight: list[str], bad: _BadRows) -> np.ndarray | None:
    if not weight:
        return None
    (name,) = weight
    values, wrong = as_numbers(table.columns[name])
    cell = table.columns[name].__getitem__
    bad.add(wrong, name, "weight is not a number", cell, said="the weight {} is not a number")
    bad.add(~np.isfinite(values) & ~wrong, name, "weight is not finite", cell, said="the weight {} is not finite")
    bad.add(values < 0, name, "negative weight", cell, said="the weight {} is negative")
    extreme = (values > HEAVIEST) | ((values > 0) & (values < LIGHTEST))
    bad.add(extreme, name, "weight out of range", cell, said=f"the weight {{}} is not in [{LIGHTEST:g}, {HEAVIEST:g}]")
    return values


# --- labels ----------------------------------------------------------------------------------------------------


def _encode(
    table: Table, request: Request, names: list[str], bad: _BadRows
) -> tuple[list[str], np.ndarray, str | None]:
    """Classes, the position of every row's label in them (-1 in bad rows), and the positive class of two."""
    texts = as_text(table.columns[request.y])
    column = pd.Series(texts, dtype=object)
    cell = texts.__getitem__
    missing = column.isin(MISSING_TEXTS).to_numpy()
    bad.add(missing, request.y, "no label", cell, said="there is no label")
    seen = column[~missing & ~bad.mask()].unique().tolist()
    labels = split_list(request.labels, "--labels") if request.labels else None
    pos_label: str | None
    if len(names) == 1:
        labels, pos_label = _two_classes(seen, labels, names[0], request, bad)
    else:
        labels, pos_label = _named_classes(names, labels, request)
    position = match_labels(seen, labels)
    codes = column.map(position).fillna(-1).to_numpy(dtype=np.intp)
    unknown = (codes < 0) & ~missing
    known = f"{{}} is not one of the classes {listed(labels).replace('{', '{{').replace('}', '}}')}"
    bad.add(unknown, request.y, "unknown label", cell, said=known)
    if len(seen) and (codes < 0).all():
        raise UnusableInput(
            f"no label of column {shown(request.y)} ({listed(sorted(seen), 4)}) is a class of the probability columns "
            f"({listed(labels, 4)}); --labels names the class of each."
        )
    return labels, codes, pos_label


def _named_classes(names: list[str], labels: list[str] | None, request: Request) -> tuple[list[str], str | None]:
    if labels is not None and len(labels) != len(names):
        raise UnusableInput(f"--labels names {len(labels)} classes and --proba {len(names)} columns.")
    labels = labels or names
    if len({canonical(label) for label in labels}) < len(labels):
        raise UnusableInput(f"the classes {listed(labels)} are not all different.")
    if request.pos_label is None:
        return labels, usual_positive(labels)
    position = match_labels([request.pos_label], labels)
    if not position:
        raise UnusableInput(f"--pos-label {shown(request.pos_label)} is not one of the classes {listed(labels)}.")
    return labels, labels[position[request.pos_label]]


def _two_classes(
    seen: list[str], labels: list[str] | None, name: str, request: Request, bad: _BadRows
) -> tuple[list[str], str]:
    """The negative and the positive class of a single probability column."""
    # Of a label written in several ways, as in 1 and 1.0, one stands for all.
    known = labels or sorted({canonical(label): label for label in sorted(seen, reverse=True)}.values())
    if not known:
        raise UnusableInput(f"column {shown(request.y)} holds no label in any usable row; " + bad.message())
    if len(known) > 2:
        raise UnusableInput(
            f"column {shown(request.y)} holds {len(known)} labels ({listed(sorted(known), 4)}) and --proba one column, "
            "the probability of one of two classes."
        )
    wanted = request.pos_label if request.pos_label is not None else name
    position = match_labels([wanted], known)
    if position:
        positive = known[position[wanted]]
    elif request.pos_label is not None and len(known) == 2:
        raise UnusableInput(f"--pos-label {shown(wanted)} is not a label of {shown(request.y)}: {listed(known)}.")
    elif labels is not None:
        positive = labels[-1]
    elif len(known) == 1:
        positive = known[0]
    elif usual_positive(known) is None:
        raise UnusableInput(
            f"which label of column {shown(request.y)} the probability is for is not clear: pass --pos-label, one of "
            f"{listed(known)}."
        )
    else:
        positive = usual_positive(known) or known[1]
    return [label for label in known if label != positive] + [positive], positive


def usual_positive(labels: list[str]) -> str | None:
    """The positive class of two where custom says which: 1 of {0, 1} or {-1, 1}, true of {false, true}."""
    named = {canonical(label): label for label in labels}
    for negative, positive in (("0", "1"), ("-1", "1"), ("false", "true")):
        if set(named) == {negative, positive}:
            return named[positive]
    return None


def match_labels(values: list[str], labels: list[str]) -> dict[str, int]:
    """Position in `labels` of every value that is one of them: as text, else as a number or truth value."""
    exact = {label: position for position, label in enumerate(labels)}
    loose = {canonical(label): position for position, label in enumerate(labels)}
    found = {value: exact.get(value, loose.get(canonical(value))) for value in values}
    return {value: position for value, position in found.items() if position is not None}


def canonical(text: str) -> str:
    """Text that is the same for ``1``, ``1.0`` and ``01``, and for ``True`` and ``TRUE``."""
    if text.lower() in ("true", "false"):
        return text.lower()
    for kind in (int, float):  # whole numbers first: a float would merge long identifiers
        try:
            number = _number(text, kind)
        except ValueError:
            continue
        return str(int(number)) if number == number and abs(number) < 2**53 and number == int(number) else repr(number)
    return text
