"""What the README and the examples show works as shown."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ON_SHARED_DATA = {"next_word", "salmon_rivers"}


def python_blocks(page="README.md"):
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)


def test_quick_start_runs_and_is_ten_lines(capsys):
    block, many_classes = python_blocks()
    assert len([line for line in block.splitlines() if line.strip()]) <= 10
    names: dict = {}
    exec(compile(block, "README.md", "exec"), names)
    assert 0.0 < float(capsys.readouterr().out) < 0.05
    exec(compile(many_classes, "README.md", "exec"), names)
    assert 0.0 < float(capsys.readouterr().out) < 0.3


def test_guide_to_softmax_regression_runs():
    blocks = python_blocks("docs/softmax_regression.md")
    assert len(blocks) == 4
    exec(compile("\n".join(blocks), "softmax_regression.md", "exec"), {})


def test_guide_to_hierarchical_softmax_runs():
    blocks = python_blocks("docs/hierarchical.md")
    assert len(blocks) == 6
    exec(compile("\n".join(blocks), "hierarchical.md", "exec"), {})


def test_guide_to_distillation_runs():
    blocks = python_blocks("docs/distillation.md")
    assert len(blocks) == 2
    exec(compile("\n".join(blocks), "distillation.md", "exec"), {})


def test_guide_to_active_learning_runs():
    blocks = python_blocks("docs/active_learning.md")
    assert len(blocks) == 4
    exec(compile("\n".join(blocks), "active_learning.md", "exec"), {})


def test_readme_holds_the_two_commands():
    commands = re.findall(r"^python3 -m venv .*$", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(commands) == 2
    assert commands[0].endswith(".venv/bin/sksoft audit --demo --output report.html")
    assert commands[1].endswith(".venv/bin/python -m pytest")


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.stem)
def test_example_runs(path, capsys, monkeypatch, request):
    if path.stem in ON_SHARED_DATA:
        request.getfixturevalue("shared_data")
    monkeypatch.setattr("sys.argv", [str(path)])
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out


def test_links_point_to_files():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
