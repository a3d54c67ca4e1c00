"""Everything public says what it takes, what it returns, and shows a run of it."""

import inspect
from importlib import import_module

import pytest
from numpydoc.validate import validate

import sksoft

MODULES = ["sksoft", "sksoft.active", "sksoft.attention", "sksoft.metrics", "sksoft.displays", "sksoft.audit"]
REQUIRED = {
    "GL08": "no docstring",
    "SS01": "no summary",
    "PR01": "parameters not documented",
    "PR02": "unknown parameters documented",
    "PR03": "parameters in another order",
    "RT01": "no Returns",
    "YD01": "no Yields",
}


def public_objects():
    for module in MODULES:
        for name in import_module(module).__all__:
            obj = getattr(import_module(module), name)
            if inspect.isclass(obj) or inspect.isfunction(obj):
                yield f"{module}.{name}", obj


def public_methods():
    for path, obj in public_objects():
        if inspect.isclass(obj):
            for name, member in vars(obj).items():
                if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, classmethod)):
                    yield f"{path}.{name}"


@pytest.mark.parametrize("path", [path for path, _ in public_objects()] + list(public_methods()))
def test_docstring_is_complete(path):
    found = {code: text for code, text in validate(path)["errors"] if code in REQUIRED}
    assert not found, found


# They change or print the state of the machine: an example would not be the same twice.
WITHOUT_EXAMPLE = {"sksoft.set_config", "sksoft.show_versions"}


@pytest.mark.parametrize(
    ("path", "obj"),
    [pytest.param(path, obj, id=path) for path, obj in public_objects() if path not in WITHOUT_EXAMPLE],
)
def test_docstring_has_an_example(path, obj):
    assert ">>>" in inspect.getdoc(obj), f"{path} shows no example"


def test_all_public_names_resolve():
    for name in sksoft.__all__:
        assert getattr(sksoft, name) is not None
    assert set(sksoft.__all__) <= set(dir(sksoft))
    with pytest.raises(AttributeError, match="module 'sksoft' has no attribute 'nothing'"):
        _ = sksoft.nothing
