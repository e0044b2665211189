"""Folds that divide the classes evenly, against scikit-learn."""

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from sparsedis.heads._strata import stratify


@pytest.mark.parametrize("n_folds", [2, 3, 5])
def test_strata_are_those_of_scikit_learn(n_folds):
    rng = np.random.default_rng(n_folds)
    labels = rng.permutation(np.repeat([0, 1, 2], [7, 12, 5]))
    folds = np.empty(24, dtype=int)
    for f, (_, test) in enumerate(StratifiedKFold(n_folds).split(labels, labels)):
        folds[test] = f
    np.testing.assert_array_equal(stratify(labels, n_folds), folds)
