"""The group Lasso SVM layer against references, finite differences and its limits."""

import gc
import weakref

import cvxpy as cp
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC

from sparsedis.implicit import group_lasso_svm, group_lasso_svm_alpha_max


def objective(Z, y, W, b, alpha, l2):
    scores = Z @ W + b
    picked = np.eye(W.shape[1])[y]
    hinge = (scores + 1 - picked).max(1) - (scores * picked).sum(1)
    norms = np.linalg.norm(W, axis=1)
    return hinge.sum() + alpha * norms.sum() + 0.5 * l2 * (norms**2).sum()


def reference_objective(Z, y, n_classes, fit_intercept, alpha, l2):
    """The optimal value by cvxpy, in units in which columns have norm 1."""
    norm = np.sqrt((Z**2).mean(0))
    scale = (1 / np.where(norm > 0, norm, 1.0))[:, None]
    V = cp.Variable((Z.shape[1], n_classes))
    W = cp.multiply(np.broadcast_to(scale, V.shape), V)
    scores = (Z * scale.T) @ V
    if fit_intercept:
        scores = scores + np.ones((len(y), 1)) @ cp.Variable((1, n_classes))
    picked = np.eye(n_classes)[y]
    hinge = cp.sum(cp.max(scores + 1 - picked, axis=1))
    hinge -= cp.sum(cp.multiply(picked, scores))
    penalty = alpha * cp.sum(cp.norm2(W, axis=1)) + l2 / 2 * cp.sum_squares(W)
    problem = cp.Problem(cp.Minimize(hinge + penalty))
    return problem.solve(cp.CLARABEL, tol_gap_abs=1e-9, tol_gap_rel=1e-9)


def test_hard_problems_against_cvxpy(hard_batch, device):
    y = hard_batch.signal + hard_batch.noise
    edges = np.quantile(y, [1 / 3, 2 / 3], axis=1)
    y = (y > edges[..., None]).sum(0)
    # Some tasks lack a class, and the last class may lack everywhere.
    y[::3][y[::3] == 2] = 0
    Z, mask, labels = (
        torch.tensor(a, device=device) for a in (hard_batch.Z, hard_batch.mask, y)
    )
    fit_intercept = bool(hard_batch.seed % 2)
    how = {"n_classes": 3, "mask": mask, "fit_intercept": fit_intercept}
    l2 = np.maximum(hard_batch.l2, 1e-4)
    alpha = torch.tensor(hard_batch.alpha, device=device)
    alpha = alpha * group_lasso_svm_alpha_max(Z, labels, **how)
    found = {}
    for dtype in (torch.float64, torch.float32):
        out = group_lasso_svm(
            Z.to(dtype),
            labels,
            alpha,
            torch.tensor(l2, device=device),
            return_info=True,
            **how,
        )
        found[dtype] = (*out[:-1], None)[:2], out[-1]
    for t in range(len(y)):
        Z_t, y_t = hard_batch.task(t, y)
        penalties = float(alpha[t]), l2[t]
        reference = reference_objective(Z_t, y_t, 3, fit_intercept, *penalties)
        for dtype, ((W, b), info) in found.items():
            assert W.dtype == dtype
            assert info.gap[t] <= 1e-9
            W_t = W[t].double().cpu().numpy()
            b_t = b[t].double().cpu().numpy() if fit_intercept else 0.0
            value = objective(Z_t, y_t, W_t, b_t, *penalties)
            # The reference is good to 1e-9 of the objective at zero; rounding W moves
            # every margin by what it moves the terms that it is made of.
            rtol, atol = 1e-6, 1e-8 * len(y_t)
            if dtype == torch.float32:
                margins = (
                    len(y_t) + (np.abs(Z_t) @ np.abs(W_t)).sum() + np.abs(b_t).sum()
                )
                rtol, atol = 1e-4, 1e-7 * margins
            assert_allclose(value, reference, rtol=rtol, atol=atol)
            if fit_intercept:
                assert_allclose(b_t.sum(), 0, atol=1e-5 * np.abs(b_t).max())


