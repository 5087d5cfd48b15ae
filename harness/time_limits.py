"""Limits of time for code that may never come back."""

from __future__ import annotations

import contextlib
import faulthandler
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

__all__ = ["OutOfTime", "last_resort", "within"]

STANDARD_ERROR = 2  # its number, since what stands for `sys.stderr` may have none


class OutOfTime(BaseException):
    """A call lasted longer than it may; no `Exception`, since the code that is called might catch those."""


@contextlib.contextmanager
def within(seconds: float, what: str = "a call of the function") -> Iterator[None]:
    """Raise if the block lasts longer; in the main thread of a Unix process, where a signal can tell.

    The signal is taken between two instructions of Python: a call that stays in C is not interrupted.

    Raises:
        OutOfTime: ``"{what} lasted longer than {seconds} s"``.
    """
    here = threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer")
    if math.isinf(seconds) or not here:
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise OutOfTime(f"{what} lasted longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def last_resort(seconds: float) -> Iterator[Callable[[], None]]:
    """End the process, with its stack on standard error, once it has shown no sign of life for so long.

    For calls that stay in C, which no signal handler of Python reaches. What the process has not saved is lost::

        with last_resort(60) as alive:
            for work in works:
                alive()
                work()
    """
    armed = -math.inf

    def alive() -> None:
        nonlocal armed
        now = time.monotonic()
        if now - armed > seconds / 20:  # arming starts a thread, which should not happen before each sample
            faulthandler.dump_traceback_later(seconds, exit=True, file=STANDARD_ERROR)
            armed = now

    if math.isinf(seconds):
        yield lambda: None
        return
    try:
        yield alive
    finally:
        faulthandler.cancel_dump_traceback_later()
