"""ONNX files of estimators predict the same in onnxruntime."""

import numpy as np
import pytest

from sparsedis import SparseMultiTaskClassifier
from sparsedis.datasets import make_sparse_tasks

pytestmark = [
    pytest.mark.filterwarnings(rf"ignore:{message}")
    for message in (
        "No head uses",
        ".* may not be factors",
        "The (tasks use all|encoder|features)",
        "A (separate )?Ridge",
        # The exporter of torch itself uses what torch deprecates.
        r"`isinstance\(treespec",
    )
]


def test_onnxruntime_predicts_the_same(exported):
    X, Y = make_sparse_tasks(100, 6, 3, random_state=0)
    X = X.astype(np.float32)
    est = SparseMultiTaskClassifier(3, max_iter=3, random_state=0).fit(X, Y > 0)
    expected = np.stack(est.predict_proba(X), 1)
    predict = exported(est, X)
    for n in (1, 100):
        np.testing.assert_allclose(predict(X[:n]), expected[:n], rtol=1e-5, atol=1e-5)