def make_tasks(n_tasks=2, n=10, p=12, n_classes=3, seed=0):
    """Tasks whose classes overlap somewhat."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n).expand(n_tasks, n) % n_classes
    Z = torch.randn(n_tasks, n, p, dtype=torch.float64, generator=generator)
    means = torch.randn(n_tasks, n_classes, p, dtype=torch.float64, generator=generator)
    return Z + 0.7 * means.gather(1, y.unsqueeze(-1).expand(-1, -1, p)), y


@pytest.mark.parametrize("l2", [0.1, 10.0])
@pytest.mark.parametrize("size", [(30, 5, 4), (12, 40, 3)])
def test_without_alpha_agrees_with_scikit_learn(size, l2, device):
    n, p, n_classes = size
    Z, y = make_tasks(2, n, p, n_classes)
    W = group_lasso_svm(Z.to(device), y.to(device), 0.0, l2).cpu()
    for t in range(2):
        svc = LinearSVC(
            multi_class="crammer_singer",
            fit_intercept=False,
            C=1 / l2,
            tol=1e-10,
            max_iter=1_000_000,
            random_state=0,
        ).fit(Z[t], y[t])
        assert_allclose(W[t], svc.coef_.T, atol=1e-6)


CASES = {
    "sparse": ({}, 0.25),
    "dense": ({}, 0.0),
    "few features": ({"n": 14, "p": 4}, 0.05),
    "few features, dense": ({"n": 14, "p": 4}, 0.0),
    "two classes": ({"n_classes": 2}, 0.2),
}


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("l2", [0.02, 3.0])
@pytest.mark.parametrize("case", CASES)
def test_gradient(case, l2, fit_intercept):
    size, share = CASES[case]
    Z, y = make_tasks(**size)
    n_classes = size.get("n_classes", 3)
    generator = torch.Generator().manual_seed(1)
    weight = torch.rand(y.shape, dtype=torch.float64, generator=generator) + 0.3
    mask = torch.ones_like(y, dtype=torch.bool)
    mask[1, -2:] = False
    how = {
        "n_classes": n_classes,
        "sample_weight": weight,
        "mask": mask,
        "fit_intercept": fit_intercept,
    }
    alpha = share * group_lasso_svm_alpha_max(Z, y, **how)
    l2 = torch.full_like(alpha, l2)
    Z.requires_grad_()
    # At zero, alpha has one-sided derivatives only.
    arguments = (Z, alpha.requires_grad_(share > 0), l2.requires_grad_())

    def layer(Z, alpha, l2):
        out = group_lasso_svm(Z, y, alpha, l2, **how)
        return out[0] if fit_intercept else out

    assert float(layer(*arguments).detach().abs().max()) > 0
    assert torch.autograd.gradcheck(layer, arguments, fast_mode=True, eps=1e-6)


def test_gradient_of_every_entry():
    Z, y = make_tasks(1, 6, 4)
    alpha = 0.2 * group_lasso_svm_alpha_max(Z, y)
    arguments = Z.requires_grad_(), alpha.requires_grad_(), torch.tensor(0.5).double()

    def layer(Z, alpha, l2):
        return group_lasso_svm(Z, y, alpha, l2)

    assert torch.autograd.gradcheck(layer, arguments, eps=1e-6)


def test_gradient_of_intercepts():
    # Enough margins that the intercepts are unique.
    Z, y = make_tasks(1, 15, 2)
    alpha = 0.05 * group_lasso_svm_alpha_max(Z, y, fit_intercept=True)
    arguments = Z.requires_grad_(), alpha.requires_grad_()

    def layer(Z, alpha):
        return group_lasso_svm(Z, y, alpha, 0.5, fit_intercept=True)[1]

    assert torch.autograd.gradcheck(layer, arguments, eps=1e-6)


@pytest.mark.parametrize("kind", ["plain", "shared", "weights", "mask"])
@pytest.mark.parametrize(
    ("dtype", "offset", "atol"),
    [(torch.float64, 2.0**33, 1e-9), (torch.float32, 2.0**14, 1e-5)],
)
@pytest.mark.parametrize("share", [0.0, 0.25])
def test_an_intercept_takes_over_what_all_samples_share(
    share, dtype, offset, atol, kind
):
    Z, y = make_tasks(3, 40, 6)
    # Sums with the offset are exact.
    Z = (32 * Z).round() / 32
    Z = Z[0] if kind == "shared" else Z
    how = {"fit_intercept": True}
    if kind == "weights":
        how["sample_weight"] = torch.linspace(0.1, 2, 40).double()
    elif kind == "mask":
        how["mask"] = torch.arange(40) % 5 > 0
    found = []
    for by in (0.0, offset):
        moved = (Z + by).to(dtype).requires_grad_()
        alpha = share * group_lasso_svm_alpha_max(moved, y, **how)
        W, b, info = group_lasso_svm(moved, y, alpha, 0.5, return_info=True, **how)
        assert float(info.gap.max()) <= 1e-9
        W.square().sum().backward()
        b = b.detach().double() + by * W.detach().double().sum(-2)
        found.append([a.detach() for a in (W, alpha, moved.grad, b)])
    near, far = found
    for was, now in zip(near[:3], far[:3], strict=True):
        assert_allclose(now, was, atol=atol * float(was.abs().max()))
    # What intercepts of that size are rounded to.
    assert_allclose(far[3], near[3], atol=offset * torch.finfo(dtype).eps * 10)


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_gradient_in_float32(share):
    Z, y = make_tasks(n=12, p=300)
    grads = []
    for dtype in (torch.float64, torch.float32):
        own = Z.to(dtype, copy=True).requires_grad_()
        alpha = share * group_lasso_svm_alpha_max(Z, y)
        # So strong that samples fall short of the margin, and W depends on it.
        l2 = torch.tensor(1000.0, dtype=dtype, requires_grad=True)
        W = group_lasso_svm(own, y, alpha, l2)
        assert W.dtype == dtype
        W.square().sum().backward()
        assert own.grad.dtype == dtype
        grads.append((own.grad.double(), l2.grad.double()))
    for wide, narrow in zip(*grads, strict=True):
        assert_allclose(narrow, wide, atol=1e-4 * float(wide.abs().max()))


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_shared_features(share):
    Z, y = make_tasks(1)
    y = torch.stack([y[0], y[0].roll(1), y[0].flip(0)])
    alpha = share * group_lasso_svm_alpha_max(Z, y)
    grads = []
    for copies in (1, 3):
        own = Z[0].clone().requires_grad_()
        W = group_lasso_svm(own.expand(copies, -1, -1), y, alpha, 1.0)
        assert W.shape == (3, 12, 3)
        (W * torch.arange(3).reshape(3, 1, 1)).square().sum().backward()
        grads.append(own.grad)
    assert_allclose(*grads, atol=1e-9)


def test_tasks_with_and_without_alpha_in_one_batch():
    Z, y = make_tasks(3)
    alpha = torch.tensor([0.0, 0.3, 2.0]) * group_lasso_svm_alpha_max(Z, y)
    own = Z.clone().requires_grad_()
    W = group_lasso_svm(own, y, alpha, 1.0)
    assert not bool(W[2].any())
    W.square().sum().backward()
    for t in range(3):
        alone = Z[t].clone().requires_grad_()
        W_t = group_lasso_svm(alone, y[t], float(alpha[t]), 1.0)
        assert_allclose(W_t.detach(), W[t].detach(), atol=1e-9)
        W_t.square().sum().backward()
        assert_allclose(alone.grad, own.grad[t], atol=1e-8)


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 1.0, 1.5])
@pytest.mark.parametrize("n_samples", [8, 30])
def test_gradients_are_finite_at_kinks(share, n_samples, fit_intercept):
    # Copied and zero samples, copied, constant and dead features, whole numbers:
    # margins that tie, duals that are not unique, features on the verge.
    generator = torch.Generator().manual_seed(0)
    Z = torch.randint(-1, 2, (2, n_samples, 6), generator=generator).double()
    Z[:, 0], Z[:, 1] = 0.0, Z[:, 2]
    Z[..., 3], Z[..., 4], Z[..., 5] = Z[..., 2], 1.0, 0.0
    y = torch.arange(n_samples).expand(2, -1) % 3
    y = torch.where(torch.tensor([[True], [False]]), y, y.clamp_max(1))
    how = {"n_classes": 4, "fit_intercept": fit_intercept}
    alpha = share * group_lasso_svm_alpha_max(Z, y, **how)
    l2 = torch.full_like(alpha, 1e-3).requires_grad_()
    arguments = Z.requires_grad_(), alpha.requires_grad_(), l2
    *out, info = group_lasso_svm(Z, y, alpha, l2, return_info=True, **how)
    assert bool(info.converged.all())
    assert not bool(info.support[:, 5].any())
    sum(part.sin().sum() for part in out).backward()
    for argument in arguments:
        assert bool(torch.isfinite(argument.grad).all())
    if share >= 1:
        assert not bool(out[0].any())
        assert not bool(Z.grad.any())


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_a_dead_feature_gets_no_gradient_and_changes_no_other(share):
    Z, y = make_tasks()
    alpha = share * group_lasso_svm_alpha_max(Z, y)
    dead = torch.cat([Z, torch.zeros(2, 10, 1).double()], -1)
    grads = []
    for own in (Z, dead):
        own.requires_grad_()
        group_lasso_svm(own, y, alpha, 1.0).square().sum().backward()
        grads.append(own.grad)
    assert_allclose(grads[1][..., :-1], grads[0], atol=1e-9)
    assert not bool(grads[1][..., -1].any())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_zero_from_alpha_max_on(fit_intercept, dtype):
    Z, y = make_tasks()
    # Classes of unequal sizes, for which an intercept matters.
    y = y.clamp_max(1) if fit_intercept else y
    Z = Z.to(dtype)
    how = {"n_classes": 3, "fit_intercept": fit_intercept}
    alpha_max = group_lasso_svm_alpha_max(Z, y, **how)
    assert alpha_max.dtype == dtype
    assert not alpha_max.requires_grad
    for share in (1.0, 3.0):
        out = group_lasso_svm(Z, y, share * alpha_max, 1.0, return_info=True, **how)
        assert not bool(out[0].any())
        assert float(out[-1].gap.max()) <= 1e-9
    out = group_lasso_svm(Z, y, 0.3 * alpha_max, 1.0, return_info=True, **how)
    assert bool(out[0].flatten(1).any(1).all())


def test_alpha_max_in_closed_form():
    Z, y = make_tasks(n_classes=4)
    labels = torch.nn.functional.one_hot(y, 4).double()
    expected = (Z.mT @ (labels - (1 - labels) / 3.0)).norm(dim=-1).amax(-1)
    assert_allclose(group_lasso_svm_alpha_max(Z, y), expected, rtol=1e-12)


def test_intercept_of_a_class_without_samples():
    Z, y = make_tasks(2, 12, 5, 3)
    three = group_lasso_svm(Z, y, 1.0, 1.0, n_classes=3, fit_intercept=True)
    four = group_lasso_svm(Z, y, 1.0, 1.0, n_classes=4, fit_intercept=True)
    assert_allclose(four[0][..., :3], three[0], atol=1e-8)
    assert not bool(four[0][..., 3].any())
    # Its scores come up to the margin of one sample, and no further.
    scores = Z @ four[0] + four[1].unsqueeze(1)
    raised = scores + 1 - torch.nn.functional.one_hot(y, 4)
    spare = raised[..., :3].amax(-1) - raised[..., 3]
    assert_allclose(spare.amin(-1), 0, atol=1e-8)


def test_leading_axes():
    Z, y = make_tasks(6)
    flat, flat_info = group_lasso_svm(Z, y, 1.0, 1.0, return_info=True)
    l2 = torch.ones(2, 1)
    W, info = group_lasso_svm(
        Z.reshape(2, 3, 10, 12), y.reshape(2, 3, 10), 1.0, l2, return_info=True
    )
    assert W.shape == (2, 3, 12, 3)
    assert info.gap.shape == info.n_iter.shape == info.converged.shape == (2, 3)
    assert info.support.shape == (2, 3, 12)
    assert_allclose(W.reshape(6, 12, 3), flat, atol=1e-10)
    single, b = group_lasso_svm(Z[0], y[0], 1.0, 1.0, fit_intercept=True)
    assert single.shape == (12, 3)
    assert b.shape == (3,)
    assert "6 problems, 6 converged" in repr(flat_info)


def test_half_precision():
    Z, y = make_tasks()
    W = group_lasso_svm(Z.bfloat16(), y, 1.0, 1.0)
    assert W.dtype == torch.bfloat16
    exact = group_lasso_svm(Z.bfloat16().double(), y, 1.0, 1.0)
    assert_allclose(W.double(), exact, atol=0.01 * float(exact.abs().max()))


def test_warns_once_when_tol_is_missed():
    Z, y = make_tasks()
    with pytest.warns(ConvergenceWarning, match="group_lasso_svm: 2 of 2") as caught:
        group_lasso_svm(Z, y, 1.0, 1.0, max_iter=1)
    assert len(caught) == 1


def test_solutions_are_freed_without_the_garbage_collector():
    Z, y = make_tasks()
    gc.disable()
    try:
        W = group_lasso_svm(Z.requires_grad_(), y, 1.0, 1.0)
        node = W.grad_fn
        while "GroupLassoSVM" not in node.name():
            node = node.next_functions[0][0]
        kept = weakref.ref(node)
        del W, node
        assert kept() is None
    finally:
        gc.enable()


def test_values_outside_of_the_mask_do_not_matter():
    Z, y = make_tasks()
    mask = torch.ones(2, 10, dtype=torch.bool)
    mask[1, 7:] = False
    expected = group_lasso_svm(Z[1, :7], y[1, :7], 1.0, 1.0)
    Z[1, 7:], y = float("nan"), torch.where(mask, y, 77)
    W = group_lasso_svm(Z.requires_grad_(), y, 1.0, 1.0, mask=mask)
    assert_allclose(W[1].detach(), expected, atol=1e-9)
    W.sum().backward()
    assert not bool(Z.grad[1, 7:].any())


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_samples_of_tiny_weight_do_not_matter(fit_intercept):
    Z = torch.from_numpy(np.random.default_rng(0).standard_normal((18, 7)))
    y = Z[:, :3].argmax(1)
    weight = torch.ones(18, dtype=Z.dtype)
    how = {"fit_intercept": fit_intercept, "n_classes": 3}
    alpha = 0.1 * group_lasso_svm_alpha_max(Z, y, **how)
    for tiny in (1e-9, 1e-300):
        weight[:2] = tiny
        found = group_lasso_svm(Z, y, alpha, 1.0, sample_weight=weight, **how)
        expected = group_lasso_svm(Z[2:], y[2:], alpha, 1.0, **how)
        W, without = (x[0] if fit_intercept else x for x in (found, expected))
        assert W.abs().max() > 0.1
        assert_allclose(W, without, atol=1e-6)
