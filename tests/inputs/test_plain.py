"""Entries that are not known, or not the numbers they seem to be, are refused."""

import numpy as np
import pandas as pd
import pytest
import torch

from sparsedis.inputs._forms import read_targets
from sparsedis.inputs._mixed import read_columns
from sparsedis.inputs._plain import check_plain

X = np.random.default_rng(0).standard_normal((40, 3))
LABELS = np.array(["lo", "mid", "hi"])[np.digitize(X[:, 0], [-0.4, 0.4])]
DATES = pd.date_range("2020", periods=40).to_numpy()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ma.masked_greater(X, 1), "masked entries"),
        (pd.DataFrame(X, columns=list("aab")), "several columns of one name"),
        (np.repeat(DATES[:, None], 2, 1), "must hold real numbers, got datetime"),
        (
            pd.DataFrame({"a": DATES, "b": DATES}),
            "must hold real numbers, got datetime",
        ),
        (np.append(DATES[:3], np.datetime64("NaT")), "holds NaT"),
    ],
)
def test_what_is_not_plain(array, message):
    with pytest.raises(
        ValueError, match=f"^it {message}|^it holds .*{message}|^it has"
    ):
        check_plain(array, "it")


@pytest.mark.parametrize(
    "array",
    [
        X,
        X.tolist(),
        torch.tensor(X),
        np.ma.masked_array(X),
        pd.DataFrame(X),
        DATES,
        LABELS,
        None,
    ],
)
def test_what_is_plain(array):
    assert check_plain(array, "it") is None


class Lazy:
    """A frame that is not collected, as of polars."""

    columns = ("a", "b")

    def collect(self):
        """Compute the values."""

    def __getitem__(self, at):
        raise TypeError


@pytest.mark.parametrize(
    ("single", "message"),
    [
        ({"a": X}, "got dict"),
        ({1.0, 2.0}, "got set"),
        ((row for row in X), "got generator"),
        ("text", "got str"),
        (3.0, "got float"),
        (np.float64(3), "got float64"),
        (torch.tensor(0.0), "got Tensor"),
        (Lazy(), r"got Lazy: call collect\(\)"),
    ],
)
def test_single_objects_are_refused(single, message):
    with pytest.raises(TypeError, match=f"^it must be an array, a list, .* {message}"):
        check_plain(single, "it")
    for real in (True, False):
        with pytest.raises(TypeError, match=f"^y must be .* {message}"):
            read_targets(single, 3, real=real, estimator="me")
    with pytest.raises(TypeError, match=f"^y must be .* {message}"):
        read_columns(single, 3, estimator="me")


@pytest.mark.parametrize(
    "tensor",
    [
        torch.ones(2, 3, requires_grad=True),
        torch.ones(2, 3, dtype=torch.bfloat16),
        torch.ones(2, 3, device="meta"),
    ],
)
def test_tensors_that_numpy_cannot_read(tensor):
    with pytest.raises(TypeError, match=r"^it is a tensor .* pass it\.detach\(\)"):
        check_plain(tensor, "it")
