"""One state of the C library's allocator for everything that is timed.

glibc takes blocks above a threshold from the kernel, with a page fault at each first touch, and gives the top of its heap
back above twice that threshold. Both rise to the largest block that the process has freed so far, up to 32 MiB. So the same
workload takes a third of the time in a process that happens to have freed a larger array before: a gradient of 2 ms had
1,950 page faults a call, and 7 ms, where nothing had been. Processes that live long are in the first state, sooner or later.
"""

from __future__ import annotations

__all__ = ["settle_allocator"]


def settle_allocator() -> None:
    """Free one block of 24 MiB that was never touched; without glibc this changes nothing."""
    bytearray(24 << 20)
