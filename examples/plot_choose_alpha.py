"""
Choosing the penalty
====================

With Lasso heads in training (``rotation=None``), as in the paper, how strong should
their penalty be? (By default there is none to choose: heads are made sparse after the
training, :ref:`sphx_glr_auto_examples_plot_sparse_rotation.py`.) Where the factors
behind the data are known, as in simulations, a grid search can measure how well they
are found. Where they are not, the usual answer, the alpha with the best predictions, is
the wrong one: heads predict as well from mixed features. What helps is to train with
several seeds, and to see from which alpha on all of them find the same features."""

# %%
# Inputs are a nonlinear mixture of four correlated factors. Each of 50 tasks depends on
# about half of the factors. One part of the inputs is kept for the end.

import matplotlib.pyplot as plt
import sklearn
from sklearn.model_selection import GridSearchCV, train_test_split

from sparsedis import SparseMultiTaskRepresentation
from sparsedis.datasets import make_sparse_tasks
from sparsedis.inspection import AlphaPathDisplay, CorrelationMatrixDisplay
from sparsedis.metrics import (
    make_disentanglement_scorer,
    mean_correlation_coefficient,
)
from sparsedis.model_selection import UDRSearch

data = make_sparse_tasks(
    n_samples=600,
    n_tasks=50,
    n_factors=4,
    mixing="mlp",
    rho=0.5,
    noise_ratio=0.3,
    return_bunch=True,
    random_state=0,
)
X, X_test, Y, Y_test, factors, factors_test = train_test_split(
    data.data, data.target, data.factors, test_size=1 / 3, random_state=0
)
est = SparseMultiTaskRepresentation(
    n_components=4, rotation=None, max_iter=120, random_state=0
)
grid = {"alpha": [0.01, 0.03, 0.1, 0.2, 0.4, 0.7]}

# %%
# With the factors
# ----------------
#
# A grid search can compute several scores at once. The scorer of disentanglement gets
# the factors as metadata, which scikit-learn routes when asked to; `fit` never sees
# them. The share of features that a head uses is a score like any other.

sklearn.set_config(enable_metadata_routing=True)


def prediction(estimator, X, y):
    """Mean R2 of the tasks."""
    return estimator.score(X, y)


def features_used(estimator, X, y):
    """Mean share of the features that a head uses."""
    return estimator.support_.mean()


search = GridSearchCV(
    est,
    grid,
    scoring={
        "r2": prediction,
        "mcc": make_disentanglement_scorer("mcc"),
        "features_used": features_used,
    },
    refit="mcc",
    cv=3,
    n_jobs=2,
).fit(X, Y, factors=factors)
display = AlphaPathDisplay.from_estimator(search)

# %%
# Predictions are a poor guide: they are best while the factors are still mixed, and get
# worse where the penalty takes away features that tasks need a little.

by_prediction = search.cv_results_["mean_test_r2"].argmax()
print(f"best alpha by R2:  {grid['alpha'][by_prediction]}")
print(f"best alpha by MCC: {search.best_params_['alpha']}")

# %%
# Without the factors
# -------------------
#
# Unsupervised disentanglement ranking (UDR) trains every alpha with several seeds, and
# scores how well the features of the seeds agree, up to order and scale. Mixed features
# are mixed in a different way by every seed.

udr = UDRSearch(est, grid, n_seeds=4, n_jobs=2, random_state=0).fit(X, Y)
display = AlphaPathDisplay.from_estimator(udr, metrics={"score": "UDR"})
print(f"best alpha by UDR: {udr.best_params_['alpha']}")

# %%
# What the choice means
# ---------------------
#
# The features on the part of the inputs that was kept: on the left for the alpha with
# the best predictions, on the right for the alpha that UDR chose without the factors.
# What is left off the diagonal there is the correlation of the factors themselves.

figure, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
by_prediction = sklearn.clone(est).set_params(alpha=grid["alpha"][by_prediction])
for ax, name, model in (
    (axes[0], "chosen by R2", by_prediction.fit(X, Y)),
    (axes[1], "chosen by UDR", udr.best_estimator_),
):
    display = CorrelationMatrixDisplay.from_estimator(
        model, X_test, factors_test, ax=ax, colorbar=False
    )
    r2 = model.score(X_test, Y_test)
    ax.set_title(f"{name}: R2 = {r2:.2f}, {ax.get_title()}")

# %%
# The default, for comparison: trained with Ridge heads, counted and rotated.

default = SparseMultiTaskRepresentation(random_state=0).fit(X, Y)
mcc = mean_correlation_coefficient(factors_test, default.transform(X_test))
r2 = default.score(X_test, Y_test)
print(f"the default: {default.n_components_} features, R2 = {r2:.2f}, MCC = {mcc:.3f}")

plt.show()
