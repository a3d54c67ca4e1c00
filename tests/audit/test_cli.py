"""The command: every kind of bad input ends in one line, exit code 2 and untouched files."""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import pandas as pd
import pytest

from sksoft.audit.cli import main

OLD = "an old report\n"


@pytest.fixture
def run(tmp_path, capsys):
    """Run the command with its outputs in a folder; returns exit code, standard error and the path of the report."""

    def run_(path, *options, y="y", proba="p_*", output=None):
        output = tmp_path / "report.html" if output is None else output
        argv = ["audit", str(path), "--y", y, "--proba", proba, "-o", str(output), "--resamples", "49", *options]
        code = main([*argv, "--quiet"])
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "Traceback" not in captured.err
        return code, captured.err, output

    return run_


def refuses(run, path, *options, says=(), **more):
    """The command refuses the input in one line that says `says`, and leaves an existing report alone."""
    old = path.parent / "report.html"
    old.write_text(OLD)
    code, err, _ = run(path, *options, **more)
    assert code == 2
    assert err.startswith("sksoft audit: error: ")
    assert err.count("\n") == 1
    for text in says:
        assert text in err
    assert old.read_text() == OLD
    assert [entry.name for entry in path.parent.iterdir() if entry.name.endswith(".part")] == []
    return err


# --- bad input -------------------------------------------------------------------------------------------------

BAD_ROWS = {
    "text": (["a", "abc", "0.5", "F"], ["row 4", "column 'p_a'", "'abc' is not a number"]),
    "underscore": (["a", "0_1", "0.5", "F"], ["row 4", "column 'p_a'", "'0_1' is not a number"]),
    "nan": (["a", "nan", "0.5", "F"], ["row 4", "column 'p_a'", "the value is NaN"]),
    "empty": (["a", " ", "0.5", "F"], ["row 4", "column 'p_a'", "there is no value"]),
    "infinite": (["a", "inf", "0.5", "F"], ["row 4", "column 'p_a'", "'inf' is not finite"]),
    "negative": (["a", "-0.25", "1.25", "F"], ["row 4", "column 'p_a'", "'-0.25' is negative"]),
    "sum": (["a", "0.4", "0.5", "F"], ["row 4", "column 'p_*'", "the row sums to '0.9', not 1"]),
    "label": (["zzz", "0.5", "0.5", "F"], ["row 4", "column 'y'", "'zzz' is not one of the classes 'a', 'b'"]),
    "no label": (["", "0.5", "0.5", "F"], ["row 4", "column 'y'", "there is no label"]),
    "braces": (["{0}", "0.5", "0.5", "F"], ["row 4", "'{0}' is not one of the classes"]),
    "short": (["a", "1"], ["row 4", "it has 2 fields and the header 4"]),
    "long": (["a", "0.5", "0.5", "F", "G"], ["row 4", "it has 5 fields and the header 4"]),
    "blank": ([], ["row 4", "the line is blank"]),
}


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_bad_row_stops_the_run_and_is_named(run, write_csv, kind, prediction_rows):
    row, says = BAD_ROWS[kind]
    path = write_csv([*prediction_rows(3), row, *prediction_rows(60)])
    refuses(run, path, "--group", "sex", says=["predictions.csv", "1 of 64 rows", *says])


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_bad_row_is_left_out_on_request(run, write_csv, kind, prediction_rows):
    row, _ = BAD_ROWS[kind]
    path = write_csv([*prediction_rows(3), row, *prediction_rows(60)])
    json_path = path.parent / "report.json"
    code, _, _ = run(path, "--group", "sex", "--bad-rows", "exclude", "--json", str(json_path))
    assert code == 0
    content = json.loads(json_path.read_text(encoding="utf-8"))
    assert content["summary"]["rows_left_out"] == 1
    assert content["summary"]["rows"] == 63
    assert content["frames"]["exclusions"][0]["first_rows"] == "4"
    assert content["frames"]["excluded_rows"][0]["row"] == 4
    assert "value" not in content["frames"]["excluded_rows"][0]


def test_several_bad_rows_name_the_first_three(run, write_csv, prediction_rows):
    path = write_csv([*prediction_rows(60), *[["a", f"x{i}", "1", "F"] for i in range(5)]])
    err = refuses(run, path, says=["5 of 65 rows", "row 61", "row 62", "row 63", "and 2 more"])
    assert "row 64" not in err


