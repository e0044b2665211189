"""Solutions of earlier calls as starting points."""

from functools import partial

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sparsedis.implicit import glm, lasso, logistic, multitask_lasso
from sparsedis.solvers import _arrays
from sparsedis.solvers.losses import Huber, Multinomial, Poisson, Squared
from sparsedis.solvers.penalties import L1, L2, MCP, GroupL1, NonNegativeL1


def outputs(y):
    return torch.stack([y, y * y], -1)


def classes(y):
    """Labels 0 to 2; the first task has no sample of class 0."""
    labels = (y > -1).int() + (y > 1)
    return torch.cat([labels[:1].clamp_min(1), labels[1:]])


# Layers as functions of Z, y and options.
LAYERS = {
    "lasso": lambda Z, y, **how: lasso(Z, y, 0.05, solver="batched", **how),
    "multitask_lasso": lambda Z, y, **how: multitask_lasso(Z, outputs(y), 0.3, **how),
    "logistic": lambda Z, y, **how: logistic(Z, y > 0, 0.03, solver="batched", **how),
    "multinomial": lambda Z, y, **how: logistic(Z, classes(y), 0.03, **how),
    "smooth multinomial": lambda Z, y, **how: logistic(
        Z, classes(y), 0.0, l2=0.1, **how
    ),
    "glm": lambda Z, y, **how: glm(Z, y, 0.1, loss=Huber(), penalty=L1(), **how),
    "smooth glm": lambda Z, y, **how: glm(
        Z, y.abs().round(), 0.1, loss=Poisson(), penalty=L2(), **how
    ),
    "glm of signs": lambda Z, y, **how: glm(
        Z, y, 0.1, loss=Squared(), penalty=NonNegativeL1(), **how
    ),
    "glm of vectors": lambda Z, y, **how: glm(
        *(Z, outputs(y), 0.3),
        loss=Squared(),
        penalty=GroupL1(),
        multi_output=True,
        **how,
    ),
    "glm of classes": lambda Z, y, **how: glm(
        Z[1:], classes(y)[1:], 0.03, loss=Multinomial(3), penalty=GroupL1(), **how
    ),
}


@pytest.fixture(params=LAYERS)
def layer(request):
    return LAYERS[request.param]


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    draw = partial(torch.randn, generator=generator, dtype=torch.float64)
    Z = 0.5 + draw(8, 60, 6) + draw(8, 60, 1)
    return Z, Z[..., 0] - Z[..., 1] + 0.5 * draw(8, 60)


def nearby(Z):
    return Z + 0.001 * Z.flip(-1).sin()


def parts(results):
    return results if isinstance(results, tuple) else (results,)


@pytest.mark.parametrize(
    ("fit_intercept", "factor"),
    [(False, 1.0), (True, 1.0), (True, -3.0), (False, 1e200)],
)
def test_results_do_not_depend_on_the_start(layer, data, fit_intercept, factor):
    Z, y = data
    how = {"fit_intercept": fit_intercept}
    start = [factor * part for part in parts(layer(nearby(Z), y, **how))]
    start = start if fit_intercept else start[0]
    leaf, other = Z.clone().requires_grad_(), Z.clone().requires_grad_()
    found = parts(layer(leaf, y, start=start, **how))
    expected = parts(layer(other, y, **how))
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-6, atol=1e-7)
    total = sum(part.sin().sum() for part in found)
    reference = sum(part.sin().sum() for part in expected)
    (gradient,) = torch.autograd.grad(total, leaf)
    (wanted,) = torch.autograd.grad(reference, other)
    torch.testing.assert_close(gradient, wanted, rtol=1e-5, atol=1e-6)


class Operations(TorchDispatchMode):
    """Count operations: the steps of different methods cost more or less of them."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += 1
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_a_solution_nearby_saves_work(monkeypatch, layer, data, fit_intercept):
    # Operations of NumPy are not counted.
    monkeypatch.setattr(_arrays, "_HOST", "none")
    Z, y = data
    how = {"fit_intercept": fit_intercept, "return_info": True}
    *start, _ = layer(nearby(Z), y, **how)
    start = start if fit_intercept else start[0]
    with Operations() as cold:
        layer(Z, y, **how)
    with Operations() as warm:
        *_, info = layer(Z, y, start=start, **how)
    assert bool(info.converged.all())
    assert warm.count < cold.count


def test_a_wide_lasso_saves_steps():
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(20, 40, 80, generator=generator)
    y = Z[..., :3].sum(-1) + 0.5 * torch.randn(20, 40, generator=generator)
    cold, start = lasso(Z, y, 0.1, solver="batched", return_info=True)[::-1]
    w, warm = lasso(Z, y, 0.1, start=start, return_info=True)
    torch.testing.assert_close(w, start)
    # One step confirms the signs.
    assert bool((warm.n_iter == 1).all())
    assert bool((cold.n_iter > warm.n_iter).all())


@pytest.mark.parametrize("unit", [1e-100, 1e100])
def test_starts_have_the_units_of_the_data(data, unit):
    Z, y = (part[:2] for part in data)
    w = lasso(unit * Z, y, 0.1 * unit)
    again, warm = lasso(unit * Z, y, 0.1 * unit, start=w, return_info=True)
    torch.testing.assert_close(again, w)
    assert bool((warm.n_iter == 1).all())


def test_one_start_for_all_tasks(data):
    Z, y = data
    start = lasso(Z[0], y[0], 0.1)
    torch.testing.assert_close(lasso(Z, y, 0.1, start=start), lasso(Z, y, 0.1))


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (torch.zeros(5), r"start must have the shape .* here \(8, 6\), got \(5,\)"),
        (torch.full((8, 6), torch.nan), "start must be finite"),
        ([0.0] * 6, "start must hold tensors, got list"),
        (torch.zeros(8, 6) + 1j, "start must be real, got torch.complex64"),
        (torch.zeros(8, 6).to_sparse(), "start must be a dense tensor"),
    ],
)
def test_bad_starts(data, start, message):
    for layer in (LAYERS["lasso"], LAYERS["logistic"], LAYERS["glm"]):
        with pytest.raises(ValueError, match=message):
            layer(*data, start=start)


def test_an_intercept_belongs_to_the_start(data):
    start = torch.zeros(8, 6)
    for layer in (LAYERS["lasso"], LAYERS["logistic"], LAYERS["glm"]):
        with pytest.raises(ValueError, match="start must be a pair of coefficients"):
            layer(*data, start=start, fit_intercept=True)


def test_solvers_that_do_not_use_a_start(data):
    start = torch.zeros(8, 6)
    Z, y = data
    for layer, targets in ((lasso, y), (logistic, y > 0)):
        with pytest.raises(ValueError, match="use solver='batched'"):
            layer(Z, targets, 0.1, start=start, solver="celer")
    with pytest.raises(ValueError, match="solution would depend on start"):
        glm(Z, y, 0.1, loss=Huber(), penalty=MCP(), start=start)
