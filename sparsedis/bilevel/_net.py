"""Bilevel training: an inner problem per task, an outer loss through its solution."""

import copy

import numpy as np
import torch

from sparsedis.bilevel._module import to_device
from sparsedis.bilevel._progress import STEPS_PER_EPOCH
from sparsedis.bilevel._steps import SteppedNet


class NonFiniteError(ValueError):
    """Training went to NaN or infinity. The module has its last good weights."""


class BilevelLoss(torch.nn.Module):
    """Outer loss of a batch of tasks, through the solutions of their inner problems.

    Parameters
    ----------
    problem : InnerProblem
        The family of the heads.

    alpha : float or array of shape (n_tasks,)
        Penalty, or one for each task of the table.

    learn_alpha : bool, default=False
        Whether `alpha`, a fraction, is a parameter, the sigmoid of a number.
    """

    def __init__(self, problem, alpha, learn_alpha=False):
        super().__init__()
        self.problem = problem
        self.logit = None
        if learn_alpha:
            self.logit = torch.nn.Parameter(torch.logit(torch.tensor(float(alpha))))
        else:
            self.alpha = alpha

    def penalty(self):
        """The penalty at present, as numbers."""
        if self.logit is None:
            return self.alpha
        return float(torch.sigmoid(self.logit.detach()))

    def forward(self, Z, inner, outer, warmth=1.0, *, Z_outer=None):
        """Solve the heads on one batch and take their loss on the other.

        Parameters
        ----------
        Z : tensor of shape (n_rows, k)
            Features of the rows of the batches.

        inner, outer : TaskBatch
            Of the same tasks.

        warmth : float, default=1.0
            Share of the penalty that is in force.

        Z_outer : tensor of shape (n_outer_rows, k), default=None
            Features of the rows of `outer`, where it does not share those of `inner`.

        Returns
        -------
        loss : tensor
            Mean over the tasks.

        usage : ndarray of shape (k,)
            Share of the heads that use each feature.
        """
        # The inner problems are small: float64 costs nothing and certifies them.
        Z = _wide(Z)
        Z_outer = Z if Z_outer is None else _wide(Z_outer)
        losses, usage = [], 0.0
        for tasks, n_classes in _groups(inner):
            there = _Samples(inner, tasks, Z)
            here = there if outer is inner else _Samples(outer, tasks, Z_outer)
            heads = self.problem.solve(
                there.Z,
                there.y,
                warmth * self._alpha(inner, tasks, Z),
                n_classes=n_classes,
                **there.options,
            )
            losses.append(self.problem.loss(here.Z, here.y, heads, **here.options))
            usage = usage + heads.info.support.sum(0)
        return torch.cat(losses).mean(), (usage / inner.n_tasks).cpu().numpy()

    def _alpha(self, batch, tasks, Z):
        n_tasks = batch.n_tasks if tasks is None else len(tasks)
        if self.logit is not None:
            return torch.sigmoid(self.logit).to(Z).expand(n_tasks)
        alpha = np.asarray(self.alpha, dtype=float)
        if alpha.ndim == 0:
            return torch.full((n_tasks,), float(alpha), dtype=Z.dtype, device=Z.device)
        alpha = alpha[batch.task if tasks is None else batch.task[tasks]]
        return torch.as_tensor(alpha, dtype=Z.dtype, device=Z.device)


def _wide(Z):
    return Z if Z.device.type == "mps" else Z.double()


class _Samples:
    """Features, targets, mask and weights of some tasks, as tensors like Z."""

    def __init__(self, batch, tasks, Z):
        batch = batch if tasks is None else batch.take(tasks)
        device = Z.device
        self.Z = Z
        if batch.index is not None:
            # (n_samples,) when the tasks share them: one Gram matrix serves them all.
            self.Z = Z[_tensor(batch.index, device)]
        self.y = _tensor(batch.y, device, Z.dtype)
        self.options = {"mask": None, "weight": None}
        if batch.mask is not None:
            self.options["mask"] = _tensor(batch.mask, device)
        if batch.weight is not None:
            weight = _tensor(batch.weight, device, Z.dtype)
            self.options["weight"] = weight


def _tensor(array, device, dtype=None):
    # torch knows neither all of numpy's strides nor read-only arrays.
    array = np.require(array, requirements=["C_CONTIGUOUS", "WRITEABLE"])
    return torch.as_tensor(array, dtype=dtype, device=device)


def _groups(batch):
    """Tasks with as many classes each; None stands for all the tasks."""
    if batch.n_classes is None:
        yield None, max(2, int(batch.y.max()) + 1)
        return
    distinct = np.unique(batch.n_classes)
    for n_classes in distinct:
        same = np.flatnonzero(batch.n_classes == n_classes)
        yield None if len(distinct) == 1 else same, int(n_classes)


