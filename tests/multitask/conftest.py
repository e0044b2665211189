"""What several tests of predictions need."""

import numpy as np
import onnxruntime
import pytest
import torch
from scipy.spatial.distance import cdist


@pytest.fixture(scope="session")
def kernels():
    """Function to both kernels of inputs and rows, one after the other."""

    def found(X, rows, unit):
        varies = np.isfinite(unit)
        X, rows = (part[:, varies] / unit[varies] for part in (X, rows))
        p = varies.sum()
        root_mean_square = cdist(X, rows) / np.sqrt(p)
        mean = cdist(X, rows, "cityblock") / p
        return np.exp(-0.5 * np.hstack([root_mean_square, mean]))

    return found


@pytest.fixture(scope="session")
def of_inputs(kernels):
    """Function to the predictions of the models on X: lines, and those of kernels."""

    def found(linear, X):
        lines = X @ linear.coef.T + linear.intercept
        K = kernels(X, linear.rows, linear.unit_of_inputs)
        curves = K @ linear.kernel.T + linear.kernel_intercept
        return lines + linear.kernel_share * (curves - lines)

    return found


@pytest.fixture
def exported(tmp_path):
    """Function to the predictions of an estimator from ONNX, for any number of rows."""

    def export(est, X):
        path = tmp_path / "model.onnx"
        torch.onnx.export(
            est.to_torch(),
            (torch.from_numpy(X[:5]),),
            path,
            input_names=["X"],
            dynamic_shapes=({0: torch.export.Dim("n")},),
            verbose=False,
        )
        session = onnxruntime.InferenceSession(path)
        return lambda rows: session.run(None, {"X": rows})[0]

    return export
