"""Other predictors of tables: task by task, or by one network.

Those of classes return the probability that a label is 1. TabPFN and TabICL are left
out: they download their weights when they first run.
"""

import numpy as np
import torch
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LassoCV, LogisticRegressionCV, RidgeCV
from sklearn.model_selection import StratifiedKFold
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

# Epochs of the network, epochs without improvement before it stops, rows of a step.
_EPOCHS, _PATIENCE, _BATCH = 200, 15, 64


def predict_ridge(X, Y, X_test, seed):
    """Ridge regression of each task, with a penalty chosen by leave-one-out."""
    return _each(RidgeCV(np.logspace(-3, 4, 15)), X, Y, X_test)


def predict_lasso(X, Y, X_test, seed):
    """Lasso of each task, with a penalty chosen by cross-validation."""
    return _each(LassoCV(max_iter=5000), X, Y, X_test)


def predict_boosting(X, Y, X_test, seed, classes=False):
    """Gradient boosting of trees, of each task."""
    kind = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    trees = kind(early_stopping=False, random_state=seed)
    return _each(trees, X, Y, X_test)


def predict_forest(X, Y, X_test, seed, classes=False):
    """Random forest of each task."""
    kind = RandomForestClassifier if classes else RandomForestRegressor
    forest = kind(100, min_samples_leaf=2, max_features=0.5, random_state=seed)
    return _each(forest, X, Y, X_test)


def predict_logistic(X, Y, X_test, seed):
    """Logistic regression of each task, with an l2 penalty chosen by log loss."""
    model = LogisticRegressionCV(
        Cs=np.logspace(-4, 2, 10),
        cv=StratifiedKFold(5, shuffle=True, random_state=seed),
        l1_ratios=(0.0,),
        scoring="neg_log_loss",
        use_legacy_attributes=False,
    )
    return _each(model, X, Y, X_test)


def _each(model, X, Y, X_test):
    columns = []
    for y in Y.T:
        at = ~np.isnan(y)
        model.fit(X[at], y[at])
        if hasattr(model, "predict_proba"):
            columns.append(model.predict_proba(X_test)[:, 1])
        else:
            columns.append(model.predict(X_test))
    return np.stack(columns, 1)


def predict_mlp(X, Y, X_test, seed, dropout=0.0, classes=False):
    """Network with one output per task, a masked loss and early stopping."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    mean, unit, error = 0.0, 1.0, binary_cross_entropy_with_logits
    if not classes:
        mean, unit, error = np.nanmean(Y, 0), np.nanstd(Y, 0), mse_loss
        unit = np.where(unit > 1e-12, unit, 1.0)
    inputs, inputs_test = (torch.tensor(a, dtype=torch.float32) for a in (X, X_test))
    mask = torch.tensor(~np.isnan(Y))
    targets = torch.tensor(np.nan_to_num((Y - mean) / unit), dtype=torch.float32)
    net = torch.nn.Sequential(
        torch.nn.Linear(X.shape[1], 256),
        torch.nn.ReLU(),
        torch.nn.Dropout(dropout),
        torch.nn.Linear(256, 256),
        torch.nn.ReLU(),
        torch.nn.Dropout(dropout),
        torch.nn.Linear(256, Y.shape[1]),
    )
    optimizer = torch.optim.AdamW(net.parameters(), 1e-3)
    order = rng.permutation(len(X))
    n_valid = max(5, len(X) // 10)
    valid, train = order[:n_valid], order[n_valid:]

    def loss(rows):
        errors = error(net(inputs[rows]), targets[rows], reduction="none") * mask[rows]
        return errors.sum() / mask[rows].sum().clamp(min=1)

    best, weights, worse = np.inf, None, 0
    for _ in range(_EPOCHS):
        net.train()
        shuffled = rng.permutation(train)
        for first in range(0, len(train), _BATCH):
            optimizer.zero_grad()
            loss(shuffled[first : first + _BATCH]).backward()
            optimizer.step()
        net.eval()
        with torch.no_grad():
            now = float(loss(valid))
        worse += 1
        if now < best - 1e-5:
            best, worse = now, 0
            weights = {name: t.clone() for name, t in net.state_dict().items()}
        if worse >= _PATIENCE:
            break
    net.load_state_dict(weights)
    with torch.no_grad():
        outputs = net(inputs_test)
    if classes:
        return outputs.sigmoid().numpy()
    return outputs.numpy() * unit + mean
