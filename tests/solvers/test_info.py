"""Certificates of solutions."""

import warnings

import pytest
import torch
from sklearn.exceptions import ConvergenceWarning

from sparsedis.solvers._info import SolverInfo, warn_if_not_converged


@pytest.fixture
def info():
    gap = torch.tensor([1e-15, 2e-3, 0.0, 5e-7, 1e-14, 1e-13])
    support = torch.tensor([[True, False, False]] * 6)
    return SolverInfo(gap, torch.arange(6), gap <= 1e-12, support)


def test_repr_sums_up(info):
    assert repr(info) == (
        "SolverInfo(6 problems, 4 converged, largest relative gap 2.0e-03, "
        "active share 0.33)"
    )


def test_reshape_unflattens_every_part(info):
    square = info.reshape((2, 3))
    assert square.gap.shape == square.n_iter.shape == square.converged.shape == (2, 3)
    assert square.support.shape == (2, 3, 3)
    assert torch.equal(square.gap.flatten(), info.gap)


def test_one_warning_names_the_tasks_and_the_way_out(info):
    with pytest.warns(ConvergenceWarning, match=r"lasso: 2 of 6 .*task 1, 3\)") as log:
        warn_if_not_converged(info, 1e-12, "lasso")
    assert len(log) == 1
    assert "2.0e-03" in str(log[0].message)
    assert "Increase max_iter" in str(log[0].message)


def test_no_warning_where_all_converged(info):
    good = SolverInfo(info.gap, info.n_iter, torch.ones(6, dtype=bool), info.support)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_not_converged(good, 1e-2, "lasso")
