"""The report as one HTML page: what was found first, then the evidence, then how it was made and what it cannot say."""

import base64
import hashlib
from importlib.resources import files

from sksoft.audit import calibration_sections, group_sections, multicalibration_sections, sections
from sksoft.audit.findings import FLAGGED, INSUFFICIENT, NOT_APPLICABLE, OUTCOMES, PASSED
from sksoft.audit.formatting import count, number, percent
from sksoft.audit.markup import Column, Markup, joined, table, tag
from sksoft.audit.report import AuditReport

SECTIONS = {
    "findings": "Findings",
    "data": "Data",
    "scores": "Proper scores",
    "reliability": "Reliability",
    "errors": "Calibration errors",
    "tests": "Tests of calibration",
    "groups": "Groups and intersections",
    "multicalibration": "Multicalibration and disparities",
    "decisions": "Decision rates",
    "recalibration": "Before and after recalibration",
    "calibrators": "Choice of a calibrator",
    "temperatures": "Temperatures of groups",
    "provenance": "How this report was made",
    "limits": "What this report cannot say",
}


def render(report: AuditReport) -> str:
    """The whole page.

    Parameters
    ----------
    report : AuditReport

    Returns
    -------
    html : str
        A document without scripts and without any address it would load from; its policy forbids both.
    """
    style = files("sksoft.audit").joinpath("report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    bodies = {
        "findings": _findings(report),
        "data": sections.data(report),
        "scores": sections.scores(report),
        "reliability": sections.reliability(report),
        "errors": calibration_sections.errors(report),
        "tests": calibration_sections.tests(report),
        "groups": group_sections.groups(report),
        "multicalibration": multicalibration_sections.multicalibration(report),
        "decisions": group_sections.decisions(report),
        "recalibration": sections.recalibration(report),
        "calibrators": calibration_sections.calibrators(report),
        "temperatures": multicalibration_sections.temperatures(report),
        "provenance": _provenance(report),
        "limits": _limits(report),
    }
    shown = {key: body for key, body in bodies.items() if body}
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", report.title),
        tag("style", Markup(style)),
    )
    main = joined(tag("section", tag("h2", SECTIONS[key]), body, id=key) for key, body in shown.items())
    body = tag("body", tag("main", _header(report, list(shown)), _verdict(report), _tiles(report), main))
    return "<!DOCTYPE html>\n" + tag("html", head, "\n", body, lang="en") + "\n"


def _header(report: AuditReport, shown: list[str]) -> Markup:
    summary, made = report.summary, report.provenance
    judged = (
        f"the probability of “{summary['positive_class']}”"
        if summary["positive_class"] is not None
        else f"the probabilities of {count(len(summary['classes']))} classes"
    )
    about = f"Calibration and fairness of {judged}, over {count(summary['rows'])} rows."
    about += f" Made {made['created']} by sksoft {made['sksoft']}."
    links = joined((tag("a", SECTIONS[key], href=f"#{key}") for key in shown), " ")
    return tag("header", tag("h1", report.title), tag("p", about, class_="soft"), tag("nav", links))


def _verdict(report: AuditReport) -> Markup:
    counts = {outcome: sum(f.outcome == outcome for f in report.findings) for outcome in OUTCOMES}
    flagged, asked = counts[FLAGGED], len(report.findings) - counts[NOT_APPLICABLE]
    lead = (
        "No check was flagged."
        if not flagged
        else f"{flagged} of {asked} checks flagged; the highest severity is {report.severity}."
    )
    rest = f"{counts[PASSED]} passed, {counts[INSUFFICIENT]} could not be decided for lack of evidence"
    rest += f", {counts[NOT_APPLICABLE]} did not apply." if counts[NOT_APPLICABLE] else "."
    top = [f for f in report.flagged if f.severity == report.severity]
    named = (
        tag("p", "Most severe: ", joined((tag("a", f.title, href=f"#{f.code}") for f in top), ", "), ".") if top else ""
    )
    return tag("div", tag("p", lead, class_="lead"), named, tag("p", rest), class_=f"verdict {report.severity}")