def test_missing_file(run, tmp_path):
    refuses(run, tmp_path / "nowhere.csv", says=["nowhere.csv", "no such file"])


def test_input_is_a_directory(run, tmp_path):
    (tmp_path / "folder").mkdir()
    code, err, _ = run(tmp_path / "folder")
    assert code == 2
    assert "is a directory" in err


@pytest.mark.parametrize(
    ("options", "more", "says"),
    [
        ([], {"y": "target"}, ["no column 'target'", "--y", "'p_a'"]),
        ([], {"proba": "q_*"}, ["no column matches --proba 'q_*'"]),
        ([], {"proba": "p_a,p_z"}, ["no column 'p_z'", "--proba"]),
        (["--group", "race"], {}, ["no column 'race'", "--group"]),
        (["--group", "sex,,y"], {}, ["--group 'sex,,y' has an empty item"]),
        (["--group", "sex,sex"], {}, ["names 'sex' more than once"]),
        (["--weight", "w"], {}, ["no column 'w'", "--weight"]),
        (["--weight", "p_a"], {"proba": "p_a,p_b"}, ["column 'p_a' is named by --proba and by --weight"]),
        (["--group", "sex,p_b"], {"proba": "p_a,p_b"}, ["column 'p_b' is named by --proba and by --group"]),
        ([], {"y": "p_a", "proba": "p_a"}, ["column 'p_a' is named by --proba and by --y"]),
        ([], {"proba": ""}, ["--proba '' has an empty item"]),
        (["--bins", "101"], {}, ["n_bins", "[1, 100]"]),
        (["--seed", "4294967296"], {}, ["random_state", "2**32"]),
        (["--labels", "a,b,c"], {}, ["--labels names 3 classes and --proba 2 columns"]),
        (["--labels", "x,y"], {}, ["('a', 'b')", "('x', 'y')"]),
        (["--pos-label", "c"], {}, ["--pos-label 'c'"]),
        (["--threshold", "high"], {}, ["--threshold 'high'"]),
        (["--threshold", "2"], {}, ["thresholds", "[0, 1]"]),
        (["--bins", "0"], {}, ["n_bins"]),
        (["--bins", "many"], {}, ["--bins"]),
        (["--confidence", "95"], {}, ["confidence_level"]),
        (["--seed", "-1"], {}, ["random_state"]),
        (["--csv-table", "nothing", "--csv", "x.csv"], {}, ["nothing"]),
        (["--encoding", "klingon"], {}, ["unknown encoding 'klingon'"]),
        (["--encoding", "base64"], {}, ["unknown encoding 'base64'"]),
        (["--delimiter", "ab"], {}, ["one character"]),
        (["--nonsense"], {}, ["--nonsense"]),
    ],
)
def test_bad_option(run, write_csv, monkeypatch, options, more, says, prediction_rows):
    path = write_csv(prediction_rows(60))
    monkeypatch.chdir(path.parent)
    refuses(run, path, *options, says=says, **more)
    assert not (path.parent / "x.csv").exists()


def test_single_column_whose_class_is_not_clear(run, write_csv, prediction_rows):
    path = write_csv(prediction_rows(60), header=("y", "q", "p", "sex"))
    refuses(run, path, proba="p", says=["pass --pos-label, one of 'a', 'b'"])


def test_one_class_only(run, write_csv, prediction_rows):
    path = write_csv([row for row in prediction_rows(60) if row[0] == "a"])
    refuses(run, path, says=["column 'y' shows one class only, 'a'"])


def test_one_row(run, write_csv, prediction_rows):
    refuses(run, write_csv(prediction_rows(1)), says=["1 usable row where at least 2 are needed"])


def test_no_rows(run, write_csv):
    refuses(run, write_csv([]), says=["a header and no data rows"])


def test_empty_file(run, tmp_path):
    path = tmp_path / "empty.csv"
    path.write_bytes(b"")
    refuses(run, path, says=["the file is empty"])


def test_duplicate_column_names(run, write_csv, prediction_rows):
    path = write_csv(prediction_rows(60), header=("y", "p_a", "p_b", "p_b"))
    refuses(run, path, says=["more than one column named 'p_b'"])


def test_broken_encoding(run, write_csv, prediction_rows):
    path = write_csv(prediction_rows(60))
    path.write_bytes(path.read_bytes() + b"a,0.5,0.5,\xe9t\xe9\n")
    refuses(run, path, says=["line 62 is not UTF-8", "0xe9", "position 11", "--encoding cp1252"])
    assert run(path, "--encoding", "cp1252")[0] == 0


