"""The times of fresh processes do not depend on what they happened to free before."""

from __future__ import annotations

import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from harness.allocator import settle_allocator
if sys.argv[1] == "settled":
    settle_allocator()
def pages():
    np.ones(500_000) + np.ones(500_000)  # 4 MB each
pages()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    pages()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(state: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, state], capture_output=True, text=True, check=True, timeout=120
    )
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="the thresholds are those of glibc on Linux")
def test_a_settled_process_takes_no_pages_from_the_kernel_again() -> None:
    plain, settled = faults("plain"), faults("settled")
    if plain < 1_000:
        pytest.skip(f"this C library keeps what is freed by itself ({plain} page faults in 20 calls)")
    assert settled < plain / 10
