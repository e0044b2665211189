"""Layers inside of torch.func: batches and reverse mode."""

from functools import partial

import pytest
import torch
from torch.func import grad, jacrev, vjp, vmap

from sparsedis.implicit import lasso
from tests.implicit._transforms import (
    LAYERS,
    N_SAMPLES,
    N_TASKS,
    close,
    each,
    reference,
    score,
    task,
)


def test_vmap_is_a_loop(layer, inputs):
    close(vmap(layer)(*inputs), each(layer, inputs))


def test_vmap_of_any_axis(inputs):
    Z, y, alpha, l2 = inputs
    found = vmap(LAYERS["lasso"], (1, None, None, 0), -1)(
        Z.transpose(0, 1), y[0], alpha[0], l2
    )
    close(found, lasso(Z, y[0], alpha[0], l2=l2).T)


@pytest.mark.parametrize("name", ["y", "alpha", "mask", "sample_weight"])
def test_vmap_of_one_argument(name, inputs):
    Z, y, *_ = inputs
    given = {
        "y": y,
        "alpha": torch.tensor([0.05, 0.5]),
        "mask": torch.arange(N_SAMPLES) < torch.tensor([[9], [15]]),
        "sample_weight": y.square(),
    }[name]
    own = {"y": y, "alpha": 0.1}

    def solve(value):
        # A batch of tasks, also within vmap.
        return lasso(Z, **{**own, name: value})

    close(vmap(solve)(given), torch.stack([solve(value) for value in given]))


@pytest.mark.parametrize("name", ["mask", "sample_weight"])
def test_axes_of_arrays_are_those_of_tasks(name, inputs):
    Z, y, *_ = inputs
    # As many tasks as the axis of vmap has entries.
    array = (y.square() > 0.1).numpy() if name == "mask" else y.square().numpy()

    def solve(Z, y):
        return lasso(Z, y, 0.1, **{name: array})

    close(
        vmap(solve)(Z, y), torch.stack([solve(*own) for own in zip(Z, y, strict=True)])
    )


def test_lists_of_penalties_need_tasks(inputs):
    Z, y, *_ = inputs
    solve = partial(lasso, alpha=[0.1] * N_TASKS)
    with pytest.raises(ValueError, match="alpha must be a number or one per task"):
        solve(Z[0], y[0])
    with pytest.raises(ValueError, match="alpha must be a number or one per task"):
        vmap(solve)(Z, y)


def test_vmap_keeps_the_certificate(inputs):
    Z, y, alpha, _ = inputs

    def certify(Z, y, alpha):
        w, info = lasso(Z, y, alpha, return_info=True)
        assert info.certificate == "gap"
        return w, info.gap, info.support, info.converged

    w, gap, support, converged = vmap(certify)(Z, y, alpha)
    assert torch.equal(support, w != 0)
    assert gap.shape == converged.shape == (N_TASKS,)
    assert bool(converged.all())


def test_vmap_leaves_the_start_out(inputs):
    Z, y, alpha, _ = inputs
    start = lasso(Z[0], y[0], alpha[0])
    found = vmap(partial(lasso, start=start))(Z, y, alpha)
    close(found, lasso(Z, y, alpha))


def test_vmap_of_starts(inputs):
    Z, y, *_ = inputs
    expected = lasso(Z, y, 0.1, fit_intercept=True)

    def solve(w, b):
        return lasso(Z, y, 0.1, fit_intercept=True, start=(w, b))

    starts = (torch.stack([part, 2 * part]) for part in expected)
    for found, part in zip(vmap(solve)(*starts), expected, strict=True):
        close(found, torch.stack([part, part]))


def test_arguments_of_too_few_axes():
    for name, shapes in (("Z", [(5, 1), (5, 1)]), ("y", [(5, 1, 2), (5,)])):
        with pytest.raises(ValueError, match=f"{name} must have at least"):
            vmap(lasso, (0, 0, None))(*map(torch.ones, shapes), 0.1)


def test_grad_is_backward(layer, inputs):
    found = grad(partial(score, layer), (0, 2, 3))(*inputs)
    close(found, reference(layer, inputs))


def test_vmap_of_grad_is_a_loop(layer, inputs):
    found = vmap(grad(partial(score, layer), (0, 2, 3)))(*inputs)
    close(found, each(lambda *own: reference(layer, own), inputs))


def test_vmap_of_grad_with_a_shared_argument(inputs):
    Z, *rest = inputs
    layer = LAYERS["lasso"]
    # Every task has a gradient of its own in the shared features.
    found = vmap(grad(partial(score, layer)), (None, 0, 0, 0))(Z[0], *rest)
    shared = [Z[:1].expand_as(Z), *rest]
    close(found, each(lambda *own: reference(layer, own, (0,)), shared)[0])


def test_grad_of_vmap_is_the_sum(layer, inputs):
    Z, *rest = inputs

    def total(Z, *rest):
        return vmap(partial(score, layer), (None, 0, 0, 0))(Z, *rest).sum()

    expected = each(lambda *own: reference(layer, own), [Z[:1].expand_as(Z), *rest])
    found = grad(total, (0, 2, 3))(Z[0], *rest)
    close(found[0], expected[0].sum(0))
    close(found[1:], expected[1:])


def test_jacrev_is_the_jacobian(layer, inputs):
    Z, *rest = task(inputs, 0)
    expected = torch.autograd.functional.jacobian(lambda Z: layer(Z, *rest), Z)
    close(jacrev(layer)(Z, *rest), expected)


def test_vmap_of_jacrev_is_a_loop(inputs):
    layer = LAYERS["lasso"]
    close(vmap(jacrev(layer))(*inputs), each(jacrev(layer), inputs))


def test_nested_vmap_is_a_loop(inputs):
    Z, y, alpha, l2 = inputs
    one = grad(partial(score, LAYERS["ridge"]))
    found = vmap(vmap(one, (0, 0, None, None)), (None, None, 0, 0))(Z, y, alpha, l2)
    expected = [[one(Z[t], y[t], alpha[s], l2[s]) for t in range(3)] for s in range(3)]
    close(found, torch.stack([torch.stack(row) for row in expected]))


def test_vjp_keeps_its_solutions(inputs):
    Z, y, alpha, _ = inputs
    w, pull = vjp(lambda Z: lasso(Z, y, alpha), Z)
    for cotangent in (torch.ones_like(w), w):
        leaf = Z.clone().requires_grad_()
        (expected,) = torch.autograd.grad(lasso(leaf, y, alpha), leaf, cotangent)
        close(pull(cotangent)[0], expected)


def test_errors_within_vmap_are_those_of_the_layer(inputs):
    Z, y, *_ = inputs
    Z[1, 2] = torch.nan
    with pytest.raises(ValueError, match="Z must be finite"):
        vmap(lasso, (0, 0, None))(Z, y, 0.1)