def test_open_quotation_mark(run, write_csv, prediction_rows):
    path = write_csv(prediction_rows(60))
    path.write_text(path.read_text() + '"a,0.5,0.5,F\n')
    refuses(run, path, says=["a quotation mark is opened and not closed"])


def test_sums_that_overflow_are_one_line_too(run, write_csv, prediction_rows):
    path = write_csv([*prediction_rows(60), ["a", "1e308", "1e308", "F"]])
    refuses(run, path, says=["row 61", "the row sums to 'inf', not 1"])


def test_one_output_fails_and_all_are_left_alone(run, write_csv, monkeypatch, prediction_rows):
    path = write_csv(prediction_rows(60))
    json_path = path.parent / "r.json"
    make = tempfile.mkstemp

    def fail_for_json(**options):
        if "json" in options["prefix"]:
            raise OSError(28, "No space left on device")
        return make(**options)

    monkeypatch.setattr(tempfile, "mkstemp", fail_for_json)
    refuses(run, path, "--json", str(json_path), says=["r.json", "No space left"])
    assert not json_path.exists()


@pytest.mark.parametrize("weight", ["-1", "nan", "inf", "heavy", "1e200", "1e-200"])
def test_bad_weight(run, write_csv, weight, prediction_rows):
    rows = [[*row, "1"] for row in prediction_rows(60)]
    rows[4][4] = weight
    path = write_csv(rows, header=("y", "p_a", "p_b", "sex", "w"))
    refuses(run, path, "--weight", "w", says=["row 5", "column 'w'", repr(weight)])


def test_weights_all_zero(run, write_csv, prediction_rows):
    path = write_csv([[*row, "0"] for row in prediction_rows(60)], header=("y", "p_a", "p_b", "sex", "w"))
    refuses(run, path, "--weight", "w", says=["all weights are zero"])


def test_output_is_a_directory(run, write_csv, tmp_path, prediction_rows):
    refuses(run, write_csv(prediction_rows(60)), output=tmp_path, says=["--output", "is a directory"])


def test_output_folder_is_missing(run, write_csv, tmp_path, prediction_rows):
    output = tmp_path / "no" / "report.html"
    refuses(run, write_csv(prediction_rows(60)), output=output, says=["--output", "there is no folder"])


def test_two_outputs_are_one_file(run, write_csv, tmp_path, prediction_rows):
    path = write_csv(prediction_rows(60))
    refuses(run, path, "--json", str(tmp_path / "report.html"), says=["--json", "is also --output"])


def test_output_is_the_input(run, write_csv, prediction_rows):
    path = write_csv(prediction_rows(60))
    before = path.read_bytes()
    refuses(run, path, output=path, says=["is also the input file"])
    assert path.read_bytes() == before


def test_damaged_parquet_and_gzip(run, tmp_path):
    for name, content in (("a.parquet", b"PAR1garbage"), ("b.csv.gz", b"\x1f\x8bgarbage")):
        path = tmp_path / name
        path.write_bytes(content)
        refuses(run, path, says=[name])


