"""Training step by step, which can be stopped, interrupted and continued."""

from itertools import islice

from skorch import NeuralNet

from sparsedis.bilevel._interruption import StopTraining, watched_sigint
from sparsedis.bilevel._progress import STEPS_PER_EPOCH


class SteppedNet(NeuralNet):
    """A net that takes one step with each batch.

    A subclass defines `train_step_single`, and `validation_step` if there are
    validation data. These return "loss", "size" (the weight of the batch in the mean of
    an epoch) and "record" (numbers of the step for the history).

    Parameters
    ----------
    module : torch.nn.Module

    max_iter : int
        Number of training steps.

    randomness : TorchRandomness
        Random numbers of the module in training.

    checkpoint : TrainingFile or None
        Saves the state of training after each epoch.

    **kwargs : dict
        Passed to :class:`skorch.NeuralNet`.

    Attributes
    ----------
    n_steps_ : int
        Number of steps done.

    ran_out_ : bool
        Whether the batches ended before ``max_iter`` steps.
    """

    _sigint = None

    def __init__(self, module, *, max_iter, randomness, checkpoint, **kwargs):
        self.max_iter = max_iter
        self.randomness = randomness
        self.checkpoint = checkpoint
        self.n_steps_ = 0
        super().__init__(module, train_split=None, batch_size=1, **kwargs)

    def fit_batches(self, batches, valid=None):
        """Train for ``max_iter`` steps, or until a callback ends training.

        Parameters
        ----------
        batches : iterable
            A batch for each step. If training continues from a checkpoint, the batches
            of the completed steps are drawn and skipped.

        valid : object, default=None
            Validation data for "valid_loss" after every epoch.

        Raises
        ------
        KeyboardInterrupt
            When the process is interrupted, or anything but a callback raises it.
        """
        self.initialize()
        self.n_steps_, self.ran_out_ = 0, False
        self._batches = iter(batches)
        self._valid = valid
        self.partial_fit(batches, epochs=-(-self.max_iter // STEPS_PER_EPOCH))

    def partial_fit(self, X, y=None, classes=None, **fit_params):
        """Train until the last epoch, or until a callback or a signal stops it.

        Callbacks of skorch, such as EarlyStopping, raise a KeyboardInterrupt to stop
        training, which then ends without an error.

        Parameters
        ----------
        X, y, classes : object
            As in skorch; `classes` is not used.

        **fit_params : dict
            Passed to `fit_loop`.

        Returns
        -------
        self : object
        """
        self.notify("on_train_begin", X=X, y=y)
        ended = self.checkpoint is not None and self._take_up()
        if not ended:
            with watched_sigint() as self._sigint:
                try:
                    self.fit_loop(X, y, **fit_params)
                except StopTraining:
                    pass
                finally:
                    self._sigint = None
        self.notify("on_train_end", X=X, y=y)
        if self.checkpoint is not None and not ended:
            self.checkpoint.save(self, ended=True)
        return self

    def notify(self, method_name, **kwargs):
        """Call a method of all callbacks, and end training if one of them stops it."""
        stops = False
        getattr(self, method_name)(self, **kwargs)
        for _, callback in self.callbacks_:
            try:
                getattr(callback, method_name)(self, **kwargs)
            except KeyboardInterrupt:
                if self._sigint is None or self._sigint.seen:
                    raise
                # Also call the remaining callbacks for this epoch.
                stops = True
        if stops:
            raise StopTraining
        if method_name == "on_epoch_end" and self.checkpoint is not None:
            self.checkpoint.save(self)

    def _take_up(self):
        """Load the state of an earlier run; return whether it had finished."""
        ended = self.checkpoint.restore(self)
        for batch in islice(self._batches, self.n_steps_):
            self.pass_over(batch)
        return ended

    def pass_over(self, batch):
        """Draw the random numbers of a step with this batch, without the step."""

    def get_split_datasets(self, X, y=None, **fit_params):
        return _Epoch(self), None if self._valid is None else [self._valid]

    def get_iterator(self, dataset, training=False):
        return dataset

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        if iterator is None:
            return
        n_batches = 0
        for batch in iterator:
            self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            for name, value in step["record"].items():
                self.history.record_batch(name, value)
            self.history.record_batch(prefix + "_loss", step["loss"].item())
            self.history.record_batch(prefix + "_batch_size", step["size"])
            self.n_steps_ += training
            self.notify("on_batch_end", batch=batch, training=training, **step)
            n_batches += 1
        if n_batches == 0:
            # The stream has ended, or an earlier run has taken all steps.
            del self.history[-1]
            raise StopTraining
        self.history.record(prefix + "_batch_count", n_batches)

    @property
    def steps_(self):
        """Records of all training steps."""
        return [
            step
            for epoch in self.history
            for step in epoch["batches"]
            if "train_loss" in step
        ]


class _Epoch:
    """The remaining batches of one epoch."""

    def __init__(self, net):
        self.net = net

    def __len__(self):
        return min(STEPS_PER_EPOCH, self.net.max_iter - self.net.n_steps_)

    def __iter__(self):
        left = len(self)
        for batch in islice(self.net._batches, left):
            left -= 1
            yield batch
        self.net.ran_out_ = left > 0
