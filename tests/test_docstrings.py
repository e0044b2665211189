"""Every public name explains itself: numpydoc's rules, types, and an example that runs.

The examples themselves are run as doctests.
"""

import importlib
import inspect
import pkgutil
import re
from functools import cached_property
from pathlib import Path

import pytest
from numpydoc.validate import validate

import sparsedis

# numpydoc's codes; what is not here (See Also, extended summaries, where the first
# line starts) is left to taste. SS05, which wants "Fit" for "Fits", takes every noun
# in the plural for a verb.
CHECKS = {
    "GL08",  # there is a docstring
    "GL03",  # no double blank lines
    "GL07",  # the sections stand in numpydoc's order
    "SS01",  # there is a summary,
    "SS02",  # which starts with a capital letter,
    "SS03",  # ends with a period
    "SS04",  # and has no leading spaces
    "PR01",  # every parameter is documented,
    "PR02",  # no other one is,
    "PR03",  # in the order of the signature,
    "PR04",  # with a type
    "PR07",  # and a description,
    "PR08",  # which starts with a capital letter
    "PR09",  # and ends with a period
    "PR10",  # `name : type`, with a space before the colon
    "RT01",  # what is returned is documented,
    "RT03",  # with a description,
    "RT04",  # which starts with a capital letter
    "RT05",  # and ends with a period
    "YD01",  # what is yielded is documented
}
EXAMPLE_MISSING = "EX01"


def _public_modules():
    """Sparsedis and what lies in it without a leading underscore on the API page."""
    found = pkgutil.iter_modules(sparsedis.__path__)
    names = sorted(module.name for module in found if module.name[0] != "_")
    deep = ["sparsedis.solvers.losses", "sparsedis.solvers.penalties"]
    return ["sparsedis", *(f"sparsedis.{name}" for name in names), *deep]


def _public_names(module):
    """Names in `__all__` or, without it, those defined in the module itself."""
    if hasattr(module, "__all__"):
        return module.__all__
    return [
        name
        for name, thing in vars(module).items()
        if name[0] != "_" and getattr(thing, "__module__", None) == module.__name__
    ]


def _public_objects():
    """Dotted names of the public functions and classes, each at one place only."""
    places = {}
    for module_name in _public_modules():
        module = importlib.import_module(module_name)
        for name in _public_names(module):
            thing = getattr(module, name)
            if inspect.isclass(thing) or inspect.isroutine(thing):
                places.setdefault(thing, f"{module_name}.{name}")
    return sorted(places.values())


def _documented_above(cls, name):
    """Whether a method has its text from the one that it overrides."""
    own, *others = (c for c in cls.__mro__ if name in vars(c))
    return not vars(own)[name].__doc__ and any(vars(c)[name].__doc__ for c in others)


def _public_methods():
    """Dotted names of the methods and properties written in sparsedis itself."""
    methods = []
    for class_name in _public_objects():
        module_name, _, name = class_name.rpartition(".")
        cls = getattr(importlib.import_module(module_name), name)
        if not inspect.isclass(cls):
            continue
        for name in dir(cls):
            attribute = inspect.getattr_static(cls, name)
            owner = next(c for c in cls.__mro__ if name in vars(c))
            if _documented_above(cls, name):
                continue
            if (
                not name.startswith("_")
                and owner.__module__.startswith("sparsedis")
                and (
                    inspect.isfunction(attribute)
                    or isinstance(
                        attribute,
                        (property, cached_property, classmethod, staticmethod),
                    )
                )
            ):
                methods.append(f"{class_name}.{name}")
    return methods


def _complaints(name, checks):
    """Errors of numpydoc in a docstring, one per line."""
    report = validate(name)
    return "\n".join(
        f"{name}: {code} {message}"
        for code, message in report["errors"]
        if code in checks
    )


@pytest.mark.parametrize("name", _public_modules())
def test_public_module_says_what_it_is_for(name):
    assert importlib.import_module(name).__doc__, f"{name} has no docstring"


@pytest.mark.parametrize("name", _public_objects())
def test_public_function_or_class(name):
    complaints = _complaints(name, CHECKS | {EXAMPLE_MISSING})
    assert not complaints, complaints


@pytest.mark.parametrize("name", _public_methods())
def test_public_method(name):
    complaints = _complaints(name, CHECKS)
    assert not complaints, complaints


def _untyped(function):
    """Parameters without a type, and "return" if what is returned has none."""
    signature = inspect.signature(inspect.unwrap(function))
    parameters = [p for p in signature.parameters.values() if p.annotation is p.empty]
    names = [p.name for p in parameters if p.name not in ("self", "cls")]
    return names + ["return"] * (signature.return_annotation is signature.empty)


@pytest.mark.parametrize("name", _public_objects())
def test_types_of_public_function_or_class(name):
    module_name, _, own = name.rpartition(".")
    thing = getattr(importlib.import_module(module_name), own)
    function = thing.__init__ if inspect.isclass(thing) else thing
    assert function is object.__init__ or not _untyped(function)


@pytest.mark.parametrize("name", _public_methods())
def test_types_of_public_method(name):
    class_name, _, own = name.rpartition(".")
    module_name, _, class_name = class_name.rpartition(".")
    cls = getattr(importlib.import_module(module_name), class_name)
    method = inspect.getattr_static(cls, own)
    for way in ("fget", "func", "__func__"):
        method = getattr(method, way, method)
    assert not _untyped(method)


def test_api_reference_lists_the_public_names():
    page = Path(__file__).parents[1] / "doc" / "api.rst"
    listed = re.findall(r"^   (sparsedis\.[\w.]+)$", page.read_text(), re.MULTILINE)
    assert sorted(listed) == _public_objects()
