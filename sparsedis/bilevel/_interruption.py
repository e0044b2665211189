"""Ctrl-C in training, which skorch takes for the wish of a callback to stop."""

import signal
import threading
from contextlib import contextmanager
from types import SimpleNamespace


class StopTraining(Exception):
    """Training ends here, as a callback wishes or since no batch is left."""


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
