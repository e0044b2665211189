"""Base class of objects that are compared and printed by their parameters."""


class Value:
    """Base class of losses, penalties and heads."""

    def __repr__(self):
        shown = (f"{k}={v!r}" for k, v in sorted(vars(self).items()) if v is not None)
        return f"{type(self).__name__}({', '.join(shown)})"

    def __eq__(self, other):
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self):
        return hash((type(self), tuple(sorted(vars(self).items()))))
