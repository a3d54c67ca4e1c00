"""``sksoft audit``: from a file of predictions, or a demonstration, to a report.

Exit codes: 0 a report was written; 1 so it was, and a finding is at or above ``--fail-on``; 2 the input cannot be used
(one line on standard error says why, and no file was touched); 3 an error in this program; 130 interrupted.
"""

import argparse
import os
import shlex
import sys
from pathlib import Path

import sksoft
from sksoft.audit.progress import Progress, say

EXIT_WRITTEN, EXIT_FINDINGS, EXIT_UNUSABLE, EXIT_INTERNAL, EXIT_INTERRUPTED = 0, 1, 2, 3, 130
NAME = "sksoft audit"


class _UsageError(Exception):
    """What is wrong with the command line, in one line."""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage."""

    def error(self, message):
        raise _UsageError(f"{message} (see {self.prog} --help)")


def main(argv: list[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : list of str, optional
        Arguments after the program's name; by default those of this process.

    Returns
    -------
    exit_code : int
    """
    argv = sys.argv[1:] if argv is None else argv
    try:
        arguments = _parser().parse_args(argv)
        return _audit(arguments, shlex.join(["sksoft", *argv]))
    except SystemExit as stop:  # --help and --version
        return int(stop.code or 0)
    except KeyboardInterrupt:
        return _failed("interrupted", EXIT_INTERRUPTED)
    except (ImportError, MemoryError, OSError, ValueError, _UsageError) as error:
        if os.environ.get("SKSOFT_TRACEBACK"):
            raise
        return _failed(_reason(error), EXIT_UNUSABLE)
    except Exception as error:
        if os.environ.get("SKSOFT_TRACEBACK"):
            raise
        said = f"internal error, {type(error).__name__}: {_reason(error)} (SKSOFT_TRACEBACK=1 shows where)"
        return _failed(said, EXIT_INTERNAL)


def _failed(reason: str, code: int) -> int:
    say(f"{NAME}: error: {reason}", sys.stderr)
    return code


def _reason(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "not enough memory for this input."
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename!r}: {error.strerror}." if error.filename else f"{error.strerror}."
    return " ".join(str(error).split()) or type(error).__name__


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="sksoft", description=sksoft.__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"sksoft {sksoft.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    audit = commands.add_parser(
        "audit",
        allow_abbrev=False,
        help="audit predicted probabilities: scores, calibration, groups, decisions",
        description="Audit the predicted probabilities in a file and write a report.",
        epilog="Exit codes: 0 report written, 1 findings at or above --fail-on, 2 unusable input.",
    )
    _add_input_options(audit)
    _add_audit_options(audit)
    _add_output_options(audit)
    return parser


def _add_input_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("input")
    group.add_argument(
        "file", nargs="?", metavar="FILE", help="delimited text (also .gz) or Parquet, one row per prediction"
    )
    group.add_argument("--demo", action="store_true", help="audit a model of the Adult census data instead of a file")
    group.add_argument("--y", metavar="COL", help="column of true labels")
    group.add_argument(
        "--proba",
        metavar="COLS",
        help="probability columns: a glob such as 'p_*', where what the glob leaves open is the class, or a "
        "comma-separated list; a single column is the probability of the positive class",
    )
    group.add_argument("--logits", action="store_true", help="the columns hold logits: take their softmax")
    group.add_argument("--labels", metavar="LIST", help="class of each probability column, in the order of the columns")
    group.add_argument("--pos-label", metavar="LABEL", help="the positive class of two")
    group.add_argument("--group", metavar="COLS", help="columns of groups, comma-separated; several are also crossed")
    group.add_argument("--weight", metavar="COL", help="column of sampling weights")
    group.add_argument(
        "--bad-rows",
        choices=("stop", "exclude"),
        default="stop",
        help="rows that cannot be used: name them and stop (default), or leave them out and report them",
    )
    group.add_argument("--delimiter", metavar="CHAR", help="of text files; by default the most frequent of , ; tab |")
    group.add_argument("--encoding", metavar="NAME", help="of text files; by default UTF-8")


def _add_audit_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("audit")
    group.add_argument(
        "--threshold", metavar="LIST", default="0.5", help="select where P(positive) >= t (default: 0.5)"
    )
    group.add_argument("--bins", type=int, default=15, metavar="N", help="bins of calibration errors (default: 15)")
    group.add_argument(
        "--strategy", choices=("uniform", "quantile"), default="uniform", help="bins of equal width or weight"
    )
    group.add_argument(
        "--min-group-size", type=int, default=50, metavar="N", help="smaller groups are not judged (default: 50)"
    )
    group.add_argument(
        "--resamples", type=int, default=999, metavar="N", help="draws for intervals and tests (default: 999)"
    )
    group.add_argument("--confidence", type=float, default=0.95, metavar="P", help="level of intervals (default: 0.95)")
    group.add_argument("--seed", type=int, default=0, metavar="N", help="of resampling and folds (default: 0)")
    group.add_argument(
        "--no-recalibrate", action="store_true", help="leave out what calibrators would change, which fits some"
    )


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument(
        "-o", "--output", metavar="FILE", default="report.html", help="HTML report (default: report.html)"
    )
    group.add_argument("--json", metavar="FILE", help="everything as JSON, with a versioned schema")
    group.add_argument("--csv", metavar="FILE", help="one table as CSV, safe to open in a spreadsheet")
    group.add_argument(
        "--csv-table", metavar="NAME", default="groups", help="which table (default: groups; also findings, …)"
    )
    group.add_argument("--title", metavar="TEXT", help="heading of the report")
    group.add_argument(
        "--fail-on",
        choices=("never", "low", "medium", "high"),
        default="never",
        help="exit with 1 if a finding has this severity or a higher one (default: never)",
    )
    group.add_argument("--quiet", action="store_true", help="no progress, no summary")


