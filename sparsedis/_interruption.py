"""Ctrl-C in training, which skorch takes for the wish of a callback to stop."""

import signal
import threading
from contextlib import contextmanager
from types import SimpleNamespace


class StopTraining(Exception):
    """Training ends here, as a callback wishes or since no batch is left."""


class Interruptible:
    """Mixin of skorch's nets: the KeyboardInterrupt of a signal leaves `partial_fit`.

    Callbacks of skorch, such as EarlyStopping, stop the training by a KeyboardInterrupt
    of their own, which still ends it without an error.
    """

    _sigint = None

    def partial_fit(self, X, y=None, classes=None, **fit_params):
        """Train until the last epoch, a callback's wish, or a signal.

        Parameters
        ----------
        X, y, classes : object
            As in skorch; `classes` is not used.

        **fit_params : dict
            Passed to `fit_loop`.

        Returns
        -------
        self : object

        Raises
        ------
        KeyboardInterrupt
            When the process was interrupted, or anything but a callback raised it.
        """
        if not self.initialized_:
            self.initialize()
        self.notify("on_train_begin", X=X, y=y)
        with watched_sigint() as self._sigint:
            try:
                self.fit_loop(X, y, **fit_params)
            except StopTraining:
                pass
            finally:
                self._sigint = None
        self.notify("on_train_end", X=X, y=y)
        return self

    def notify(self, method_name, **kwargs):
        """Call a method of all callbacks, and end the training if one wishes so."""
        try:
            super().notify(method_name, **kwargs)
        except KeyboardInterrupt:
            if self._sigint is None or self._sigint.seen:
                raise
            raise StopTraining from None


@contextmanager
def watched_sigint():
    """Note whether SIGINT arrives, and leave what follows to the handler there is.

    Yields
    ------
    SimpleNamespace
        With `seen`. Only the main thread receives signals.
    """
    sigint = SimpleNamespace(seen=False)
    before = signal.getsignal(signal.SIGINT)
    main = threading.current_thread() is threading.main_thread()
    if not (main and callable(before)):
        yield sigint
        return

    def note(number, frame):
        sigint.seen = True
        return before(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield sigint
    finally:
        signal.signal(signal.SIGINT, before)