def test_parquet_without_pyarrow_says_what_to_install(run, tmp_path, monkeypatch, prediction_rows):
    pytest.importorskip("pyarrow")
    path = tmp_path / "a.parquet"
    pd.DataFrame(prediction_rows(60), columns=["y", "p_a", "p_b", "sex"]).to_parquet(path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    refuses(run, path, says=['pip install "sksoft[audit]"'])


@pytest.mark.parametrize(
    "argv",
    [[], ["audit"], ["audit", "--demo", "file.csv"], ["audit", "file.csv"], ["audit", "f", "--y", "a"], ["review"]],
)
def test_bad_command_line(argv, capsys):
    assert main(argv) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_failure_while_writing_keeps_the_old_report(run, write_csv, tmp_path, monkeypatch, prediction_rows):
    (tmp_path / "report.html").write_text(OLD)

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    code, err, output = run(write_csv(prediction_rows(60)))
    assert code == 2
    assert "No space left on device" in err
    assert output.read_text() == OLD
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["predictions.csv", "report.html"]


def test_error_of_the_program_is_one_line_too(run, write_csv, monkeypatch, prediction_rows):
    def fail(*args, **kwargs):
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr("sksoft.audit.measuring.score_table", fail)
    code, err, output = run(write_csv(prediction_rows(60)))
    assert code == 3
    assert "internal error, ZeroDivisionError: by nothing" in err
    assert not output.exists()


# --- odd input that is fine ------------------------------------------------------------------------------------

ODD_GROUPS = ["<script>alert(1)</script>", '=HYPERLINK("http://x","y")', r"$\frac{$", "a\u202eb", "x" * 5000, "{0}%s"]


def test_odd_groups_are_escaped(run, write_csv, tmp_path, prediction_rows):
    path = write_csv(prediction_rows(700, group=lambda i: ODD_GROUPS[i % len(ODD_GROUPS)]))
    csv_path = tmp_path / "groups.csv"
    code, _, output = run(path, "--group", "sex", "--csv", str(csv_path))
    assert code == 0
    page = output.read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert r"$\frac{$" in page
    assert "\u202e" not in page
    cells = pd.read_csv(csv_path)["group"]
    assert "'" + ODD_GROUPS[1] in set(cells)
    assert not cells.str.startswith("=").any()


def test_ten_thousand_groups(run, write_csv, prediction_rows):
    code, _, output = run(write_csv(prediction_rows(20_000, group=lambda i: f"g{i % 10_000}")), "--group", "sex")
    assert code == 0
    assert output.stat().st_size < 1_000_000
    assert "of 10,001 groups shown" in output.read_text(encoding="utf-8")


def test_empty_group_is_a_group(run, write_csv, tmp_path, prediction_rows):
    path = write_csv(prediction_rows(200, group=lambda i: ["F", "", "nan"][i % 3]))
    json_path = tmp_path / "report.json"
    assert run(path, "--group", "sex", "--json", str(json_path))[0] == 0
    groups = json.loads(json_path.read_text(encoding="utf-8"))["frames"]["groups"]
    assert {row["group"]: row["n"] for row in groups[1:]} == {"(missing)": 133, "F": 67}


@pytest.mark.parametrize(
    ("encoding", "delimiter"),
    [("utf-8-sig", ","), ("utf-8", ";"), ("utf-8", "\t"), ("utf-8", "|"), ("utf-16", ","), ("utf-8-sig", ";")],
)
def test_dialects(run, write_csv, encoding, delimiter, prediction_rows):
    assert run(write_csv(prediction_rows(60), encoding=encoding, delimiter=delimiter), "--group", "sex")[0] == 0


@pytest.mark.parametrize(
    ("labels", "columns"),
    [
        (("0", "1"), ("0", "1")),
        (("0.0", "1.0"), ("0", "1")),
        (("False", "True"), ("false", "true")),
        (("-1", "1"), ("-1", "01")),
    ],
)
def test_labels_written_otherwise_than_in_the_header(run, write_csv, tmp_path, labels, columns, prediction_rows):
    rows = [[labels["ab".index(row[0])], *row[1:]] for row in prediction_rows(200)]
    path = write_csv(rows, header=("y", *(f"p_{c}" for c in columns), "sex"))
    json_path = tmp_path / "report.json"
    assert run(path, "--json", str(json_path))[0] == 0
    summary = json.loads(json_path.read_text(encoding="utf-8"))["summary"]
    assert (summary["rows"], summary["positive_class"]) == (200, columns[1])


def test_parquet_gives_what_csv_gives(run, write_csv, tmp_path, prediction_rows):
    pytest.importorskip("pyarrow")
    rows = prediction_rows(200)
    frame = pd.DataFrame(rows, columns=["y", "p_a", "p_b", "sex"]).astype({"p_a": float, "p_b": float})
    frame.to_parquet(tmp_path / "p.parquet")
    frames = []
    for path in (write_csv(rows), tmp_path / "p.parquet"):
        assert run(path, "--group", "sex", "--json", str(tmp_path / "r.json"))[0] == 0
        frames.append(json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["frames"])
    assert frames[0] == frames[1]


def test_logits_of_log_probabilities_are_the_probabilities(run, write_csv, tmp_path, prediction_rows):
    rows = [row for row in prediction_rows(300) if 0 < float(row[2]) < 1]
    logs = [[y, str(np.log(float(a)) + 3), str(np.log(float(b)) + 3), g] for y, a, b, g in rows]
    found = []
    for content, options in ((rows, []), (logs, ["--logits"])):
        assert run(write_csv(content), *options, "--json", str(tmp_path / "r.json"))[0] == 0
        found.append(json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["frames"]["scores"])
    values = [[row["value"] for row in scores] for scores in found]
    np.testing.assert_allclose(values[0], values[1], rtol=1e-12)


def test_one_column_of_logits(run, write_csv, tmp_path, prediction_rows):
    rows = [
        [row[0], str(np.log(float(row[2]) / float(row[1])))] for row in prediction_rows(300) if 0 < float(row[2]) < 1
    ]
    path = write_csv(rows, header=("y", "z"))
    assert run(path, "--logits", "--pos-label", "b", "--json", str(tmp_path / "r.json"), proba="z")[0] == 0
    summary = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["summary"]
    assert summary["positive_class"] == "b"


# --- results ---------------------------------------------------------------------------------------------------


def test_fail_on(run, write_csv, prediction_rows):
    rng = np.random.default_rng(3)
    rows = [[str(int(rng.uniform() < 0.2)), "0.5", "0.5", "F"] for _ in range(500)]
    path = write_csv(rows, header=("y", "p_0", "p_1", "sex"))
    assert run(path)[0] == 0
    assert run(path, "--fail-on", "high")[0] == 1
    good = write_csv(prediction_rows(2000), name="good.csv")
    assert run(good, "--fail-on", "low")[0] == 0


def test_the_group_that_lost_more_rows_is_named(run, write_csv, tmp_path, prediction_rows):
    rows = prediction_rows(1000)
    for row in rows[1:200:2]:
        row[1] = ""
    path = write_csv(rows)
    json_path = tmp_path / "report.json"
    assert run(path, "--group", "sex", "--bad-rows", "exclude", "--json", str(json_path))[0] == 0
    findings = {f["code"]: f for f in json.loads(json_path.read_text(encoding="utf-8"))["findings"]}
    assert findings["SKS001"]["outcome"] == "flagged"
    assert findings["SKS002"]["severity"] == "high"
    assert "“M” lost 20.00% of its rows" in findings["SKS002"]["evidence"]


def test_same_seed_same_bytes(run, write_csv, tmp_path, prediction_rows):
    path = write_csv(prediction_rows(300))
    texts = []
    for _ in range(2):
        assert run(path, "--group", "sex", "--json", str(tmp_path / "r.json"))[0] == 0
        content = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
        content["provenance"].pop("created")
        texts.append(content)
    assert texts[0] == texts[1]


def test_version_and_help(capsys):
    assert main(["--version"]) == 0
    assert main(["audit", "--help"]) == 0
    assert "--bad-rows" in capsys.readouterr().out


def test_help_loads_nothing_heavy():
    code = "import sys; from sksoft.audit.cli import main; main(['audit', '--help']); "
    code += "sys.exit([m for m in ('numpy', 'pandas', 'sklearn', 'numba') if m in sys.modules] or None)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_as_a_process(write_csv, tmp_path, prediction_rows):
    """Standard output in ASCII, progress on standard error, exit codes as documented."""
    environment = {**os.environ, "PYTHONIOENCODING": "ascii:strict"}
    path, output = write_csv(prediction_rows(200, group=lambda i: "é×"[i % 2])), tmp_path / "r.html"
    command = [sys.executable, "-m", "sksoft.audit.cli", "audit", str(path), "--y", "y", "--proba", "p_*"]
    command += ["--group", "sex", "--resamples", "49", "-o", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "checks flagged" in done.stdout
    assert "Groups and intersections" in done.stderr
    bad = subprocess.run(
        [*command, "--weight", "nothing"], capture_output=True, text=True, env=environment, check=False
    )
    assert (bad.returncode, bad.stdout) == (2, "")
    assert "no column 'nothing'" in bad.stderr
    assert "Traceback" not in bad.stderr


def test_nothing_is_refitted_on_request(run, write_csv, prediction_rows, tmp_path):
    path, found = write_csv(prediction_rows(200)), tmp_path / "audit.json"
    code, _, _ = run(path, "--no-recalibrate", "--group", "sex", "--json", str(found))
    assert code == 0
    content = json.loads(found.read_text())
    outcomes = {finding["code"]: finding["outcome"] for finding in content["findings"]}
    assert {outcomes[c] for c in ("SKS204", "SKS207", "SKS304")} == {"not applicable"}
    assert "calibrators" not in content["frames"]
