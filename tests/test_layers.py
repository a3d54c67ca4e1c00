"""Imports point down the layers of docs/architecture.md only, imports inside functions included."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "sksoft"
FAMILIES = {"linear", "calibration", "hierarchical", "distillation", "active", "attention"}

# layer -> layers it may import; every layer may import itself
ALLOWED = {
    "audit": {"calibration", "linear", "functional", "displays", "metrics"},
    "linear": {"metrics", "objective", "solvers", "kernels"},
    "calibration": {"metrics", "objective", "solvers", "kernels", "functional"},
    "hierarchical": {"metrics", "objective", "solvers", "kernels"},
    "distillation": {"metrics", "objective", "solvers", "kernels"},
    "active": {"metrics", "objective", "solvers", "kernels"},
    "attention": {"metrics", "objective", "solvers", "kernels", "functional"},
    "displays": {"metrics"},
    "metrics": {"objective", "solvers", "kernels"},
    "objective": {"kernels"},
    "functional": {"kernels"},
    "_versions": {"kernels"},
    "kernels": set(),
    "solvers": set(),
    "_validation": {"kernels"},
    "_config": set(),
    "_warnings": set(),
}
FOUNDATIONS = {"_config", "_validation", "_warnings"}


def layer_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_layers(source):
    """Every `sksoft.<layer>` that the source imports, wherever the statement stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "sksoft" and len(parts) > 1:
                yield parts[1], node.lineno


def violations(layer, source):
    allowed = ALLOWED[layer] | FOUNDATIONS | {layer, "__version__"}
    return [f"line {line}: {layer} imports {other}" for other, line in imported_layers(source) if other not in allowed]


MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path):
    assert violations(layer_of(path), path.read_text(encoding="utf-8")) == []


def test_every_layer_is_named_and_exists():
    layers = {layer_of(path) for path in MODULES}
    assert layers <= set(ALLOWED)
    assert layers >= FAMILIES


def test_a_planted_violation_is_seen():
    planted = "def late():\n    from sksoft.linear import SoftmaxRegression\n"
    assert violations("metrics", planted) == ["line 2: metrics imports linear"]


def test_solvers_know_an_objective_by_protocol_only():
    for path in MODULES:
        if layer_of(path) == "solvers":
            assert {other for other, _ in imported_layers(path.read_text(encoding="utf-8"))} <= {"solvers"}


def test_only_validation_touches_scikit_learns_private_modules():
    for path in MODULES:
        if layer_of(path) == "_validation":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sklearn"):
                private = [part for part in node.module.split(".") if part.startswith("_")]
                private += [alias.name for alias in node.names if alias.name.startswith("_")]
                assert not private, f"{path}:{node.lineno} imports {private}"


CUDA_PACKAGES = {"numba_cuda", "cupy", "cupyx", "cuda"}


def cuda_imports(source):
    """Lines that import a package of CUDA, by name or by ``import_module``."""
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "import_module":
            names = [part.value for part in node.args if isinstance(part, ast.Constant)]
        if any(name.split(".")[0] in CUDA_PACKAGES or name.startswith("numba.cuda") for name in names):
            yield node.lineno


def test_cuda_is_imported_by_one_module():
    importing = [path for path in MODULES if list(cuda_imports(path.read_text(encoding="utf-8")))]
    assert [str(path.relative_to(PACKAGE)) for path in importing] == ["kernels/_cuda/_api.py"]


def test_a_planted_import_of_cuda_is_seen():
    assert list(cuda_imports("from numba import cuda")) == [1]
    assert list(cuda_imports("import numpy\nx = import_module('cupy')")) == [2]
