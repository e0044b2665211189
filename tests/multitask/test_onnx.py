"""ONNX files of estimators predict the same in onnxruntime."""

import numpy as np
import onnxruntime
import pytest
import torch

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


def test_onnxruntime_predicts_the_same(tmp_path):
    X, Y = make_sparse_tasks(100, 6, 3, random_state=0)
    X = X.astype(np.float32)
    est = SparseMultiTaskClassifier(3, max_iter=3, random_state=0).fit(X, Y > 0)
    expected = np.stack(est.predict_proba(X), 1)
    torch.onnx.export(
        est.to_torch(),
        (torch.from_numpy(X[:5]),),
        tmp_path / "model.onnx",
        input_names=["X"],
        dynamic_shapes=({0: torch.export.Dim("n")},),
        verbose=False,
    )
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    for n in (1, 100):
        (found,) = session.run(None, {"X": X[:n]})
        np.testing.assert_allclose(found, expected[:n], rtol=1e-5, atol=1e-5)
