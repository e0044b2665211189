"""Number of factors, counted from the heads of a separate training."""

from dataclasses import replace

import numpy as np

from sparsedis._warn import warn
from sparsedis.heads import LinearHead
from sparsedis.solvers.penalties import L2


def counting_problem(problem):
    """Ridge heads for counting, since they show the span of the factors.

    Parameters
    ----------
    problem : InnerProblem

    Returns
    -------
    InnerProblem
    """
    head = LinearHead(problem.head.loss, L2())
    return replace(problem, head=head, penalty_at="inner", alpha_mode="relative")


def n_outputs(table):
    """Outputs of all tasks that teach, a bound on the number of directions.

    Parameters
    ----------
    table : TaskTable

    Returns
    -------
    int
    """
    if table.n_classes is not None:
        return int((table.n_classes - 1).clip(1)[table.teaching].sum())
    labels = table.labels
    n_tasks = np.count_nonzero(table.teaching)
    return n_tasks * (1 if labels.is_scalar else labels.of(0)[1].shape[1])


def warn_of_count(factors, width):
    """Warn if no factors were counted, or if there could be more.

    Parameters
    ----------
    factors : Factors

    width : int or None
        Number of trained features; None if the encoder alone determines it.
    """
    found, n_tasks = factors.count.n_factors, len(factors.rotation.heads)
    if found == 0:
        warn(
            "No factors were found: the heads of the tasks are not larger than their "
            "errors. One feature is kept. Give tasks more labels, or raise max_iter.",
            UserWarning,
        )
    elif found == width and found < n_tasks:
        warn(
            f"The tasks use all {width} trained features: there may be more "
            f"factors. Set n_components to {2 * width}, for example.",
            UserWarning,
        )
