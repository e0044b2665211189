"""One representation of synthetic tasks: what is trained, and how it is measured.

Six correlated Gaussian factors, mixed linearly, and the default encoder for tables. The
factors can be found almost perfectly, so that what keeps a study from an MCC of 1 is
the tasks or the penalty.
"""

import numpy as np
import torch

from sparsedis import SparseMultiTaskRepresentation
from sparsedis.datasets import (
    SparseTaskModel,
    SparseTaskStream,
    make_task_coefficients,
    make_task_targets,
)
from sparsedis.metrics import linear_r_score, mean_correlation_coefficient

N_FACTORS = 6
N_TEST = 3000
DEFAULTS = {
    "rho": 0.0,
    "n_components": N_FACTORS,
    "alpha": 0.4,
    "support": "bernoulli",
    "p": 0.5,
    "distribution": "gaussian",
    "n_tasks": 100,
    "n_samples": 100,
    "max_iter": 400,
}
RESULTS = ("mcc", "r", "active", "n_dead")
METRICS = {"mcc": "MCC", "r": "R"}


def grid(n_seeds, levels, **changes):
    """Make the settings of all levels and seeds.

    Parameters
    ----------
    n_seeds : int
        Number of seeds.

    levels : list of dict
        What each level changes of `DEFAULTS`, or adds.

    **changes : dict
        The same for all levels.

    Returns
    -------
    list of dict
        The settings, those of the first seed first.
    """
    return [
        {**DEFAULTS, **changes, **level, "seed": seed}
        for seed in range(n_seeds)
        for level in levels
    ]


def make_model(setting):
    """Make the model of a setting's inputs."""
    return SparseTaskModel(N_FACTORS, rho=setting["rho"], random_state=setting["seed"])


def make_generator(setting):
    """Make the generator of a setting's tasks, apart from that of its model."""
    return np.random.default_rng([setting["seed"], 1])


def make_estimator(setting, **changes):
    """Make the estimator of a setting."""
    torch.set_num_threads(1)
    return SparseMultiTaskRepresentation(
        setting["n_components"],
        rotation=None,
        penalty="l1",
        alpha=setting["alpha"],
        max_iter=setting["max_iter"],
        random_state=setting["seed"],
        **changes,
    )


def run_stream(setting):
    """Train on fresh tasks at every step; results with the keys of `RESULTS`."""
    model = make_model(setting)
    stream = SparseTaskStream(
        model,
        n_tasks=setting["n_tasks"],
        n_samples=setting["n_samples"],
        support=setting["support"],
        p=setting["p"],
        distribution=setting["distribution"],
        random_state=make_generator(setting),
    )
    return measure(make_estimator(setting).fit_stream(stream), model)


def run_table(setting, **changes):
    """Train on one table of tasks; results with the keys of `RESULTS`."""
    model, X, Y = make_table(setting)
    return measure(make_estimator(setting, **changes).fit(X, Y), model)


def make_table(setting):
    """Make the model, the inputs and the targets of a setting, one column a task."""
    model = make_model(setting)
    rng = make_generator(setting)
    X, factors = model.sample(setting["n_samples"], random_state=rng)
    coef = make_task_coefficients(
        setting["n_tasks"],
        N_FACTORS,
        support=setting["support"],
        p=setting["p"],
        distribution=setting["distribution"],
        random_state=rng,
    )
    return model, X, make_task_targets(factors, coef, random_state=rng).T


def make_test(model):
    """Make independent factors, and the inputs that they give."""
    # Correlated test factors would flatter a mixture of them. No generator of a setting
    # gives these: its last number is another one.
    factors = np.random.default_rng([0, 2]).standard_normal((N_TEST, N_FACTORS))
    return factors, model.mix(factors)


def measure(est, model):
    """Measure MCC and R on independent factors, and how the features are used."""
    factors, X = make_test(model)
    codes = est.transform(X)
    usage = est.feature_usage_
    if hasattr(est, "coef_"):
        usage = usage / len(est.coef_)
    return {
        "mcc": mean_correlation_coefficient(factors, codes),
        "r": linear_r_score(factors, codes),
        "active": usage.sum(),
        # Next to no head uses them.
        "n_dead": (usage < 0.01).sum(),
    }
