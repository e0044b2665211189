"""Arrays of NumPy on the CPU, and of torch elsewhere: the same results."""

import numpy as np
import pytest
import torch

from sparsedis.implicit import lasso, lasso_alpha_max, multitask_lasso, ridge
from sparsedis.solvers import _arrays
from sparsedis.solvers._arrays import bounds, namespace, tensors, views

FAULTS = ("none", "duplicate", "zero", "correlated", "wide", "one sample")


def test_views_share_memory_with_tensors():
    leaf = torch.zeros(3, requires_grad=True)
    array, other = views(leaf, torch.ones(2))
    assert isinstance(array, np.ndarray)
    assert isinstance(other, np.ndarray)
    array[0] = 2.0
    assert leaf[0] == 2.0
    (again,) = tensors(array)
    array[1] = 3.0
    assert again.tolist() == [2.0, 3.0, 0.0]
    assert namespace(array) is np
    assert namespace(again) is torch


def test_bounds_are_the_smallest_and_largest_value(monkeypatch):
    x = torch.tensor([[3.0, -2.0], [0.5, 1.0]], requires_grad=True)
    assert bounds(x) == bounds(x.detach().numpy()) == (-2.0, 3.0)
    monkeypatch.setattr(_arrays, "_HOST", "none")
    assert views(x)[0] is x
    assert bounds(x) == (-2.0, 3.0)


@pytest.mark.parametrize("layer", [lasso, ridge])
def test_imaginary_parts_of_conjugates(layer):
    Z, y = problem("none")
    leaf = (-Z).requires_grad_()
    # Negations that torch puts off, of the features and of the cotangent.
    lazy = torch.complex(Z, leaf).conj().imag
    w = layer(lazy, y, 0.1)
    torch.testing.assert_close(w, layer(Z, y, 0.1))
    torch.complex(w, w).conj().imag.sum().backward()
    plain = Z.clone().requires_grad_()
    layer(plain, y, 0.1).sum().backward()
    torch.testing.assert_close(leaf.grad, plain.grad)


def problem(fault):
    generator = torch.Generator().manual_seed(0)
    n, k = {"wide": (20, 40), "one sample": (1, 4)}.get(fault, (30, 6))
    Z = torch.randn(5, n, k, generator=generator, dtype=torch.float64)
    y = Z[..., :2].sum(-1) + torch.randn(5, n, generator=generator).double()
    if fault == "correlated":
        Z = Z + 4 * Z[..., :1]
    elif fault == "duplicate":
        Z[..., 5] = Z[..., 0]
    elif fault == "zero":
        Z[..., 0] = 0.0
    return Z, y


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", ["lasso", "elastic net", "shared", "ridge", "outputs"])
def test_layers_do_not_depend_on_the_library(monkeypatch, name, fault):
    Z, y = problem(fault)
    how = {"alpha": 0.05 * lasso_alpha_max(Z, y), "return_info": True}
    layer = {"ridge": ridge, "outputs": multitask_lasso}.get(name, lasso)
    if name == "elastic net" or fault == "duplicate":
        how |= {} if name == "ridge" else {"l2": 0.1}
    if name == "shared":
        Z = Z[0]
    if name == "outputs":
        y = torch.stack([y, y.flip(-1)], -1)
    if layer is not ridge:
        how["solver"] = "batched"
    found = []
    for host in ("cpu", "none"):
        monkeypatch.setattr(_arrays, "_HOST", host)
        leaves = [t.clone().requires_grad_() for t in (Z, y, how["alpha"])]
        w, info = layer(*leaves[:2], **{**how, "alpha": leaves[2]})
        assert bool(info.converged.all())
        gradients = torch.autograd.grad(w.sin().sum(), leaves, create_graph=True)
        second = torch.autograd.grad(gradients[0].sin().sum(), leaves[0])
        plain = torch.autograd.grad(
            layer(leaves[0], y, **how)[0].sin().sum(), leaves[0]
        )
        found.append((w, *gradients, *second, *plain))
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-8, atol=1e-10)