def _audit(arguments: argparse.Namespace, command: str) -> int:
    from sksoft.audit.writing import write_all

    outputs = _outputs(arguments)
    progress = Progress(arguments.quiet)
    report = _report(arguments, command, progress)
    with progress.step("Writing the report"):
        texts = {
            "--output": report.to_html,
            "--json": report.to_json,
            "--csv": lambda: report.to_csv(arguments.csv_table),
        }
        write_all({path: texts[option]() for option, path in outputs.items()})
    if not arguments.quiet:
        _print_summary(report, list(outputs.values()))
    failed = arguments.fail_on != "never" and any(f.at_least(arguments.fail_on) for f in report.findings)
    return EXIT_FINDINGS if failed else EXIT_WRITTEN


def _outputs(arguments: argparse.Namespace) -> dict[str, Path]:
    """Where to write what; checked before anything long begins."""
    from sksoft.audit.writing import check_writable

    if arguments.demo == (arguments.file is not None):
        raise _UsageError(f"name one file, or --demo (see {NAME} --help)")
    if not arguments.demo:
        missing = [f"--{name}" for name in ("y", "proba") if getattr(arguments, name) is None]
        if missing:
            raise _UsageError(f"a file needs {' and '.join(missing)} (see {NAME} --help)")
    named = {"--output": arguments.output, "--json": arguments.json, "--csv": arguments.csv}
    outputs = {option: Path(path) for option, path in named.items() if path is not None}
    check_writable(outputs, [] if arguments.demo else [Path(arguments.file)])
    return outputs


def _report(arguments: argparse.Namespace, command: str, progress: Progress):
    with progress.step("Starting"):
        from sksoft.audit.assessment import audit

    options = {
        "thresholds": _thresholds(arguments.threshold),
        "n_bins": arguments.bins,
        "recalibrate": not arguments.no_recalibrate,
        "strategy": arguments.strategy,
        "min_group_size": arguments.min_group_size,
        "n_resamples": arguments.resamples,
        "confidence_level": arguments.confidence,
        "random_state": arguments.seed,
        "step": progress.step,
    }
    if arguments.demo:
        data, provenance, title = _demonstration(arguments.seed, progress)
    else:
        data, provenance, title = _file(arguments, progress)
    return audit(**data, **options, title=arguments.title or title, provenance={"command": command} | provenance)


def _demonstration(seed: int, progress: Progress) -> tuple[dict, dict, str]:
    from sksoft.audit.demo import POSITIVE, demonstrate

    demo = demonstrate(progress.step, seed)
    data = {name: getattr(demo, name) for name in ("y_true", "y_proba", "labels", "sensitive_features")}
    return data | {"pos_label": POSITIVE}, demo.provenance, "Audit of an income model on the Adult census data"


def _file(arguments: argparse.Namespace, progress: Progress) -> tuple[dict, dict, str]:
    from sksoft.audit.predictions_file import Request, load_predictions

    names = ("y", "proba", "weight", "labels", "pos_label", "logits", "bad_rows", "delimiter", "encoding")
    request = Request(group=arguments.group or "", **{name: getattr(arguments, name) for name in names})
    with progress.step("Reading predictions"):
        found = load_predictions(arguments.file, request, on_rows=lambda n: progress.update(f"{n:,} rows read"))
    data = {
        name: getattr(found, name)
        for name in ("y_true", "y_proba", "labels", "pos_label", "sensitive_features", "sample_weight", "exclusions")
    }
    provenance = {
        "data": found.table.name,
        "data_bytes": f"{found.table.n_bytes:,}",
        "data_sha256": found.table.sha256,
    }
    return data, provenance, f"Audit of {found.table.name}"


def _thresholds(text: str) -> list[float]:
    try:
        return [float(item) for item in text.split(",")]
    except ValueError as error:
        raise _UsageError(f"--threshold {text!r} is not a list of numbers such as 0.3,0.5") from error


def _print_summary(report, paths: list[Path]) -> None:
    flagged = report.flagged
    verdict = f"{len(flagged)} of {len(report.findings)} checks flagged"
    lines = [verdict + (f", highest severity {report.severity}" if flagged else "")]
    lines += [f"  {f.code}  {f.severity:<7} {f.title}" for f in flagged]
    lines += [f"written: {', '.join(str(path) for path in paths)}"]
    say("\n".join(lines), sys.stdout)


if __name__ == "__main__":
    sys.exit(main())
