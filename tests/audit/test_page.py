"""The page: well-formed, alone in the world, small, escaped, with a table for every figure."""

import base64
import csv
import hashlib
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from sksoft.audit import audit

VOID = {"meta", "br", "hr"}


class Page(HTMLParser):
    """Collects elements and text, and fails where tags do not nest."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs), f"an attribute of {tag} stands twice"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def pages(request):
    return [request.getfixturevalue(name).to_html() for name in ("report", "multiclass_report")]


def test_well_formed_and_self_contained(request):
    for text in pages(request):
        page = Page(text)
        assert len(text.encode()) < 1_000_000
        tags = {tag for tag, _ in page.elements}
        assert not tags & {
            "script",
            "iframe",
            "object",
            "embed",
            "link",
            "img",
            "form",
            "base",
            "foreignobject",
            "image",
            "use",
        }
        for _, attributes in page.elements:
            assert not [
                name for name in attributes if name.startswith("on") or name in ("style", "src", "xlink:href", "srcset")
            ]
            assert attributes.get("href", "#").startswith("#")
        assert not re.search(r"url\(|@import|https?:|//[a-z]", text)


def test_links_lead_somewhere_and_ids_are_unique(request):
    for text in pages(request):
        page = Page(text)
        ids = [a["id"] for _, a in page.elements if "id" in a]
        assert len(ids) == len(set(ids))
        assert {a["href"][1:] for tag, a in page.elements if tag == "a"} <= set(ids)


def test_policy_allows_this_style_and_nothing_else(report):
    text = report.to_html()
    (policy,) = [a["content"] for _, a in Page(text).elements if a.get("http-equiv") == "Content-Security-Policy"]
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.split("; ")[:2] == ["default-src 'none'", f"style-src 'sha256-{digest}'"]
    assert "unsafe" not in policy


def test_everything_is_said(report):
    text = " ".join(Page(report.to_html()).texts)
    for finding in report.findings:
        assert finding.code in text
        assert finding.question in text
    for group in report.frames["groups"]["group"][1:]:
        assert group in text
    for wanted in (
        "Proper scores",
        "Reliability",
        "Decision rates",
        "Before and after",
        "Calibration errors",
        "Slope and intercept",
        "Tests of calibration",
        "Spiegelhalter",
        "Multicalibration and disparities",
        "Choice of a calibrator",
        "Temperatures of groups",
        "SHA-256",
        "numpy",
        "seed",
        "cannot say",
    ):
        assert wanted in text
    assert "P(yes) ≥ 0.3" in text
    assert "P(yes) ≥ 0.6" in text


def test_every_figure_has_a_table(report):
    tags = [tag for tag, _ in Page(report.to_html()).elements if tag in ("figure", "table", "svg")]
    assert tags.count("figure") == tags.count("svg") >= 6
    assert tags.count("table") >= tags.count("figure")


ODD = [
    "<script>alert(1)</script>",
    '"><svg onload=x>',
    r"$\frac{$",
    "&lt;",
    "'",
    "a\x00b\x1b",
    "\u202eevil",
    "=1+1",
]


def test_names_from_the_data_are_shown_not_run():
    rng = np.random.default_rng(0)
    names = np.array(ODD, dtype=object)[rng.integers(0, len(ODD), 900)]
    y, p = rng.integers(0, 2, 900), rng.uniform(size=900)
    report = audit(
        np.where(y == 1, "<b>yes", "</style>no"),
        p,
        pos_label="<b>yes",
        sensitive_features={"<i>f": names, "]]>": names[::-1]},
        title="</title><script>",
        provenance={"command": "<img src=x onerror=y>"},
        n_resamples=0,
    )
    text = report.to_html()
    page = Page(text)
    assert not {tag for tag, _ in page.elements} & {"script", "b", "i", "img"}
    shown = "".join(page.texts)
    assert "<script>alert(1)</script>" in shown
    assert r"$\frac{$" in shown
    assert "&lt;" in shown
    assert not re.search("[\x00\x1b\u202e\ud800]", text)
    text.encode("utf-8")


def test_classes_and_groups_in_new_tables_are_shown_not_run():
    rng = np.random.default_rng(1)
    labels = np.array(["<script>alert(2)</script>", "=1+1", "\u202eevil", "\u0645\u0631"], dtype=object)
    proba = rng.dirichlet(np.ones(4), 1200)
    codes = (rng.uniform(size=(1200, 1)) > proba.cumsum(axis=1)).sum(axis=1)
    groups = np.array(["<img src=x onerror=y>", "@SUM(A1)", "\u202dx"], dtype=object)[rng.integers(0, 3, 1200)]
    report = audit(
        labels[codes], proba, labels=labels, sensitive_features={"<b>f": groups, "+g": groups[::-1]}, n_resamples=19
    )
    new = ("calibration_slope", "class_tests", "multicalibration", "disparities", "group_temperatures")
    for name in (*new, "group_temperature_gains", "calibration_errors", "calibration_tests", "calibrators"):
        cells = [cell for line in csv.reader(report.to_csv(name).splitlines()) for cell in line]
        assert not [cell for cell in cells if cell[:1] in ("=", "+", "@")], name
        assert not [cell for cell in cells if cell[:1] == "-" and not re.fullmatch(r"-?([\d.]+(e-?\d+)?|inf)", cell)]
    text = report.to_html()
    page = Page(text)
    assert not {tag for tag, _ in page.elements} & {"script", "b", "img"}
    assert not re.search("[\u202d\u202e]", text)
    for key in ("tests", "errors", "multicalibration", "temperatures"):
        body = text[text.index(f'<section id="{key}"') :].split("</section>")[0]
        assert "&lt;script&gt;alert(2)" in body or "&lt;img src=x" in body or "&lt;b&gt;f" in body, key


@pytest.mark.parametrize("n_classes", [2, 40])
def test_many_groups_and_classes_stay_small(n_classes):
    rng = np.random.default_rng(0)
    proba = rng.dirichlet(np.ones(n_classes), 6000)
    y = rng.integers(0, n_classes, 6000)
    report = audit(
        y, proba, sensitive_features={"a": rng.integers(0, 400, 6000), "b": rng.integers(0, 9, 6000)}, n_resamples=9
    )
    text = report.to_html()
    assert len(text.encode()) < 1_000_000
    assert "groups shown; JSON and CSV hold all" in text
    Page(text)


def test_infinite_and_missing_numbers_are_shown():
    y = np.arange(200) % 2
    text = audit(y, np.where(np.arange(200) == 1, 0.0, 0.5), n_resamples=0, recalibrate=False).to_html()
    shown = "".join(Page(text).texts)
    assert "∞" in shown
    assert not re.search(r"\b(nan|inf|None)\b", shown)


def test_rendering_loads_no_plotting_library():
    code = "import sys, numpy as np; from sksoft.audit import audit; y = np.arange(60) % 2; "
    code += "audit(y, np.linspace(0, 1, 60), n_resamples=0).to_html(); sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "error", "-c", code], check=False).returncode == 0


def test_many_bins_are_cut_and_said_to_be():
    rng = np.random.default_rng(5)
    proba = rng.dirichlet(np.ones(14), 6000)
    y = (rng.uniform(size=(6000, 1)) > proba.cumsum(axis=1)).sum(axis=1)
    page = audit(y, proba, n_bins=100, strategy="quantile", n_resamples=0).to_html()
    assert len(page) < 1_000_000
    assert "20 of 100 bins shown" in page


def test_names_written_from_right_to_left_are_isolated_from_their_numbers(calibrated):
    name = "\u0645\u0631"
    page = audit(**calibrated | {"sensitive_features": np.array([name, "b"] * 2000)}, n_resamples=0).to_html()
    assert re.search(f"<bdi>{name}</bdi>: [0-9.]+%", page)
