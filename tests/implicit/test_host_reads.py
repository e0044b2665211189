"""Values that Python reads from the device: a GPU finishes its work before each."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sparsedis.implicit import lasso
from sparsedis.solvers import _arrays
from sparsedis.solvers._homotopy import find_signs

READS = {
    torch.ops.aten._local_scalar_dense.default,
    torch.ops.aten.nonzero.default,
    torch.ops.aten.masked_select.default,
}


VIEWS = {
    torch.ops.aten.squeeze.dim,
    torch.ops.aten.unsqueeze.default,
    torch.ops.aten.select.int,
}


class Reads(TorchDispatchMode):
    """Count operations whose result, or its shape, Python has to wait for.

    Or those of another set.
    """

    def __init__(self, counted=READS):
        super().__init__()
        self.count, self.counted = 0, counted

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        indices = args[1] if function is torch.ops.aten.index.Tensor else ()
        masks = [i for i in indices if i is not None and i.dtype == torch.bool]
        self.count += function in self.counted or bool(masks)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(("correlation", "least"), [(0.0, 4), (2.0, 5)])
def test_a_lasso_reads_one_number_per_round(monkeypatch, correlation, least):
    # As on a device that NumPy cannot read.
    monkeypatch.setattr(_arrays, "_HOST", "none")
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(100, 50, 20, generator=generator)
    Z = Z + correlation * torch.randn(100, 50, 1, generator=generator)
    y = Z[..., :4].sum(-1) + 0.5 * torch.randn(100, 50, generator=generator)
    with Reads() as reads:
        _, info = lasso(Z, y, 0.1, solver="batched", return_info=True)
    rounds = int(info.n_iter.max())
    assert rounds >= least
    # In addition: checks of the arguments, and certificates.
    assert reads.count <= rounds + 13


def test_the_homotopy_reads_one_number_per_step():
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(100, 50, 20, generator=generator)
    y = Z[..., :4].sum(-1, keepdim=True) + torch.randn(100, 50, 1, generator=generator)
    corr = y.mT @ Z / 50
    alpha = torch.full((100,), 0.01)
    with Reads() as reads:
        _, n_iter = find_signs(Z.mT @ Z / 50, corr.squeeze(1), alpha)
    steps = int(n_iter.max())
    assert steps >= 10
    # In addition: tasks that are left out when they are at their end.
    assert reads.count <= steps + 7


def test_the_gradient_of_a_lasso_takes_no_operations_of_torch():
    # Reshapes cost several times as much as those of NumPy.
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(8, 50, 6, generator=generator, dtype=torch.float64)
    w = lasso(Z.requires_grad_(), Z[..., 0].detach(), 0.1, solver="batched")
    with Reads(VIEWS) as views:
        torch.autograd.grad(w, Z, torch.ones_like(w))
    assert views.count == 0