def _tiles(report: AuditReport) -> Markup:
    scores = report.frames["scores"].set_index("score")["value"]
    overall = report.frames["groups"].iloc[0]
    tiles = {
        "rows": count(report.summary["rows"]),
        "accuracy": percent(scores["accuracy"]),
        "log-loss (nats)": number(scores["log-loss"]),
        "Brier score": number(scores["Brier score"]),
        "calibration error, debiased": number(overall["ece_debiased"]),
        "groups and intersections": count(len(report.frames["groups"]) - 1),
    }
    return tag(
        "div",
        joined(
            tag("div", tag("span", value, class_="value"), tag("span", name, class_="name"), class_="tile")
            for name, value in tiles.items()
        ),
        class_="tiles",
    )


def _findings(report: AuditReport) -> Markup:
    rows = []
    for f in report.findings:
        title = joined([tag("span", f.title, class_="title"), f.question])
        evidence = joined([f.evidence, tag("span", f"Passes with: {f.threshold}.", class_="threshold")])
        rows.append([tag("span", f.code, class_="code", id=f.code), _badge(f.outcome, f.severity), title, evidence])
    columns = [Column(name, numeric=False) for name in ("Code", "Outcome", "Check", "Evidence and threshold")]
    about = (
        "Flagged means statistically clear and large enough to matter, with the severity shown. “Insufficient "
        "evidence” is not a pass: the data are too few to say. Brackets hold "
        f"{percent(report.settings['confidence_level'], 0)} intervals."
    )
    return joined([tag("p", about), table("", columns, rows, "findings")])


def _badge(outcome: str, severity: str) -> Markup:
    if outcome == FLAGGED:
        return tag("span", f"flagged: {severity}", class_=f"badge {severity}")
    classes = {PASSED: "passed", INSUFFICIENT: "insufficient", NOT_APPLICABLE: "na"}
    return tag("span", outcome, class_=f"badge {classes[outcome]}")


def _provenance(report: AuditReport) -> Markup:
    names = {
        "data_sha256": "SHA-256 of the data",
        "data_bytes": "bytes",
        "predictions_sha256": "SHA-256 of labels and probabilities as audited",
    }
    settings = {
        "seed": report.settings["random_state"],
        "bins": f"{report.settings['n_bins']}, {report.settings['strategy']}",
        "resamples": count(report.settings["n_resamples"]),
        "confidence level": percent(report.settings["confidence_level"], 0),
        "smallest group judged": f"{report.settings['min_group_size']} effective rows",
    }
    if report.settings["thresholds"]:
        settings["decision thresholds"] = ", ".join(f"{t:g}" for t in report.settings["thresholds"])
    items = {names.get(key, key.replace("_", " ")): value for key, value in report.provenance.items()} | settings
    return tag(
        "dl", joined(joined([tag("dt", name), tag("dd", value, class_=_face(name))]) for name, value in items.items())
    )


def _face(name: str) -> str | None:
    return "code" if "SHA-256" in name or name == "command" else None


def _limits(report: AuditReport) -> Markup:
    level = percent(report.settings["confidence_level"], 0)
    said = [
        "Rows are taken as independent of each other. Repeated measurements of the same people or places make all "
        "intervals here too narrow.",
        f"Intervals hold with {level} each, not all together. p-values called adjusted are adjusted within their "
        "table: for calibration by group over all groups and intersections (Westfall and Young), elsewhere by Holm.",
        "Calibration errors are sums over bins and depend on the bins; debiased ones have the part removed that "
        "noise adds. Neither is a proper score: predicting the base rates has no calibration error.",
        "No row has a part in choosing or fitting what it is recalibrated by; the choice recommended is that "
        "of all rows, and new data may want another.",
        "A test that does not reject does not show that groups are equal. Where data are few, the outcome is "
        "“insufficient evidence”.",
        "The lowest and the highest rate of a gap were chosen because they are lowest and highest, so its interval "
        "is optimistic; the p-value, a test of all groups at once, is not.",
        "Equal calibration, equal false positive rates and equal false negative rates cannot all hold when base "
        "differ, except in trivial cases (Kleinberg, Mullainathan, Raghavan 2016). Which matters is a decision about "
        "the use, not a statistical one.",
        "Labels are taken as true. If they were recorded differently in different groups, nothing here can see it.",
        "The report says nothing about data other than these rows, about causes, or about whether a use is lawful. "
        "The four-fifths rule is a rule of thumb of US employment law, not a definition of fairness.",
    ]
    if report.summary["weighted"]:
        said.append("Weights are read as sampling weights: intervals and tests use effective rows, (Σw)²/Σw².")
    return tag("ul", joined(tag("li", text) for text in said))
