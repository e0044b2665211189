"""
Sparse heads on the features of a frozen network
================================================

A network that was trained for one purpose makes the features for another. How many of
them does each new task need? :class:`~sparsedis.heads.SparseHeadsClassifierCV` fits a
sparse logistic regression to every task, whose labels may be missing, and chooses the
penalty of each by cross-validation.

Two controls keep the answer honest. Dense logistic regressions say what the sparsity
costs. Heads of shuffled labels say what would be selected if there were nothing to
learn.
"""

# %%
# The features: 256 hidden units of a network that was trained to tell the digits 0 to 4
# apart. It has never seen a 5, 6, 7, 8 or 9, which the tasks are about. Half of the
# images are kept for the scores. Of the others, each task has labels for a random half.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from sparsedis.heads import SparseHeadsClassifierCV

images, digits = load_digits(return_X_y=True)
images, base = images / 16, digits < 5
network = MLPClassifier((256,), max_iter=300, random_state=0)
network.fit(images[base], digits[base])
hidden = images[~base] @ network.coefs_[0] + network.intercepts_[0]
X, digits = np.maximum(hidden, 0), digits[~base]

tasks = {f"is a {digit}": digits == digit for digit in range(5, 10)}
tasks["is even"] = digits % 2 == 0
tasks["has a closed loop"] = np.isin(digits, [6, 8, 9])
tasks["is above 7"] = digits > 7
Y = np.column_stack(list(tasks.values())).astype(float)

X_train, X_test, Y_train, Y_test = train_test_split(
    X, Y, test_size=0.5, stratify=digits, random_state=0
)
scaler = StandardScaler().fit(X_train)
X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)
rng = np.random.default_rng(0)
given = rng.random(Y_train.shape) < 0.5
labels = np.where(given, Y_train, np.nan)

# %%
# The heads. The largest penalty within one standard error of the best keeps few
# features.


def fit_heads(labels):
    """Sparse heads of all tasks."""
    heads = SparseHeadsClassifierCV(15, eps=0.05, cv=3, selection="1se")
    return heads.fit(X_train, labels)


def areas(scores):
    """Area under the ROC curve of each task, on new images."""
    return np.array(
        [roc_auc_score(y, s) for y, s in zip(Y_test.T, scores, strict=True)]
    )


def areas_of(heads):
    """The same of sparse heads."""
    return areas([p[:, 1] for p in heads.predict_proba(X_test)])


sparse = fit_heads(labels)
area, n_used = areas_of(sparse), (sparse.coef_ != 0).sum(1)

# %%
# The controls: dense heads of the same labels, and sparse heads of labels that are
# shuffled within each task.

dense = []
for t in range(len(tasks)):
    rows = given[:, t]
    model = LogisticRegressionCV(
        Cs=np.logspace(-4, 0, 6),
        l1_ratios=(0,),
        cv=3,
        scoring="neg_log_loss",
        max_iter=2000,
        use_legacy_attributes=False,
    )
    model.fit(X_train[rows], Y_train[rows, t])
    dense.append(model.decision_function(X_test))
dense_area = areas(dense)

shuffled = labels.copy()
for t in range(len(tasks)):
    shuffled[given[:, t], t] = rng.permutation(labels[given[:, t], t])
chance = fit_heads(shuffled)
chance_area, n_chance = areas_of(chance), (chance.coef_ != 0).sum(1)

# %%
# Are the selected features those of the task, or of the sample? Heads of the labels
# that were left out, which share no label with the others, use some of the same
# features. Sets of these sizes that are drawn at random share fewer.

other = fit_heads(np.where(given, np.nan, Y_train))
used, used_again = sparse.coef_ != 0, other.coef_ != 0
shared = (used & used_again).sum(1)
expected = n_used * used_again.sum(1) / X.shape[1]

print(f"{'task':>18}  AUC  dense  shuffled  features  shuffled  shared (by chance)")
for t, name in enumerate(tasks):
    print(
        f"{name:>18} {area[t]:.3f} {dense_area[t]:.3f}     {chance_area[t]:.3f} "
        f"{n_used[t]:9d} {n_chance[t]:9d} {shared[t]:7d} ({expected[t]:.1f})"
    )

figure, (left, right) = plt.subplots(
    1, 2, figsize=(8.5, 3.6), sharey=True, layout="constrained"
)
at = np.arange(len(tasks))
for values, marker, label in [
    (dense_area, "s", "dense, 256 features"),
    (area, "o", "sparse"),
    (chance_area, "x", "sparse, shuffled labels"),
]:
    left.plot(values, at, marker, label=label)
left.set(xlabel="AUC on new images", yticks=at, yticklabels=list(tasks))
left.invert_yaxis()
left.legend(loc="center")
for offset, values, color, label in [
    (-0.27, n_used, "C1", "sparse"),
    (0.0, shared, "C4", "also with other labels"),
    (0.27, n_chance, "C2", "shuffled labels"),
]:
    right.barh(at + offset, values, 0.25, color=color, label=label)
right.set(xlabel="features in use, of 256")
right.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
plt.show()

# %%
# Heads of 10 to 22 of the 256 features lose at most 0.01 of the area under the curve.
# About half of these features are selected again from labels that share none with the
# first ones, and one or two would be by chance. From shuffled labels none is selected.
# With two other seeds, the largest loss is 0.03, and a task of shuffled labels has up
# to 8 features.
