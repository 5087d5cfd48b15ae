"""PyTorch's own sample inputs of its operators, run on the tape: values, dtypes, shapes and gradients beside PyTorch's.

Run it: ``python suites/benchmarks/op_db_conformance.py [NAME ...] [--show N]``. The names are those of
``torch.testing._internal.common_methods_invocations.op_db``; without any, all operators that support autograd. Every sample
is run on both with the same cotangents. A sample fails if the tape raises where PyTorch does not, or if a shape, a dtype, a
missing gradient or a number differs: by more than half of the digits of a float64, relative to the largest element, which no
order of summation explains. What cancels has no digits of its own: a gap below 2^-44 of the sample's largest number is
none. Samples that draw random numbers, and those that the tape answers with NotImplementedError, are counted apart; what
KNOWN lists, with the reason, does not count as failed. The exit code is 1 if any failed.
"""

from __future__ import annotations

import argparse
import collections
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

import reference_impl
import reference_impl.nn.functional

HALF_THE_DIGITS = 2.0**-26
CANCELLED = 2.0**-44
MOST_SAMPLES = 80
UNKNOWN_DTYPES = {torch.bfloat16, torch.complex64, torch.complex128}

# Operators whose samples come in another order than the function takes them, and methods and properties.
ADAPTED: dict[str, Callable[..., Any]] = {
    "einsum": lambda operands, equation: reference_impl.einsum(equation, *operands),
    "where": lambda x, condition, other: reference_impl.where(condition, x, other),
    "T": lambda x: x.T,
    "mT": lambda x: x.mT,
    "H": lambda x: x.H,
    "mH": lambda x: x.mH,
    "double": lambda x, **more: x.double(),
    "float": lambda x, **more: x.float(),
    "__rsub__": lambda x, y: y - x if not isinstance(y, reference_impl.Tensor) else reference_impl.sub(y, x),
    "__rmul__": lambda x, y: y * x,
    "__radd__": lambda x, y: y + x,
    "__rdiv__": lambda x, y: y / x,
    "__rpow__": lambda x, y: y**x,
    "__rmatmul__": lambda x, y: y @ x,
    "polygamma": lambda x, n: reference_impl.polygamma(n, x),
    "special.polygamma": lambda x, n: reference_impl.special.polygamma(n, x),
    "zero_": lambda x: x.clone().zero_(),
    "nn.functional.embedding": lambda weight, places, **more: reference_impl.nn.functional.embedding(
        places, weight, **more
    ),
    "__getitem__": lambda x, *index: x[index[0] if len(index) == 1 else index],
}


# Differences that stay: the operator, how the text of the failure begins, and why.
KNOWN: list[tuple[str, str, str]] = [
    (
        "as_strided",
        "output 0 is off by 0.55",
        "the sample is handed over without the memory around it, which it asks for",
    ),
    (
        "as_strided",
        "RuntimeError: setStorage",
        "the sample is handed over without the memory around it, which it asks for",
    ),
    ("cholesky_inverse", "gradient 0 is off", "PyTorch gives the triangle that is not read a gradient (findings.md)"),
    ("cholesky_solve", "gradient 1 is off", "PyTorch gives the triangle that is not read a gradient (findings.md)"),
    ("linalg.norm", "gradient 0 is not None", "ord 0: PyTorch leaves the gradient of a count undefined; zeros here"),
    (
        "linalg.vector_norm",
        "gradient 0 is not None",
        "ord 0: PyTorch leaves the gradient of a count undefined; zeros here",
    ),
    ("norm", "gradient 0 is not None", "p 0: PyTorch leaves the gradient of a count undefined; zeros here"),
    (
        "nn.functional.batch_norm",
        "RuntimeError: batch_norm: expected at least 2D",
        "PyTorch takes an empty vector only",
    ),
    (
        "nn.functional.hardsigmoid",
        "gradient 0 is off by 3e-08",
        "PyTorch's slope in float64 is the float32 nearest to 1/6",
    ),
]


class Unsupported(Exception):
    """The sample has something that the tape knows nothing of: a complex number, a device."""


def function_named(name: str) -> Callable[..., Any] | None:
    """The tape's function or method of that name; None if it has none."""
    if name in ADAPTED:
        return ADAPTED[name]
    found: Any = reference_impl
    for part in name.removeprefix("torch.").split("."):
        found = getattr(found, part, None)
    if found is None:
        found = getattr(reference_impl.Tensor, name, None)
    return found if callable(found) else None


