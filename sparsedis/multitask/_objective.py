"""Outer loss of a batch of tasks, through the solutions of their inner problems."""

from dataclasses import replace
from functools import partial

import numpy as np
import torch

from sparsedis.bilevel._objective import Objective, Step
from sparsedis.bilevel._sharing import own_tasks


class TaskObjective(Objective):
    """Outer loss of Eq. 4, or of Eq. 5 if samples are split.

    Parameters
    ----------
    problem : InnerProblem
        The family of the heads.

    alpha : float or array of shape (n_tasks,)
        Penalty, or one for each task of the table.

    learn_alpha : bool, default=False
        Whether `alpha`, a fraction, is a parameter, the sigmoid of a number.

    inner_fraction : float, default=None
        Share of the samples to fit the heads on; the loss uses the others.

    random_state : RandomState instance, default=None
        Splits the samples.
    """

    def __init__(
        self,
        problem,
        alpha,
        learn_alpha=False,
        *,
        inner_fraction=None,
        random_state=None,
    ):
        super().__init__()
        self.problem = problem
        self.inner_fraction = inner_fraction
        self.random_state = random_state
        self.logit = None
        if learn_alpha:
            self.logit = torch.nn.Parameter(torch.logit(torch.tensor(float(alpha))))
        else:
            self.alpha = alpha

    def penalty(self):
        """Current penalty, as numbers."""
        if self.logit is None:
            return self.alpha
        return float(torch.sigmoid(self.logit.detach()))

    def penalties(self):
        return [] if self.logit is None else [self.logit]

    def pass_over(self, batch):
        self._split(batch)

    def forward(self, Z, batch, warmth, step):
        inner, outer = self._split(batch)
        if inner is None:
            raise ValueError(
                f"inner_fraction={self.inner_fraction:g} splits the samples of each "
                f"task: some task of step {step} must have at least 2, and none has."
            )
        inner, outer, size, share = self._own(inner, outer)
        heads_of = partial(self._trained_heads, warmth=warmth)
        loss, usage = self._loss(Z, inner, Z, outer, heads_of)
        record = {
            "usage": usage.tolist(),
            "active": float(usage.mean()),
            "alpha": float(np.mean(self.penalty())) * warmth,
        }
        return Step(share * loss, size, record)

    def judge(self, Z, inner, Z_outer, outer):
        heads_of = partial(self._solved_heads, warmth=1.0)
        return self._loss(Z, inner, Z_outer, outer, heads_of)[0]

    def _split(self, batch):
        if self.inner_fraction is None:
            return batch, batch
        return batch.split(self.inner_fraction, self.random_state)

    def _own(self, inner, outer):
        """Tasks of this process, their number, and their share of the loss."""
        tasks, size, share = own_tasks(inner.n_tasks, inner.task_weight)
        if size == inner.n_tasks:
            return inner, outer, size, share
        parts = [inner] if outer is inner else [inner, outer]
        if inner.n_classes is None and self.problem.head.is_of_classes:
            # The labels of all tasks determine it.
            [(_, n_classes)] = _groups(inner)
            n_classes = np.full(inner.n_tasks, n_classes)
            parts = [replace(part, n_classes=n_classes) for part in parts]
        parts = [part.take(tasks) for part in parts]
        return parts[0], parts[-1], size, share

    def _solved_heads(self, samples, batch, tasks, n_classes, warmth):
        """Heads of some tasks of a batch, from its labels."""
        return self.problem.solve(
            samples.Z,
            samples.y,
            warmth * self._alpha(batch, tasks, samples.Z),
            n_classes=n_classes,
            training=True,
            **samples.options,
        )

    # Heads that the loss of a step is that of.
    _trained_heads = _solved_heads

    def _loss(self, Z, inner, Z_outer, outer, heads_of):
        """Mean loss over the tasks, and share of the heads that use each feature.

        The mean has the weights of the tasks, where they have some.
        """
        # The inner problems are small: float64 costs nothing and certifies them.
        wide = Z.to(self._dtype(Z))
        Z_outer = wide if Z_outer is Z else Z_outer.to(wide)
        Z = wide
        losses, shares, usage = [], [], 0.0
        for tasks, n_classes in _groups(inner):
            there = _Samples(inner, tasks, Z)
            here = there if outer is inner else _Samples(outer, tasks, Z_outer)
            heads = heads_of(there, inner, tasks, n_classes)
            losses.append(
                self.problem.loss(
                    here.Z, here.y, heads, n_classes=n_classes, **here.options
                )
            )
            if inner.task_weight is not None:
                own = inner.task_weight if tasks is None else inner.task_weight[tasks]
                shares.append(_tensor(own / inner.task_weight.sum(), Z.device, Z.dtype))
            usage = usage + heads.info.support.sum(0)
        losses = torch.cat(losses)
        loss = (torch.cat(shares) * losses).sum() if shares else losses.mean()
        return loss, (usage / inner.n_tasks).cpu().numpy()

    def _alpha(self, batch, tasks, Z):
        n_tasks = batch.n_tasks if tasks is None else len(tasks)
        if self.logit is not None:
            return torch.sigmoid(self.logit).to(Z).expand(n_tasks)
        alpha = np.asarray(self.alpha, dtype=float)
        if alpha.ndim == 0:
            return torch.full((n_tasks,), float(alpha), dtype=Z.dtype, device=Z.device)
        alpha = alpha[batch.task if tasks is None else batch.task[tasks]]
        return torch.as_tensor(alpha, dtype=Z.dtype, device=Z.device)


class _Samples:
    """Features, targets, mask and weights of some tasks, as tensors like Z."""

    def __init__(self, batch, tasks, Z):
        batch = batch if tasks is None else batch.take(tasks)
        device = Z.device
        self.Z = Z
        if batch.index is not None:
            # (n_samples,) if the tasks share them: all use one Gram matrix.
            self.Z = Z[_tensor(batch.index, device)]
        self.y = _tensor(batch.y, device, Z.dtype)
        self.options = {"mask": None, "weight": None}
        if batch.mask is not None:
            self.options["mask"] = _tensor(batch.mask, device)
        if batch.weight is not None:
            weight = _tensor(batch.weight, device, Z.dtype)
            self.options["weight"] = weight


def _tensor(array, device, dtype=None):
    # torch supports neither all of numpy's strides nor read-only arrays.
    array = np.require(array, requirements=["C_CONTIGUOUS", "WRITEABLE"])
    return torch.as_tensor(array, dtype=dtype, device=device)


def _groups(batch):
    """Groups of tasks with the same number of classes; None means all tasks."""
    if batch.n_classes is None:
        yield None, max(2, int(batch.y.max()) + 1)
        return
    distinct = np.unique(batch.n_classes)
    for n_classes in distinct:
        same = np.flatnonzero(batch.n_classes == n_classes)
        yield None if len(distinct) == 1 else same, int(n_classes)
