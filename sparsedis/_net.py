"""Bilevel training: an inner problem per task, an outer loss through its solution."""

from itertools import islice

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback

from sparsedis._heads import solve_inner

# skorch's epochs carry its callbacks; tasks have no epoch of their own, so that one is
# a fixed number of steps.
STEPS_PER_EPOCH = 20


class BilevelNet(NeuralNet):
    """One step encodes the distinct rows of a batch, solves every head, descends.

    Parameters
    ----------
    module : torch.nn.Module
        The representation.

    max_iter : int
        Steps of training.

    alpha : float
        Penalty, see :func:`~sparsedis._heads.solve_inner`.

    alpha_warmup : float
        Fraction of the steps over which alpha rises to its value.

    inner : dict
        The other options of :func:`~sparsedis._heads.solve_inner`.

    **kwargs : dict
        Passed to :class:`skorch.NeuralNet`.
    """

    def __init__(
        self,
        module,
        *,
        max_iter,
        alpha,
        alpha_warmup,
        inner,
        **kwargs,
    ):
        self.max_iter = max_iter
        self.alpha = alpha
        self.alpha_warmup = alpha_warmup
        self.inner = inner
        # The loss is that of the heads; skorch asks for a criterion all the same.
        super().__init__(
            module, criterion=torch.nn.Identity, train_split=None, **kwargs
        )

    def fit_source(self, source):
        """Train on the batches of ``source`` for ``max_iter`` steps."""
        self.initialize()
        self.n_steps_ = 0
        self._batches = _repeat(source)
        return self.partial_fit(source, epochs=-(-self.max_iter // STEPS_PER_EPOCH))

    def get_split_datasets(self, X, y=None, **fit_params):
        return X, None

    def get_iterator(self, dataset, training=False):
        return _Steps(self)

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        if iterator is None:
            return
        n_steps = 0
        for batch in iterator:
            self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            self.history.record_batch("train_loss", step["loss"].item())
            self.history.record_batch("train_batch_size", batch.n_tasks)
            for name in ("alpha", "active", "usage"):
                self.history.record_batch(name, step[name])
            self.notify("on_batch_end", batch=batch, training=training, **step)
            self.n_steps_ += 1
            n_steps += 1
        self.history.record("train_batch_count", n_steps)

    def train_step_single(self, batch, **fit_params):
        """Encode, solve, and differentiate the outer loss of Eq. 4."""
        self._set_training(True)
        Z = self.module_(self.rows(batch.rows))
        if not bool(torch.isfinite(Z).all()):
            raise ValueError(
                f"The encoder returned NaN or infinite features at step {self.n_steps_}"
                f": lower lr (now {self.lr:g}), or scale the inputs."
            )
        # The inner problems are small: float64 costs nothing and certifies them.
        Z = Z.double() if Z.device.type != "mps" else Z
        y = torch.as_tensor(batch.y, dtype=Z.dtype, device=Z.device)
        mask = None
        if batch.mask is not None:
            mask = torch.as_tensor(batch.mask, device=Z.device)
        if batch.index is not None:
            # (n_samples,) when the tasks share them: one Gram matrix serves them all.
            Z = Z[torch.as_tensor(batch.index, device=Z.device)]
        alpha = self._alpha_now()
        w, intercept, _, info = solve_inner(Z, y, alpha, mask=mask, **self.inner)
        squared = (y - (Z @ w.unsqueeze(-1)).squeeze(-1) - intercept[:, None]) ** 2
        if mask is None:
            loss = 0.5 * squared.mean()
        else:
            per_task = torch.where(mask, squared, 0.0).sum(-1) / mask.sum(-1)
            loss = 0.5 * per_task.mean()
        loss.backward()
        usage = info.support.double().mean(0)
        step = {"loss": loss.detach(), "y_pred": None, "alpha": alpha}
        return step | {"active": float(usage.mean()), "usage": usage.cpu().numpy()}

    def rows(self, rows):
        """Move inputs to the device, as float32 unless they are 8-bit images."""
        rows = torch.as_tensor(rows, device=self.device)
        return rows if rows.dtype == torch.uint8 else rows.float()

    def _alpha_now(self):
        ramp = self.alpha_warmup * self.max_iter
        return self.alpha * min(1.0, (self.n_steps_ + 1) / ramp if ramp else 1.0)


class _Steps:
    """The batches of one epoch: as many steps as are left of it."""

    def __init__(self, net):
        self.net = net

    def __iter__(self):
        left = self.net.max_iter - self.net.n_steps_
        return islice(self.net._batches, min(STEPS_PER_EPOCH, left))


def _repeat(source):
    """Go through ``source`` again and again."""
    while True:
        batch = None
        for batch in source:
            yield batch
        if batch is None:
            return


class Progress(Callback):
    """Tell scikit-learn's callbacks about every epoch."""

    def __init__(self, estimator, context):
        self.estimator = estimator
        self.context = context

    def on_epoch_begin(self, net, **kwargs):
        self._epoch = self.context.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(estimator=self.estimator)

    def on_epoch_end(self, net, **kwargs):
        if self._epoch.call_on_fit_task_end(estimator=self.estimator):
            raise KeyboardInterrupt  # how skorch stops early