def translated(value: Any) -> Any:
    """The value of a sample for the tape: tensors copied, dtypes by name."""
    if isinstance(value, torch.Tensor):
        if value.dtype in UNKNOWN_DTYPES or value.is_sparse:
            raise Unsupported(str(value.dtype))
        copy = reference_impl.Tensor(value.detach().numpy().copy())
        return copy.requires_grad_() if value.requires_grad else copy
    if isinstance(value, torch.dtype):
        if value in UNKNOWN_DTYPES:
            raise Unsupported(str(value))
        return getattr(reference_impl, str(value).removeprefix("torch."))
    if isinstance(value, torch.device):
        return reference_impl.device(value.type, value.index)
    if isinstance(value, (torch.layout, torch.memory_format)):
        name = str(value).removeprefix("torch.")
        if not hasattr(reference_impl, name):
            raise Unsupported(name)
        return getattr(reference_impl, name)
    if isinstance(value, torch.Generator):
        raise Unsupported("a generator")
    if isinstance(value, torch.nn.PairwiseDistance):  # the sample's own distance, of PyTorch's tensors
        return lambda x, y: reference_impl.nn.functional.pairwise_distance(x, y, value.norm, value.eps, value.keepdim)
    if isinstance(value, (list, tuple)):
        items = [translated(v) for v in value]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, dict):
        return {k: translated(v) for k, v in value.items()}
    return value


def tensors_in(value: Any, kind: type) -> Iterator[Any]:
    """All tensors of a nested structure, in order."""
    if isinstance(value, kind):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors_in(item, kind)
    elif isinstance(value, dict):
        yield from tensors_in(list(value.values()), kind)


