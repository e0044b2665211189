"""
How many features?
==================

Nobody knows how many factors are behind the data, and nobody needs to: the encoder is
trained with more features than needed, and the directions that the heads of the tasks
really use are counted. We look at the evidence, and at what happens when the number is
set by hand.
"""

# %%
# Inputs are a nonlinear mixture of six correlated factors, and each of 80 tasks depends
# on about half of them. The encoder has 32 features, the heads of the tasks use six
# directions of them.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import train_test_split

from sparsedis import SparseMultiTaskRepresentation
from sparsedis.datasets import make_sparse_tasks
from sparsedis.metrics import mean_correlation_coefficient

data = make_sparse_tasks(
    n_samples=900,
    n_tasks=80,
    n_factors=6,
    mixing="mlp",
    rho=0.5,
    return_bunch=True,
    random_state=0,
)
X, X_test, Y, Y_test, factors, factors_test = train_test_split(
    data.data, data.target, data.factors, test_size=1 / 3, random_state=0
)
est = SparseMultiTaskRepresentation(max_iter=250, random_state=0).fit(X, Y)
print(est.count_)

# %%
# On the left the strength of each direction in the heads, less what errors of the heads
# explain; on the right the evidence of every number of factors: how likely the labels
# are with heads of so many directions, less what the choice of the directions costs.

count = est.count_
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
left.semilogy(np.arange(1, len(count.strength) + 1), count.strength, "o")
left.set(xlabel="direction", ylabel="strength in the heads")
lost = count.evidence.max() - count.evidence
right.semilogy(np.arange(len(lost)), np.maximum(lost, 1), "o")
right.axvline(count.n_factors, color="0.5", linestyle="--", linewidth=1)
right.set(xlabel="number of factors", ylabel="evidence below the largest (1 at least)")

# %%
# Set by hand
# -----------
#
# With too few features the heads predict worse, and the features are mixtures. With too
# many the best six still match the factors, but tasks use parts of the additional ones
# as well, and `fit` warns that some features may not be factors. With six, tasks use
# about as many features as they depend on factors (the dashed line). ``linear=None``
# leaves the predictions to the heads; by default models on the inputs make up for much
# of what features lack.

numbers, r2, mcc, used = [3, 4, 5, 6, 7, 8], [], [], []
for n_components in numbers:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # features that may not be factors
        model = SparseMultiTaskRepresentation(
            n_components, linear=None, max_iter=250, random_state=0
        ).fit(X, Y)
    r2.append(model.score(X_test, Y_test))
    mcc.append(mean_correlation_coefficient(factors_test, model.transform(X_test)))
    used.append(model.support_.sum(1).mean())

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
left.plot(numbers, r2, "o-", label="R2 of the tasks")
left.plot(numbers, mcc, "s--", label="MCC")
left.set(xlabel="n_components", ylim=(0, 1.03))
left.legend(loc="lower right", frameon=False)
right.plot(numbers, used, "o-")
right.axhline((data.coef != 0).sum(1).mean(), color="0.5", linestyle="--", linewidth=1)
right.set(xlabel="n_components", ylabel="features that a task uses")
print(f"counted: {est.n_components_} features, R2 {est.score(X_test, Y_test):.3f}")
plt.show()
