"""The embedded data are the published ones; the demonstration does what its report says."""

import gzip
import json
from importlib.resources import files

import pandas as pd
import pytest

from sksoft.audit.cli import main
from sksoft.audit.demo import CATEGORICAL, POSITIVE, TARGET, load_adult


@pytest.fixture(scope="module")
def adult():
    return load_adult()[0]


def test_published_counts(adult):
    """UCI: 32561 and 16281 rows, 7841 and 3846 of them above 50K."""
    counts = adult.groupby("split")[TARGET].agg(["size", lambda labels: (labels == POSITIVE).sum()])
    assert counts.loc["train"].tolist() == [32561, 7841]
    assert counts.loc["test"].tolist() == [16281, 3846]
    assert adult["sex"].isin(["Female", "Male"]).all()
    assert adult[CATEGORICAL].isna().any(axis=1).sum() == 3620


def test_same_as_the_source(adult, shared_data):
    for part in ("train", "test"):
        with gzip.open(shared_data / "fairness" / f"adult_{part}.csv.gz", "rt") as file:
            source = pd.read_csv(file, dtype=str, keep_default_na=False).drop(columns="fnlwgt")
        ours = adult[adult["split"] == part].drop(columns="split").reset_index(drop=True)
        numeric = ours.select_dtypes("number").columns
        pd.testing.assert_frame_equal(ours[numeric], source[numeric].astype(float))
        texts = [name for name in ours if name not in numeric]
        assert (ours[texts].fillna("?") == source[texts]).all(axis=None)


def test_data_carry_their_licence():
    folder = files("sksoft.audit") / "data"
    said = folder.joinpath("README.md").read_text(encoding="utf-8")
    for wanted in ("CC BY 4.0", "UCI", "10.24432/C5XW20", "fnlwgt"):
        assert wanted in said
    assert len(folder.joinpath("adult.csv.gz").read_bytes()) < 600_000


def test_command(tmp_path, capsys):
    output, json_path = tmp_path / "report.html", tmp_path / "report.json"
    assert main(["audit", "--demo", "--output", str(output), "--json", str(json_path), "--fail-on", "high"]) == 1
    captured = capsys.readouterr()
    assert "checks flagged" in captured.out
    assert "Choosing C" in captured.err
    page = output.read_text(encoding="utf-8")
    assert output.stat().st_size < 1_000_000
    for wanted in ("CC BY 4.0", "Female × Black", "standard error", "choice of C", "sksoft audit --demo --output"):
        assert wanted in page
    content = json.loads(json_path.read_text(encoding="utf-8"))
    assert content["summary"]["classes"] == ["<=50K", ">50K"]
    assert content["summary"]["rows"] == 16281
    assert content["frames"]["scores"][0]["value"] > 0.84
    assert "duality gap" in content["provenance"]["proof_of_fit"]
