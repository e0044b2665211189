"""Whether the tasks of a data set identify its factors, whatever the estimator."""

import numpy as np

from sparsedis.identifiability import check_support_variability, check_task_variability


def identified(data):
    """Decide from the truth whether the tasks identify the factors.

    The rule: among the tasks that have labels, the true coefficients span all factors
    (Assumption 3.4), and the true supports tell all factors apart (Assumption 3.6).

    Parameters
    ----------
    data : Bunch
        See :func:`~benchmarks.factors._generate.make_data`.

    Returns
    -------
    bool
        Whether both hold.
    """
    labelled = np.isfinite(data.Y).any(axis=0)
    return all(
        check.verdict == "holds"
        for check in (
            check_task_variability(data.coef[labelled]),
            check_support_variability(data.supports[labelled]),
        )
    )
