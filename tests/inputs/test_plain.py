"""Entries that are not known, or not the numbers they seem to be, are refused."""

import numpy as np
import pandas as pd
import pytest
import torch

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
        torch.tensor(0.0),
        np.ma.masked_array(X),
        pd.DataFrame(X),
        DATES,
        LABELS,
        None,
    ],
)
def test_what_is_plain(array):
    assert check_plain(array, "it") is None


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
