"""Declaration of estimator parameters as annotated fields, each documented once."""

import inspect
import re
from dataclasses import dataclass, fields
from typing import dataclass_transform

_COMPLETED = "Parameters", "Attributes"


@dataclass_transform(eq_default=False)
def declared(cls):
    """Make the ``__init__`` of an estimator from annotated fields of its class.

    A subclass declares only its additional fields. Its docstring documents these
    parameters and attributes, and inherits the other entries from its bases.

    Parameters
    ----------
    cls : type
        A class with annotated fields, like a dataclass.

    Returns
    -------
    type
        The class.

    Examples
    --------
    >>> from sparsedis.bilevel._declaration import declared
    >>> @declared
    ... class Base:
    ...     alpha: float = 1.0
    >>> @declared
    ... class Derived(Base):
    ...     beta: float = 2.0
    >>> vars(Derived(alpha=3.0))
    {'alpha': 3.0, 'beta': 2.0}
    """
    cls = dataclass(eq=False, repr=False)(cls)
    for field in fields(cls):
        # An instance has the parameters as attributes; the class has none.
        if field.name in vars(cls):
            delattr(cls, field.name)
    if cls.__doc__:
        _complete_docstring(cls)
    return cls


def _complete_docstring(cls):
    own = _sections(cls.__doc__)
    bases = [b for b in cls.__mro__[1:] if b.__module__.startswith("sparsedis.")]
    docs = [own, *(_sections(base.__doc__ or "") for base in bases)]
    order = list(inspect.signature(cls).parameters)
    for title in _COMPLETED:
        found = {}
        for doc in docs:
            for name, entry in _entries(doc.get(title, "")).items():
                found.setdefault(name, entry)
        if title == "Parameters":
            # An entry may document several parameters: "learn_alpha, learn_l2".
            found = {name: found[name] for name in _sorted(found, order)}
        own[title] = "\n\n".join(found.values())
    cls.__doc__ = "\n\n".join(
        body if title is None else f"{title}\n{'-' * len(title)}\n{body}"
        for title, body in own.items()
        if body
    )


def _sections(doc):
    """Bodies of the sections of a docstring by title; None is the text before them."""
    intro, *rest = re.split(r"^(\w[\w ]*)\n-{3,}\n", inspect.cleandoc(doc), flags=re.M)
    bodies = [body.strip("\n") for body in rest[1::2]]
    return {None: intro.strip("\n")} | dict(zip(rest[::2], bodies, strict=True))


def _entries(body):
    """Entries of a section by the names before the colon."""
    entries = re.split(r"\n+(?=\S)", body) if body else []
    return {entry.partition(" :")[0]: entry for entry in entries}


def _sorted(names, order):
    known = [name for name in names if name.partition(",")[0] in order]
    return sorted(known, key=lambda name: order.index(name.partition(",")[0]))
