"""
From the features of any network to factors
===========================================

A network that was trained on many tasks holds the factors behind them, as linear
mixtures of its features. Here scikit-learn's own network is the one: we count the
factors in its hidden units, rotate to them by the heads of the tasks alone, and ask
which of the results to trust. Nothing in this needs torch.
"""

# %%
# A network on many tasks
# -----------------------
#
# Inputs are a nonlinear mixture of five correlated factors. Each of 80 tasks depends on
# about half of the factors. The last hidden layer has 24 units.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA, FastICA
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler

from sparsedis.datasets import make_sparse_tasks, make_supports
from sparsedis.inspection import CorrelationMatrixDisplay, FactorTrustDisplay
from sparsedis.metrics import linear_r_score
from sparsedis.rotation import SparseRotation

N_FACTORS = 5


def make_tasks(supports):
    """Inputs, targets and factors of tasks with these supports."""
    return make_sparse_tasks(
        1000,
        len(supports),
        N_FACTORS,
        support=supports,
        mixing="mlp",
        rho=0.6,
        return_bunch=True,
        random_state=0,
    )


def hidden_units(data):
    """Train a network on all tasks at once; return its last hidden layer."""
    X = StandardScaler().fit_transform(data.data)
    network = MLPRegressor(
        hidden_layer_sizes=(64, 24),
        activation="tanh",
        max_iter=1000,
        early_stopping=True,
        n_iter_no_change=20,
        random_state=0,
    )
    network.fit(X, data.target / data.target.std(0))
    for weights, intercept in zip(
        network.coefs_[:-1], network.intercepts_[:-1], strict=True
    ):
        X = np.tanh(X @ weights + intercept)
    return X


data = make_tasks(make_supports(80, N_FACTORS, random_state=0))
H = hidden_units(data)
print(f"R of the hidden units: {linear_r_score(data.factors, H):.3f}")

# %%
# Count
# -----
#
# Heads of the tasks on the 24 units use five directions. The others are thousands of
# times weaker.

rotation = SparseRotation(random_state=0).fit(H, data.target)
print(rotation.count_)
print(rotation.rotation_)

strength = rotation.count_.strength
found = np.arange(1, len(strength) + 1) <= rotation.n_components_
figure, ax = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
for at, label, color in ((found, "counted", "#0072b2"), (~found, "not", "#8c8c8c")):
    ax.scatter(np.flatnonzero(at) + 1, strength[at], label=label, color=color)
ax.set(yscale="log", xlabel="direction of the hidden units", ylabel="strength in heads")
ax.legend(frameon=False)

# %%
# Rotate
# ------
#
# Three coordinate systems of the same five directions: principal components,
# independent components, and those in which the heads are sparsest. Since the factors
# are correlated, independent components are not the factors. The heads tell, without
# seeing any.

Z = rotation.transform(H)
figure, axes = plt.subplots(1, 3, figsize=(10, 4.2), layout="constrained")
for ax, name, codes in (
    (axes[0], "PCA", PCA(N_FACTORS).fit_transform(Z)),
    (
        axes[1],
        "ICA",
        FastICA(whiten="unit-variance", max_iter=1000, random_state=0).fit_transform(Z),
    ),
    (axes[2], "sparsest heads", Z),
):
    CorrelationMatrixDisplay.from_codes(data.factors, codes, ax=ax, colorbar=False)
    ax.set_title(f"{name}: {ax.get_title()}")
    ax.label_outer()

# %%
# Trust
# -----
#
# Each half of the tasks is rotated by itself. Where both lead to the same features,
# these are trusted. On the right a task uses all of the first three factors or none, so
# that no rotation can tell these apart: halves of the tasks disagree on three features,
# and agree on the two others, which are factors.

tied = make_supports(80, N_FACTORS, random_state=0)
tied[:, 1:3] = tied[:, :1]
tied = tied[tied.any(1)]
tied_data = make_tasks(tied)
tied_units = hidden_units(tied_data)
tied_rotation = SparseRotation(random_state=0).fit(tied_units, tied_data.target)

figure, axes = plt.subplots(2, 2, figsize=(8, 6.4), layout="constrained")
for (above, below), model, units, tasks, name in (
    (axes[:, 0], rotation, H, data, "tasks that vary"),
    (axes[:, 1], tied_rotation, tied_units, tied_data, "three factors tied"),
):
    CorrelationMatrixDisplay.from_codes(
        tasks.factors, model.transform(units), ax=above, colorbar=False
    )
    above.set_title(f"{name}: {above.get_title()}")
    FactorTrustDisplay.from_estimator(model, ax=below)

plt.show()