class BilevelNet(SteppedNet):
    """One step encodes the distinct rows of a batch, solves every head, descends.

    Parameters
    ----------
    module : torch.nn.Module
        The representation.

    alpha_warmup : float
        Fraction of the steps over which the penalty rises to its value.

    inner_fraction : float or None
        Share of the samples that the heads are fitted on, the others making the loss.

    precision : {"float32", "bfloat16"}
        Of the encoder's arithmetic while training.

    random_state : RandomState instance
        Splits the samples.

    **kwargs : dict
        Passed to :class:`~sparsedis.bilevel._steps.SteppedNet`.
    """

    def __init__(
        self,
        module,
        *,
        alpha_warmup,
        inner_fraction,
        precision,
        random_state,
        **kwargs,
    ):
        self.alpha_warmup = alpha_warmup
        self.inner_fraction = inner_fraction
        self.precision = precision
        self.random_state = random_state
        super().__init__(module, **kwargs)

    def fit_source(self, source, valid=None):
        """Train on the batches of ``source`` for ``max_iter`` steps.

        Parameters
        ----------
        source : iterable of TaskBatch

        valid : tuple (TaskBatch, TaskBatch), default=None
            Where to fit and to judge heads after every epoch, for "valid_loss".
        """
        self.fit_batches(_repeat(source), valid)

    def initialize(self):
        super().initialize()
        self.note_good()
        return self

    def note_good(self):
        """Note that the weights at hand are finite."""
        self._good = copy.deepcopy(self.module_.state_dict())

    def check_weights(self):
        """Refuse weights, or statistics of the features, that are not finite.

        Raises
        ------
        NonFiniteError
            The last good weights are back.
        """
        if not self.is_sound():
            self._stop("The weights or the features are NaN or infinite")

    def leave_sound(self):
        """Go back to the last good weights, unless those at hand are finite."""
        if not self.is_sound():
            self.module_.load_state_dict(self._good)

    def is_sound(self):
        """Whether weights and statistics are finite."""
        state = self.module_.state_dict().values()
        numbers = (
            v
            for v in state
            if isinstance(v, torch.Tensor) and v.dtype.is_floating_point
        )
        return all(bool(torch.isfinite(v.float()).all()) for v in numbers)

    def pass_over(self, batch):
        if self.inner_fraction is not None:
            batch.split(self.inner_fraction, self.random_state)

    def train_step_single(self, batch, **fit_params):
        """Encode, solve, and differentiate the outer loss of Eq. 4."""
        self._set_training(True)
        with self.randomness.lent():
            Z = self._features(batch.rows)
        if not bool(torch.isfinite(Z).all()):
            self._stop("The encoder returned NaN or infinite features")
        if not Z.requires_grad:
            raise ValueError(
                "encoder returned features without a gradient, though it has weights: "
                "it must not detach them, nor run under torch.no_grad."
            )
        inner = outer = batch
        if self.inner_fraction is not None:
            inner, outer = batch.split(self.inner_fraction, self.random_state)
            if inner is None:
                raise ValueError(
                    f"inner_fraction={self.inner_fraction:g} splits the samples of "
                    f"each task: some task of step {self.n_steps_} must have at least "
                    "2, and none has."
                )
        warmth = self._warmth()
        loss, usage = self.criterion_(Z, inner, outer, warmth)
        if not bool(torch.isfinite(loss)):
            self._stop("The loss is NaN or infinite")
        loss.backward()
        if self.n_steps_ % STEPS_PER_EPOCH == 0:
            # Weights that have just proved sound.
            self.note_good()
        record = {"usage": usage.tolist(), "active": float(usage.mean())}
        alpha = np.mean(self.criterion_.penalty())
        record["alpha"] = float(alpha) * warmth
        step = {"loss": loss.detach(), "y_pred": None, "record": record}
        return step | {"size": inner.n_tasks}

    @torch.no_grad()
    def validation_step(self, batch, **fit_params):
        """Loss of heads fitted on one batch, on another."""
        self._set_training(False)
        inner, outer = batch
        Z, Z_outer = (self.module_(to_device(part.rows, self.device)) for part in batch)
        loss, _ = self.criterion_(Z, inner, outer, Z_outer=Z_outer)
        return {"loss": loss, "y_pred": None, "record": {}, "size": inner.n_tasks}

    def _features(self, rows):
        rows = to_device(rows, self.device)
        if self.precision == "float32":
            return self.module_(rows)
        device_type = torch.device(self.device).type
        with torch.autocast(device_type, dtype=torch.bfloat16):
            raw = self.module_.encode(rows)
        return self.module_.normalization(raw.float())

    def _warmth(self):
        ramp = self.alpha_warmup * self.max_iter
        return min(1.0, (self.n_steps_ + 1) / ramp if ramp else 1.0)

    def _stop(self, what):
        self.module_.load_state_dict(self._good)
        raise NonFiniteError(
            f"{what} at step {self.n_steps_}: lower lr (now {self.lr:g}), clip the "
            "gradients with skorch's GradientNormClipping in callbacks, or scale the "
            "inputs."
        )


def _repeat(source):
    """Go through ``source`` again and again."""
    while True:
        batch = None
        for batch in source:
            yield batch
        if batch is None:
            return
