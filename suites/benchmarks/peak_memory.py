"""Peak memory of a forward and backward on the tape and on PyTorch, the same graph in a fresh process each.

Run it: ``python suites/benchmarks/peak_memory.py [--elements 1000000] [--repeats 3]``. A process imports its engine, makes the
inputs, warms up on small ones, then runs once; the figure is how far its resident memory rose above what it was before
(Linux: `VmHWM` of /proc/self/status, reset through /proc/self/clear_refs). Printed: the median over the repeats in MiB and
the ratio of the medians.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
ENGINES = {"reference": "reference_impl", "torch": "torch"}


def mlp(T: Any, x: Any) -> Any:
    """Three layers of the width that makes their activations as large as x."""
    n = x.shape[0]
    y = x.reshape(n // 100, 100)
    w = T.ones(100, 100, dtype=x.dtype) * 0.01
    for _ in range(3):
        y = T.tanh(y @ w)
    return y.sum()


def softmax_loss(T: Any, x: Any) -> Any:
    """The log-softmax of rows, and the loss of their first class."""
    return -T.log_softmax(x.reshape(-1, 10), dim=1)[:, 0].mean()


def rows(T: Any, x: Any) -> Any:
    """A sum over the rows of a matrix, one at a time."""
    y = x.reshape(100, -1)
    total = y[0] * 0.0
    for i in range(100):
        total = total + y[i] * y[i]
    return total.sum()


def graphs() -> dict[str, Callable[..., Any]]:
    """The graphs by name: functions of a namespace and of a vector."""
    sys.path.insert(0, str(ROOT))
    from suites.benchmarks.compare_tape import elementwise, indexing, reduction

    return {
        "elementwise": elementwise,
        "reduction": reduction,
        "indexing": indexing,
        "mlp": mlp,
        "softmax_loss": softmax_loss,
        "rows": rows,
    }


def resident(key: str) -> int:
    """A figure of this process in bytes: VmRSS, what is resident now, or VmHWM, the most that was."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {key}: this needs Linux")


def measure_here(engine: str, graph: str, elements: int) -> int:
    """Bytes by which this process grew at most over one forward and backward."""
    T = __import__(ENGINES[engine])
    if engine == "torch":
        T.set_num_threads(1)
    function = functools.partial(graphs()[graph], T)
    values = np.random.default_rng(3).uniform(0.1, 0.9, elements)
    for n in (1000, elements):
        x = T.tensor(values[:n], requires_grad=True)
        Path("/proc/self/clear_refs").write_text("5")
        before = resident("VmRSS")
        function(x).backward()
        rise = resident("VmHWM") - before
        assert x.grad is not None
    return rise


def measure(engine: str, graph: str, elements: int) -> int:
    """The same in a fresh process."""
    command = [sys.executable, __file__, "--one", engine, graph, str(elements)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(f"{engine} {graph}: {done.stderr.strip().splitlines()[-1]}")
    return int(json.loads(done.stdout))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line a graph."""
    parser = argparse.ArgumentParser(description="Peak memory of forward and backward: the tape and PyTorch.")
    parser.add_argument("--elements", type=int, default=1_000_000, help="elements of x, float64")
    parser.add_argument("--repeats", type=int, default=3, help="fresh processes of each")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        engine, graph, elements = options.one
        print(measure_here(engine, graph, int(elements)))
        return 0
    print(f"{options.elements} elements of float64, {options.repeats} processes each; MiB above the start, medians")
    print(f"{'graph':>14} {'reference':>10} {'torch':>10} {'ratio':>6}")
    for graph in graphs():
        found = {
            engine: statistics.median(measure(engine, graph, options.elements) for _ in range(options.repeats))
            for engine in ENGINES
        }
        mib = {engine: value / 2**20 for engine, value in found.items()}
        print(
            f"{graph:>14} {mib['reference']:>10.1f} {mib['torch']:>10.1f} {mib['reference'] / mib['torch']:>6.2f}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
