"""Epochs of training, for skorch's callbacks and scikit-learn's."""

from skorch.callbacks import Callback

# skorch calls its callbacks after each epoch. A stream of tasks has no epochs, so an
# epoch is a fixed number of steps.
STEPS_PER_EPOCH = 20


class Progress(Callback):
    """Call scikit-learn's callbacks after every epoch."""

    def __init__(self, estimator, context):
        self.estimator = estimator
        self.context = context

    def on_epoch_begin(self, net, **kwargs):
        self._epoch = self.context.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(estimator=self.estimator)

    def on_epoch_end(self, net, **kwargs):
        if self._epoch.call_on_fit_task_end(estimator=self.estimator):
            raise KeyboardInterrupt  # how skorch stops early
