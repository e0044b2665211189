"""From an estimator's parameters to a trained module."""

import copy
import math
import warnings

import numpy as np
from skorch.callbacks import EarlyStopping, LRScheduler
from skorch.utils import noop
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from sparsedis.bilevel._checkpoint import checkpoint_of
from sparsedis.bilevel._net import BilevelLoss, BilevelNet, NonFiniteError
from sparsedis.bilevel._progress import STEPS_PER_EPOCH, Progress
from sparsedis.bilevel._randomness import TorchRandomness


def train(
    estimator,
    source,
    make_module,
    problem,
    random_state,
    *,
    device,
    valid,
    rows,
    data,
    contents,
    weight_decay,
    max_iter,
    lr,
):
    """Train the representation of an estimator; sets what it learns on the way.

    Parameters
    ----------
    estimator : BaseRepresentation
        Gets ``module_``, ``n_components_``, ``n_iter_``, ``history_`` and, where asked
        for, ``learned_alpha_``.

    source : iterable of TaskBatch

    make_module : callable
        Makes the module, drawing weights from torch's generator.

    problem : InnerProblem

    random_state : RandomState instance

    device : torch.device

    valid : tuple (TaskBatch, TaskBatch) or None
        See :meth:`~sparsedis.bilevel._net.BilevelNet.fit_source`.

    rows : callable
        Returns blocks of rows, for the statistics of the normalisation.

    data : dict
        X and y, for callbacks.

    contents : tuple
        Arrays that tell the data of this training from others.

    weight_decay : float
        What "auto" stands for, which goes for AdamW alone: elsewhere a decay is a
        penalty on the weights, or not known.

    max_iter : int
        Steps of this training.

    lr : float
        Learning rate of this training.

    Returns
    -------
    list of dict
        What was recorded at each step.
    """
    seed = random_state.randint(np.iinfo(np.int32).max)
    n_epochs = -(-max_iter // STEPS_PER_EPOCH)
    context = estimator._init_callback_context(max_subtasks=n_epochs)
    context.call_on_fit_task_begin(estimator=estimator, **data)
    epochs = []
    randomness = TorchRandomness(seed, device)
    with randomness.lent():
        module = make_module()
    if any(p.requires_grad for p in module.parameters()):
        checkpoint, callbacks = checkpoint_of(estimator, module, problem, *contents)
        net = _make_net(
            estimator,
            module,
            problem,
            device,
            context,
            random_state,
            randomness,
            checkpoint,
            callbacks,
            stops_early=valid is not None,
            weight_decay=weight_decay,
            max_iter=max_iter,
            lr=lr,
        )
        try:
            net.fit_source(source, valid)
            _keep(estimator, net.module_, device, rows)
            net.check_weights()
        except BaseException as error:
            # Weights that went to NaN, Ctrl-C, a full disk, a stream that breaks: what
            # was learned so far stands.
            diverged = isinstance(error, NonFiniteError)
            if diverged or net.n_steps_:
                net.leave_sound()
                _keep(estimator, net.module_, device, rows)
                _record(estimator, net.history, valid)
            if net.n_steps_ and not diverged:
                goes_on = "With warm_start=True, fit starts from them."
                if checkpoint is not None:
                    goes_on = f"The same fit goes on from {checkpoint.path}."
                error.add_note(
                    f"{type(estimator).__name__} keeps the weights after step "
                    f"{estimator.n_iter_} of {max_iter}, without heads. "
                    f"{goes_on}"
                )
            raise
        if net.ran_out_:
            warnings.warn(
                f"source ended after {net.n_steps_} of max_iter={max_iter} "
                "steps: what can be gone through once only, as a generator, must be "
                "as long; a list is repeated.",
                UserWarning,
                stacklevel=4,
            )
        epochs = net.history
        if estimator.learn_alpha:
            estimator.learned_alpha_ = net.criterion_.penalty()
    else:
        _keep(estimator, module, device, rows)
    steps = _record(estimator, epochs, valid)
    context.call_on_fit_task_end(estimator=estimator, **data)
    return steps


def _keep(estimator, module, device, rows):
    estimator.module_ = module.to(device).eval()
    estimator.n_components_ = estimator._n_trained = module.n_components
    estimator._set_statistics(rows())


def _record(estimator, epochs, valid):
    steps, valid_loss = [], []
    for epoch in epochs:
        mine = [step for step in epoch["batches"] if "train_loss" in step]
        if mine:
            steps += mine
            end = epoch.get("valid_loss", np.nan)
            valid_loss += [np.nan] * (len(mine) - 1) + [end]
    columns = {"loss": "train_loss", "alpha": "alpha", "active": "active"}
    estimator.n_iter_ = len(steps)
    estimator.history_ = {
        name: np.array([step[key] for step in steps]) for name, key in columns.items()
    }
    if valid is not None:
        estimator.history_["valid_loss"] = np.array(valid_loss)
    return steps


def _make_net(
    estimator,
    module,
    problem,
    device,
    context,
    random_state,
    randomness,
    checkpoint,
    user_callbacks,
    *,
    stops_early,
    weight_decay,
    max_iter,
    lr,
):
    callbacks = [("progress", Progress(estimator, context))]
    if stops_early:
        stopping = _Best(patience=estimator.n_iter_no_change, sink=noop)
        callbacks.append(("early_stopping", stopping))
    callbacks += user_callbacks
    decay = {"optimizer__weight_decay": weight_decay}
    if estimator.weight_decay == "auto" and estimator.optimizer is not AdamW:
        decay = {}
    net = BilevelNet(
        module,
        criterion=BilevelLoss(problem, estimator._alpha, estimator.learn_alpha),
        max_iter=max_iter,
        # A penalty that is learned moves by itself.
        alpha_warmup=0.0 if estimator.learn_alpha else estimator.alpha_warmup,
        inner_fraction=estimator.inner_fraction,
        precision=estimator.precision,
        random_state=random_state,
        randomness=randomness,
        checkpoint=checkpoint,
        lr=lr,
        optimizer=estimator.optimizer,
        device=device,
        callbacks=callbacks,
        verbose=estimator.verbose,
        **decay,
    )
    if estimator.lr_schedule == "cosine":
        # A function of the step alone, so that it resumes with the steps.
        def cosine(_):
            return 0.5 + 0.5 * math.cos(math.pi * net.n_steps_ / net.max_iter)

        schedule = LRScheduler(LambdaLR, lr_lambda=cosine, step_every="batch")
        net.set_params(callbacks=[*callbacks, ("lr_schedule", schedule)])
    return net


class _Best(EarlyStopping):
    """Early stopping that ends with the best weights, a learned penalty among them."""

    def on_train_begin(self, net, **kwargs):
        super().on_train_begin(net, **kwargs)
        self.best_ = None

    def on_epoch_end(self, net, **kwargs):
        super().on_epoch_end(net, **kwargs)
        if self.misses_ == 0:
            parts = net.module_, net.criterion_
            self.best_ = [copy.deepcopy(part.state_dict()) for part in parts]

    def on_train_end(self, net, **kwargs):
        if self.best_ is not None:
            module, criterion = self.best_
            net.module_.load_state_dict(module)
            net.criterion_.load_state_dict(criterion)
