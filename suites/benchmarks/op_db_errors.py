"""What PyTorch's own test database says its operators must refuse, given to the tape: the class of the error and its words.

Run it: ``python suites/benchmarks/op_db_errors.py [NAME ...]``. The names are those of
``torch.testing._internal.common_methods_invocations.op_db``; without any, all that have such inputs. An input counts where
PyTorch itself refuses it here and the tape has the operator and the types. It fails if the tape takes it, raises another
class of error, or has other words where PyTorch's tests look for some; what KNOWN lists, with the reason, does not count as
failed. The exit code is 1 if any failed.
"""

from __future__ import annotations

import argparse
import collections
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from suites.benchmarks.op_db_conformance import Unsupported, function_named, translated

# Differences that stay: the operators, a part of PyTorch's message, and why.
KNOWN: list[tuple[str, str, str]] = [
    ("__radd__ __rmul__ __rdiv__ __rand__ __ror__ __rxor__", "", "called as an operator here, which takes numbers"),
    ("dot vdot where", "same device", "there is one device"),
    ("", "some elements of the input tensor and the written-to tensor", "the result is whole before it is written"),
    ("", "more than one element of the written-to tensor", "the copies that the tape gets are not expanded"),
    ("aminmax gather", "Expected out tensor to have dtype", "`out` may have another float type"),
    ("multinomial", "expects Long tensor out", "`out` may have a float type"),
    ("multinomial", "number of categories cannot exceed", "NumPy has no such limit"),
    ("cat", "resize storage that is not resizable", "every tensor can be resized"),
    ("amax amin", "Expected the dtype for input and out to match", "refused in the words of the other operators"),
    ("arange", "step must be nonzero", "PyTorch's arange counts in the type of `out`; 0.5 is 0 there"),
    ("normal", "normal expects std", "the database calls the method `normal_`, the tape's function takes a size"),
    ("special.xlog1py", "invalid combination", "two numbers give the number"),
]


def reason_for(name: str, text: str) -> str:
    """Why a difference is none: the entry of KNOWN; "" if there is none."""
    return next((why for names, part, why in KNOWN if (not names or name in names.split()) and part in text), "")


def refusal(call: Callable[[], Any]) -> Exception | None:
    """The error that a call raises; None if it raises none."""
    try:
        call()
    except Exception as error:  # whatever is raised is what is looked for
        return error
    return None


def judge(op: Any, function: Callable[..., Any], bad: Any) -> tuple[str, str]:
    """A word to count one input by, and how it fails, in words.

    Raises:
        Unsupported: the tape cannot take the types.
    """
    sample = bad.sample_input
    try:
        args, named = translated([sample.input, *sample.args]), translated(sample.kwargs)
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:  # dtypes and layouts that NumPy has not
        raise Unsupported(str(error)) from error
    theirs = refusal(lambda: op(sample.input, *sample.args, **sample.kwargs))
    if theirs is None:
        return "taken by PyTorch", ""
    ours = refusal(lambda: function(*args, **named))
    if reason_for(op.name, str(theirs)):
        return "known", ""
    if ours is None:
        return "failed", f"no error, want {type(theirs).__name__}: {theirs}"
    if not isinstance(ours, type(theirs)):
        return "failed", f"{type(ours).__name__}: {ours}, want {type(theirs).__name__}: {theirs}"
    if re.search(bad.error_regex, str(theirs)) and not re.search(bad.error_regex, str(ours)):
        return "failed", f"{ours}, want {bad.error_regex}"
    return "agree", ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what failed and the sums."""
    from torch.testing._internal.common_methods_invocations import op_db

    parser = argparse.ArgumentParser(description="PyTorch's inputs that must be refused, on the tape.")
    parser.add_argument("names", nargs="*", help="names of op_db; default: all that have such inputs")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    counts: collections.Counter[str] = collections.Counter()
    agreeing: set[str] = set()
    for op in op_db:
        if op.error_inputs_func is None or (options.names and op.name not in options.names):
            continue
        function = function_named(op.name)
        if function is None:
            counts["of missing operators"] += 1
            continue
        for bad in op.error_inputs("cpu"):
            try:
                word, text = judge(op, function, bad)
            except Unsupported:
                word, text = "unsupported", ""
            counts[word] += 1
            if word == "agree":
                agreeing.add(op.name)
            if text:
                print(f"{op.name}: {text[:300]}")
    print(f"{len(agreeing)} operators; inputs: " + ", ".join(f"{n} {word}" for word, n in sorted(counts.items())))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
