"""
Which tasks separate which features
===================================

Sparse tasks tell features apart only if their supports do: for every two features some
task must use the first and not the second (Assumption 3.6 of Lachapelle et al., ICML
2023). Where no task does, the representation can mix the two at no cost. Here we look
at the tasks before any training, see what becomes of features that no task separates,
and how few further tasks suffice.
"""

# %%
# Tasks that use features together
# --------------------------------
#
# Six features come in two groups of three: a task uses all features of a group or none,
# as when every assay of a kind measures the same properties.

import matplotlib.pyplot as plt
import numpy as np

from sparsedis import SparseMultiTaskRepresentation
from sparsedis.datasets import make_sparse_tasks, make_supports
from sparsedis.identifiability import check_identifiability
from sparsedis.inspection import (
    CorrelationMatrixDisplay,
    FactorTrustDisplay,
    TaskSupportDisplay,
)
from sparsedis.metrics import mean_correlation_coefficient

N_FEATURES = 6
tied = make_supports(40, N_FEATURES, kind="blocks", block_size=3, random_state=0)


def make_tasks(supports):
    """Inputs, targets, factors and coefficients of tasks with these supports."""
    return make_sparse_tasks(
        600,
        len(supports),
        N_FEATURES,
        support=supports,
        return_bunch=True,
        random_state=0,
    )


report = check_identifiability(make_tasks(tied).coef)
print(report)

# %%
# On the left the tasks, as rows, similar ones together; on the right how many of them
# separate each pair of features. Within a group there is none.


def plot_tasks(supports, report):
    """The tasks, beside the pairs of features that they separate."""
    _, axes = plt.subplots(1, 2, figsize=(8, 3.8), layout="constrained")
    TaskSupportDisplay(supports=supports).plot(ax=axes[0])
    report.plot(ax=axes[1])


plot_tasks(tied, report)

# %%
# Further tasks
# -------------
#
# How many tasks that draw each feature on its own, as often as before, does it take to
# separate all pairs? Proposition B.7 gives a number that suffices with probability .95.

n_further = report.n_further_tasks()
print(f"{n_further} further tasks should do")
free = make_supports(4 * n_further, N_FEATURES, p=report.density, random_state=0)
enough = np.vstack([tied, free[:n_further]])
plot_tasks(enough, check_identifiability(make_tasks(enough).coef))

# %%
# What training makes of them
# ---------------------------
#
# Without further tasks, every feature that is learned stays within one group, but the
# features of a group are mixed: the MCC is low, though that of the groups (blocks), in
# which mixing is allowed, is high. With the tasks of the bound all features are
# factors.
#
# The bars below say how far halves of the tasks agree on each feature. Without further
# tasks they agree on hardly any. With the tasks of the bound they still disagree on
# one, though it is right: a half of the tasks has half of those that separate. With
# four times as many all features are trusted.

blocks = [[0, 1, 2], [3, 4, 5]]
figure, axes = plt.subplots(2, 3, figsize=(9, 6), layout="constrained")
for (ax, below), n_tasks in zip(axes.T, (0, n_further, len(free)), strict=True):
    data = make_tasks(np.vstack([tied, free[:n_tasks]]))
    est = SparseMultiTaskRepresentation(max_iter=250, random_state=0)
    est.fit(data.data, data.target)
    display = CorrelationMatrixDisplay.from_estimator(
        est, data.data, data.factors, ax=ax, colorbar=False
    )
    ax.set_title(f"{n_tasks} further tasks\n{ax.get_title()}")
    FactorTrustDisplay.from_estimator(est, ax=below)
    by_block = mean_correlation_coefficient(
        data.factors, est.transform(data.data), blocks=blocks
    )
    print(f"{n_tasks:>2} further tasks: MCC of the groups {by_block:.3f}")

# %%
# The heads that were learned
# ---------------------------
#
# The estimator of the last round tells which features its heads use, and whether these
# would separate the features: a hint where the true supports are not known.

TaskSupportDisplay.from_estimator(est)
print(est.identifiability(random_state=0))

plt.show()
