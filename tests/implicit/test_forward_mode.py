"""Layers inside of torch.func: forward mode, and what is refused."""

from functools import partial

import pytest
import torch
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vjp, vmap

from sparsedis.implicit import lasso, ridge
from tests.implicit._transforms import (
    LAYERS,
    N_SAMPLES,
    close,
    each,
    forward_mode,
    score,
    task,
)


@pytest.fixture(params=[name for name in LAYERS if name != "svm"])
def forward_layer(request):
    return LAYERS[request.param]


@forward_mode
def test_forward_mode_is_that_of_reverse_mode(forward_layer, inputs):
    Z, y, alpha, l2 = task(inputs, 0)

    def solution(*theta):
        return forward_layer(theta[0], y, *theta[1:])

    theta, at = (Z, alpha, l2), (0, 1, 2)
    expected = jacrev(solution, at)(*theta)
    close(jacfwd(solution, at)(*theta), expected)
    tangents = Z.sin(), alpha + 1, l2 - 1
    w, found = jvp(solution, theta, tangents)
    close(w, solution(*theta))
    total = sum(
        (jacobian * t).reshape(*w.shape, -1).sum(-1)
        for jacobian, t in zip(expected, tangents, strict=True)
    )
    close(found, total)
    step = 1e-6
    high, low = (
        solution(*(p + sign * t for p, t in zip(theta, tangents, strict=True)))
        for sign in (step, -step)
    )
    torch.testing.assert_close(found, (high - low) / 2 / step, rtol=1e-6, atol=1e-7)
    with torch.autograd.forward_ad.dual_level():
        dual = map(torch.autograd.forward_ad.make_dual, theta, tangents)
        w, found = torch.autograd.forward_ad.unpack_dual(solution(*dual))
    close(w, solution(*theta))
    close(found, total)


@forward_mode
def test_forward_mode_of_batches(forward_layer, inputs):
    Z, y, alpha, l2 = inputs
    expected = each(jacrev(forward_layer), inputs)
    close(vmap(jacfwd(forward_layer))(*inputs), expected)
    # Tangents, features and penalties of which only some have the axis of vmap.
    tangents = torch.stack([Z.sin(), Z.cos()])

    def push(tangent, alpha):
        return jvp(lambda Z: forward_layer(Z, y, alpha, l2), (Z,), (tangent,))[1]

    alphas = torch.stack([alpha, 2 * alpha])
    found = vmap(push)(tangents, alphas)
    close(
        found, torch.stack([push(*both) for both in zip(tangents, alphas, strict=True)])
    )


@forward_mode
def test_forward_mode_with_all_arguments(inputs):
    Z, y, alpha, _ = inputs
    mask = torch.arange(N_SAMPLES) < torch.tensor([[N_SAMPLES], [9], [15]])
    weight = torch.linspace(1, 2, N_SAMPLES)
    how = {"mask": mask, "sample_weight": weight, "fit_intercept": True}

    def solution(Z, y, alpha):
        *results, info = lasso(Z, y, alpha, return_info=True, **how)
        assert bool(info.converged.all())
        return tuple(results)

    # Features that all tasks share, in single precision.
    primals = Z[0].float(), y.float(), alpha.float()
    tangents = tuple(map(torch.cos, primals))
    results, found = jvp(solution, primals, tangents)
    assert all(part.dtype == torch.float32 for part in (*results, *found))
    _, pull = vjp(solution, *primals)
    cotangents = tuple(map(torch.sin, results))
    forward = sum((a * b).sum() for a, b in zip(found, cotangents, strict=True))
    pulled = zip(pull(cotangents), tangents, strict=True)
    torch.testing.assert_close(forward, sum((a * b).sum() for a, b in pulled))


@forward_mode
def test_forward_mode_of_dependent_features_is_refused(inputs):
    Z, y, *_ = task(inputs, 0)
    # Both copies are in the support of a Ridge solution, which is of minimum norm.
    Z = torch.cat([Z, Z[:, :1]], -1)
    with (
        pytest.warns(RuntimeWarning, match="linearly dependent"),
        pytest.raises(RuntimeError, match="no second derivative, and none in forward"),
    ):
        jvp(lambda y: ridge(Z, y, 0.0), (y,), (y.sin(),))


@forward_mode
def test_forward_mode_is_refused(inputs):
    layer = LAYERS["svm"]
    Z, *rest = task(inputs, 0)
    for transform in (
        lambda: jvp(lambda Z: layer(Z, *rest), (Z,), (Z,)),
        lambda: jacfwd(layer)(Z, *rest),
        lambda: vmap(jacfwd(layer))(*inputs),
        lambda: hessian(partial(score, LAYERS["lasso"]))(Z, *rest),
    ):
        with pytest.raises(NotImplementedError, match="no derivative in forward mode"):
            transform()
    with (
        torch.autograd.forward_ad.dual_level(),
        pytest.raises(NotImplementedError, match="no derivative in forward mode"),
    ):
        layer(torch.autograd.forward_ad.make_dual(Z, Z), *rest)


@forward_mode
def test_reverse_mode_of_forward_mode_is_refused(inputs):
    Z, *rest = task(inputs, 0)

    def slope(Z):
        return jvp(lambda Z: lasso(Z, *rest[:2]), (Z,), (Z,))[1].sum()

    with pytest.raises(RuntimeError, match="no second derivative"):
        grad(slope)(Z)


def test_second_derivatives_by_func_are_refused(layer, inputs):
    gradient = grad(partial(score, layer))
    with pytest.raises(RuntimeError, match="no second derivative"):
        jacrev(gradient)(*task(inputs, 0))
    with pytest.raises(RuntimeError, match="no second derivative"):
        vmap(grad(lambda *own: gradient(*own).sum()))(*inputs)
