"""What one call of a thunk does, counted: tape nodes, primitives, VJP rules, bytes saved, Python calls, memory at its peak.

Counts do not depend on the machine or on what else runs there, so two revisions are compared by them exactly. `count` watches
the interpreter (`sys.setprofile`) instead of the tape, so it counts for revisions that know nothing of counting; this module
imports nothing of Adjudge's, because it is also loaded by its path beside the sources of an older revision.

>>> count(lambda: abs(-1))["python_calls"]
2
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

import numpy as np

__all__ = ["GATED", "count", "measured", "peak_bytes", "peak_rss_bytes"]

GATED = ("tape_nodes", "primitive_calls", "vjp_calls", "saved_bytes")
"""The counts that a revision is held to; `python_calls` changes with every function that is split in two."""

Thunk = Callable[[], Any]


def measured(
    thunk: Thunk, *, backend: str, count_tape: Callable[[Thunk], dict[str, int]] | None = None
) -> dict[str, int]:
    """Counts and memory of one call on a backend, by the names of the columns of a timing row.

    Args:
        count_tape: counts the tape of a backend that has its own, such as PyTorch.
    """
    found = count(thunk)
    if backend != "reference":
        found = {"python_calls": found["python_calls"]} if "python_calls" in found else {}
    if count_tape is not None:
        found |= count_tape(thunk)
    if backend in ("numpy", "reference"):  # the others allocate where Python does not see it
        found["peak_bytes"] = peak_bytes(thunk)
    return found | {"peak_rss_bytes": peak_rss_bytes(thunk)}


def count(thunk: Thunk) -> dict[str, int]:
    """Counts of one call, the garbage collector's work left aside.

    Returns:
        ``python_calls`` and, where the tape is loaded, ``tape_nodes``, ``primitive_calls``, ``vjp_calls`` and
        ``saved_bytes`` of its nodes. A count that differs between two calls in a row is left out.
    """
    thunk()  # caches that a first call fills are no part of it
    first, again = _count(thunk), _count(thunk)
    return {name: n for name, n in first.items() if again[name] == n}


def peak_bytes(thunk: Thunk) -> int:
    """Most bytes that Python and NumPy had allocated at once during one call, beyond those before it."""
    if tracemalloc.is_tracing():
        return -1  # somebody else's measurement
    tracemalloc.start()
    try:
        thunk()
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        kept = thunk()
        peak = tracemalloc.get_traced_memory()[1]
        del kept
        return max(0, peak - before)
    finally:
        tracemalloc.stop()


def peak_rss_bytes(thunk: Thunk) -> int:
    """Growth of the process's resident memory at its peak during one call, in whole pages; -1 where Linux does not tell."""
    try:
        before = _status("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        kept = thunk()
        peak = _status("VmHWM")
        del kept
    except (OSError, LookupError):
        return -1
    return max(0, peak - before)


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return 1024 * int(line.split()[1])
    raise LookupError(key)


def _count(thunk: Thunk) -> dict[str, int]:
    tape = _Tape()
    calls = 0

    def watch(frame: FrameType, event: str, arg: object) -> None:
        nonlocal calls
        if event == "call":
            calls += 1
            tape.enter(frame)
        elif event == "c_call":
            calls += 1
        elif event == "return" and (made := tape.maker(frame.f_code)):
            tape.keep(frame.f_locals[made])

    before, collects = sys.getprofile(), gc.isenabled()
    gc.disable()  # finalizers would be counted
    try:
        sys.setprofile(watch)
        result = thunk()
    finally:
        sys.setprofile(before)
        if collects:
            gc.enable()
    del result
    return {"python_calls": calls - 1} | tape.counts()  # less the call that ends the watch


class _Tape:
    """What is counted of the tape, if it is loaded."""

    def __init__(self) -> None:
        primitives = sys.modules.get("reference_impl.primitives")
        tensor = sys.modules.get("reference_impl.tensor")
        self.makers: dict[CodeType, str] = {}  # what makes a node, and what it calls it
        self.ops: set[CodeType] = set()
        self.rules: set[CodeType] = set()
        self.written = ""  # the name of the file of the functions that the tape writes to make nodes
        if primitives is not None and tensor is not None:
            self.makers = {tensor.Node.__init__.__code__: "self"}
            if hasattr(tensor, "node_of"):  # not in every revision that is counted
                self.makers[tensor.node_of.__code__] = "node"
            self.written = getattr(primitives, "WRITTEN", "")
            self.ops = _ops()
            for p in primitives.PRIMITIVES.values():
                for rule in p.rules:
                    self.rules |= _codes(rule.function)
                self.rules |= _codes(getattr(p, "add_into", None))  # what runs in a rule's place
        self.nodes = self.primitive_calls = self.vjp_calls = 0
        self.saved: dict[int, np.ndarray[Any, Any]] = {}  # by identity; held, so that no address is used twice

    def enter(self, frame: FrameType) -> None:
        if frame.f_code in self.ops:
            # An op may hand on to another form of itself; that is one call.
            self.primitive_calls += frame.f_back is None or frame.f_back.f_code not in self.ops
        elif frame.f_code in self.rules:
            self.vjp_calls += 1

    def maker(self, code: CodeType) -> str | None:
        """Return what a function that makes a node calls it; None of any other."""
        return "node" if code.co_filename == self.written else self.makers.get(code)

    def keep(self, node: Any) -> None:
        self.nodes += 1
        for values in node.saved or ():
            for value in values:
                if isinstance(value, np.ndarray):
                    owner = _owner(value)
                    self.saved[id(owner)] = owner

    def counts(self) -> dict[str, int]:
        if not self.makers:
            return {}
        return {
            "tape_nodes": self.nodes,
            "primitive_calls": self.primitive_calls,
            "vjp_calls": self.vjp_calls,
            "saved_bytes": sum(a.nbytes for a in self.saved.values()),
        }


def _ops() -> set[CodeType]:
    """The code of every op: the functions of the tape's modules and of its tensors that carry their primitive."""
    found: set[CodeType] = set()
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "reference_impl":
            spaces = [vars(module), *(vars(v) for v in vars(module).values() if isinstance(v, type))]
            for space in spaces:
                for value in list(space.values()):
                    if hasattr(value, "primitive") and isinstance(value, FunctionType):
                        found |= _codes(value)
    return found


def _codes(function: Any) -> set[CodeType]:
    code = getattr(function, "__code__", None)
    return set() if code is None else {code}


def _owner(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The array whose memory a view shows."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
