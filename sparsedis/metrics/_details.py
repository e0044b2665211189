"""Types of the metrics, whose result depends on `return_details`."""

from __future__ import annotations

from collections.abc import Callable
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    ParamSpec,
    Protocol,
    TypeVar,
    cast,
    overload,
)

P = ParamSpec("P")
Score = TypeVar("Score", covariant=True)

if TYPE_CHECKING:
    from sklearn.utils import Bunch

    class Details(Bunch):
        """Bunch that a metric returns with `return_details`."""


class Metric(Protocol[P, Score]):
    """A metric: its score, or details with ``return_details=True``."""

    @overload
    def __call__(
        self, *args: Any, return_details: Literal[True], **kwargs: Any
    ) -> Details: ...

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Score: ...


def scores_or_details(metric: Callable[P, Score | Details]) -> Metric[P, Score]:
    """Tell type checkers what a metric returns; it stays as it is.

    Parameters
    ----------
    metric : callable
        The metric.

    Returns
    -------
    callable
        The same.
    """
    return cast("Metric[P, Score]", metric)
