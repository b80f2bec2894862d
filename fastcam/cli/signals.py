"""How a command ends when it is asked to: :func:`stopping`."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

__all__ = ["INTERRUPTED", "stopping"]

INTERRUPTED = 128 + signal.SIGINT
"""The exit status after Ctrl-C, as shells have it."""

# What batch systems send, and what a terminal that is closed sends.
_ENDING = ("SIGTERM", "SIGHUP")


@contextmanager
def stopping() -> Iterator[None]:
    """Let a signal end the block by an exception, so that what was done is written; the exit status names the signal.

    A signal that is ignored, as by nohup, stays ignored.
    """

    def stop(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    with ExitStack() as restored:
        if threading.current_thread() is threading.main_thread():
            for name in _ENDING:
                number = getattr(signal, name, None)
                if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                    restored.callback(signal.signal, number, signal.signal(number, stop))
        try:
            yield
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
