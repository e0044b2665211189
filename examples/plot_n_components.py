"""
How many features?
==================

The number of features is a guess: nobody knows how many factors are behind the data.
Too few, and the tasks cannot be predicted; too many, and features have to share a
factor, or stay idle. Held-out predictions of the tasks tell the first, the share of
features that heads use hints at the second.
"""

# %%
# Inputs are a mixture of six correlated factors, and each of 80 tasks depends on about
# half of them. We try two to twelve features, with three-fold cross-validation, and
# record beside R2 how many features each head uses and, since these data are simulated,
# how well the best six features match the factors.

import matplotlib.pyplot as plt
import sklearn
from sklearn.model_selection import GridSearchCV

from sparsedis import SparseMultiTaskRepresentation
from sparsedis.datasets import make_sparse_tasks
from sparsedis.inspection import AlphaPathDisplay
from sparsedis.metrics import make_disentanglement_scorer

sklearn.set_config(enable_metadata_routing=True)
data = make_sparse_tasks(
    n_samples=600, n_tasks=80, n_factors=6, rho=0.5, return_bunch=True, random_state=0
)


def r2(estimator, X, y):
    """Mean R2 of the tasks."""
    return estimator.score(X, y)


def features_per_head(estimator, X, y):
    """Mean number of features that a head uses."""
    return estimator.support_.sum(1).mean()


search = GridSearchCV(
    SparseMultiTaskRepresentation(rotation=None, max_iter=150, random_state=0),
    {"n_components": [2, 4, 5, 6, 7, 8, 12]},
    scoring={
        "r2": r2,
        "features_per_head": features_per_head,
        "mcc": make_disentanglement_scorer("mcc"),
    },
    refit=False,
    cv=3,
    n_jobs=2,
).fit(data.data, data.target, factors=data.factors)

# %%
# Predictions get better with every feature up to the sixth, and hardly after it: the
# bend is at the number of factors. There heads use the fewest features for what they
# predict, since none has to mix factors, nor share one. Further features do little
# harm: the best six match the factors nearly as well. When in doubt, take some more.

AlphaPathDisplay.from_estimator(search, param_name="n_components")
plt.show()
