"""Detection of Ctrl-C, which skorch treats like a callback that stops training."""

import signal
import threading
from contextlib import contextmanager
from types import SimpleNamespace


class StopTraining(Exception):
    """Ends training, because a callback stops it or no batch is left."""


@contextmanager
def watched_sigint():
    """Record whether SIGINT arrives, and call the existing handler.

    Yields
    ------
    SimpleNamespace
        Its attribute `seen` is True after a SIGINT. Only the main thread receives
        signals.
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