def outcome(T: Any, function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    """Values of all outputs and gradients of all inputs that require grad, as copies."""
    outputs = list(tensors_in([function(*args, **kwargs)], T.Tensor))
    inputs = [x for x in tensors_in([list(args), kwargs], T.Tensor) if x.requires_grad]
    values = [np.array(y.detach().numpy()) for y in outputs]
    roots = [(i, y) for i, y in enumerate(outputs) if y.requires_grad]
    if not roots or not inputs:
        return values, None
    # One seed an output, so that both have the same cotangents even where only one lets an output require grad.
    cotangents = [T.tensor(np.random.default_rng(i).uniform(0.5, 1.5, tuple(y.shape)), dtype=y.dtype) for i, y in roots]
    grads = T.autograd.grad([y for _, y in roots], inputs, cotangents, allow_unused=True)
    return values, [None if g is None else np.array(g.detach().numpy()) for g in grads]


def difference(what: str, ours: Any, theirs: Any, floor: float) -> str:
    """How an array of the tape differs from PyTorch's, in words; "" if it does not, or by no more than the floor."""
    if (ours is None) != (theirs is None):
        return f"{what} is {'None' if ours is None else 'not None'}"
    if ours is None:
        return ""
    if ours.shape != theirs.shape:
        return f"{what} has shape {ours.shape}, want {theirs.shape}"
    if ours.dtype != theirs.dtype:
        return f"{what} has dtype {ours.dtype}, want {theirs.dtype}"
    if ours.dtype.kind != "f":
        return "" if np.array_equal(ours, theirs) else f"{what} differs"
    special = ~np.isfinite(theirs)
    if not np.array_equal(ours[special], theirs[special], equal_nan=True) or not np.isfinite(ours[~special]).all():
        return f"{what}: nan or inf elsewhere"
    size = np.abs(theirs[~special]).max(initial=0.0)
    gap = np.abs(ours[~special] - theirs[~special]).max(initial=0.0)
    return f"{what} is off by {gap / size if size else gap:.2g}" if gap > max(HALF_THE_DIGITS * size, floor) else ""


def largest_number(arrays: Sequence[Any]) -> float:
    """The largest magnitude of the finite floats in arrays, some of which may be None; 0 if there are none."""
    floats = [a[np.isfinite(a)] for a in arrays if a is not None and a.dtype.kind == "f"]
    return max((float(np.abs(a).max(initial=0.0)) for a in floats), default=0.0)


def draws(name: str, kwargs: dict[str, Any]) -> bool:
    """Whether the sample draws random numbers, which no two engines draw alike."""
    drops = "dropout" in name and kwargs.get("training", "alpha" not in name) and 0 < kwargs.get("p", 0.5) < 1
    if name in ("normal", "bernoulli"):
        return True
    return bool(drops or kwargs.get("dropout_p") or (name == "nn.functional.rrelu" and kwargs.get("training")))


def reason_for(name: str, text: str) -> str:
    """Why a failure is none: the entry of KNOWN; "" if there is none."""
    return next((why for operator, start, why in KNOWN if operator == name and text.startswith(start)), "")


def compare(op: Any, function: Callable[..., Any], sample: Any) -> str:
    """How one sample fails, in words; "" if it agrees.

    Raises:
        Unsupported: the tape or PyTorch itself cannot take the sample.
        NotImplementedError: the tape leaves it out on purpose.
    """
    args, kwargs = (sample.input, *sample.args), sample.kwargs
    ours = translated(list(args)), translated(kwargs)
    try:
        values, grads = outcome(torch, op.op, args, kwargs)
    except Exception as error:  # samples that only a device or a build can run
        raise Unsupported(f"PyTorch: {error}") from error
    try:
        with np.errstate(all="ignore"):
            got, got_grads = outcome(reference_impl, function, *ours)
    except NotImplementedError:
        raise
    except Exception as error:  # whatever the tape raises is what is looked for
        return f"{type(error).__name__}: {error}"
    if len(got) != len(values):
        return f"{len(got)} outputs, want {len(values)}"
    if (grads is None) != (got_grads is None):
        return "gradient " + ("where PyTorch has none" if grads is None else "missing")
    pairs = [(f"output {i}", a, b) for i, (a, b) in enumerate(zip(got, values, strict=True))]
    pairs += [(f"gradient {i}", a, b) for i, (a, b) in enumerate(zip(got_grads or (), grads or (), strict=True))]
    floor = CANCELLED * largest_number([*values, *(grads or ())])
    return next((text for text in (difference(*pair, floor) for pair in pairs) if text), "")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what failed, operator by operator, and the sums."""
    from torch.testing._internal.common_methods_invocations import op_db

    parser = argparse.ArgumentParser(description="PyTorch's sample inputs on the tape.")
    parser.add_argument("names", nargs="*", help="names of op_db; default: all that support autograd")
    parser.add_argument("--show", type=int, default=2, help="failures shown of each operator")
    options = parser.parse_args(arguments)
    torch.manual_seed(0)
    warnings.simplefilter("ignore")
    clean: set[str] = set()
    dirty: set[str] = set()
    missing: set[str] = set()
    empty: set[str] = set()
    left_out: dict[str, set[str]] = collections.defaultdict(set)
    known: dict[str, set[str]] = collections.defaultdict(set)
    counts: collections.Counter[str] = collections.Counter()
    for op in op_db:
        if op.name not in options.names if options.names else not op.supports_autograd:
            continue
        function = function_named(op.name)
        if function is None:
            missing.add(op.name)
            continue
        failures = []
        agreed = counts["agree"]
        samples = list(op.sample_inputs("cpu", torch.float64, requires_grad=op.supports_autograd))[:MOST_SAMPLES]
        for sample in samples:
            if draws(op.name, sample.kwargs):
                counts["random"] += 1
                continue
            try:
                text = compare(op, function, sample)
            except Unsupported:
                counts["unsupported"] += 1
                continue
            except NotImplementedError as error:
                counts["left out"] += 1
                left_out[op.name].add(str(error))
                continue
            if text and (why := reason_for(op.name, text)):
                counts["known"] += 1
                known[op.name].add(why)
                continue
            counts["failed" if text else "agree"] += 1
            if text:
                shapes = [tuple(x.shape) for x in tensors_in([sample.input, *sample.args], torch.Tensor)]
                failures.append(f"{text[:140]}  [shapes {shapes}, {sample.kwargs}]"[:280])
        if failures or counts["agree"] > agreed:
            (dirty if failures else clean).add(op.name)
        else:
            empty.add(op.name)
        if failures:
            label = f"{op.name} {op.variant_test_name}".strip()
            print(f"{label}: {len(failures)} of {len(samples)} samples", *failures[: options.show], sep="\n    ")
    clean -= dirty
    empty -= clean | dirty
    for title, noted in (("left out", left_out), ("known", known)):
        for name, reasons in sorted(noted.items()):
            print(f"{title}: {name}: {'; '.join(sorted(reasons))}")
    print(f"without a sample that was compared ({len(empty)}): {' '.join(sorted(empty))}")
    print(f"missing ({len(missing)}): {' '.join(sorted(missing))}")
    print(
        f"{len(clean)} operators agree, {len(dirty)} do not, {len(missing)} are missing; samples: "
        + ", ".join(f"{n} {word}" for word, n in sorted(counts.items()))
    )
    return 1 if dirty else 0


if __name__ == "__main__":
    sys.exit(main())
