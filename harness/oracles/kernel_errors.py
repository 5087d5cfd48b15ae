"""Measure how far the kernels of a backend are from the exact result, against 200-bit ball arithmetic.

`measure("torch", "float64")` returns one entry an op, in the form that `harness.kernels` loads; `regenerate(path)` does
so for every backend that is installed and writes the table, or measures some ops and leaves the rest of it as it is.
Errors are in units of u, half the distance from 1 to the next number: a correctly rounded kernel has 1 at most.

Points are drawn over the whole exponent range of the dtype, in the ordinary range, near the zeros of the function, at
its edges and in its saturated tails. Every kernel runs on a long array and on short ones, since vector and scalar code
differ.
"""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from flint import arb, arb_series
from numpy.typing import NDArray

from harness import backends
from harness.backends import Engine
from harness.cases import Array, Case
from harness.floats import HALF, about, carrier, to_dtype
from harness.kernels import KINDS, RUN_HALVES, SCHEMA, TABLE, Declared
from harness.oracles.balls import Undecidable, precision
from harness.oracles.families import activations, rounding, special, transcendental
from harness.oracles.series import series_length
from harness.points import rounded
from harness.programs import Instr, Param, Program, Scalar, Spec

__all__ = [
    "ADDING",
    "BACKENDS",
    "CONVOLUTIONS",
    "DTYPES",
    "EXACT",
    "SCALES",
    "Probe",
    "measure",
    "measure_adding",
    "probes",
    "regenerate",
]

DTYPES = ("float64", "float32")
BACKENDS = ("reference", "torch", "jax", "jax-jit")
BITS = 200
MANY_BITS = 2400  # enough to reduce the largest float64 modulo pi
MOSTLY_RELATIVE = 16.0  # a kernel with a larger relative error is declared with an absolute part
MARGIN = 2.0  # declared = ceil(MARGIN * measured), at least 1

# Ops that are 0 along curves between the floating-point numbers: a relative error says nothing there, however it measured.
CROSSES_ZERO = frozenset({"logaddexp", "logaddexp2", "digamma", "lgamma"})
# A factor of the result leaves the normal range while the result, this many times larger, is in it still.
UNDERFLOWS_EARLY = {"silu": 2.0**10, "mish": 2.0**10, "asin": 2.0, "remainder": 4.0}
# Rounded correctly, as IEEE 754 has it. Of any other kernel a largest error of 1 was merely not exceeded at the points drawn:
# even of the root, which vector libraries round otherwise (PyTorch's in float64 errs by 1.03 at one of a hundred points).
IEEE_OPS = frozenset({"add", "sub", "mul", "div", "square", "reciprocal"})

Exact = Callable[..., Any]

# name of a scale -> the scale of an element, from |exact result| and the largest |argument|
SCALES: dict[str, Callable[[float, float], float]] = {
    "1": lambda y, x: 1.0,
    "max|args|": lambda y, x: x,
    "max|args| |y|": lambda y, x: x * y,
}


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + (-x).exp())


def _logaddexp(a: Any, b: Any) -> Any:
    high, low = (a, b) if a > b else (b, a)
    return high + (low - high).exp().log1p()


def _logaddexp2(a: Any, b: Any) -> Any:
    """As its enclosure; of equal numbers exactly, which is 0 of -1 and -1."""
    return a + 1 if a.is_exact() and a == b else transcendental.PAIRS_ON_BALLS["logaddexp2"](a, b)


def _pow(a: Any, b: Any) -> Any:
    if a == 0 and b == 0:
        return arb(1)
    if a == 0:
        return arb(0) if b > 0 else arb.nan()
    if a < 0:
        if not b.is_integer():
            return arb.nan()
        size = ((-a).log() * b).exp()
        return size if (b / 2).is_integer() else -size
    return (a.log() * b).exp()


def _sech2(x: Any) -> Any:
    return 1 / x.cosh() ** 2


def _slope_of_sigmoid(x: Any) -> Any:
    e = (-abs(x)).exp()
    return e / (1 + e) ** 2


# op -> (value, derivative by each argument), as functions of balls
EXACT: dict[str, tuple[Exact, tuple[Exact, ...]]] = {
    "neg": (lambda x: -x, (lambda x: arb(-1),)),
    "abs": (abs, (lambda x: x.sgn(),)),
    "sign": (lambda x: x.sgn(), (lambda x: arb(0),)),
    "relu": (lambda x: x.nonnegative_part(), (lambda x: arb(1) if x > 0 else arb(0),)),
    "exp": (lambda x: x.exp(), (lambda x: x.exp(),)),
    "expm1": (lambda x: x.expm1(), (lambda x: x.exp(),)),
    "log": (lambda x: x.log(), (lambda x: 1 / x,)),
    "log1p": (lambda x: x.log1p(), (lambda x: 1 / (1 + x),)),
    "sqrt": (lambda x: x.sqrt(), (lambda x: x.rsqrt() / 2,)),
    "rsqrt": (lambda x: x.rsqrt(), (lambda x: -x.rsqrt() / (2 * x),)),
    "reciprocal": (lambda x: 1 / x, (lambda x: -1 / (x * x),)),
    "square": (lambda x: x * x, (lambda x: 2 * x,)),
    "sin": (lambda x: x.sin(), (lambda x: x.cos(),)),
    "cos": (lambda x: x.cos(), (lambda x: -x.sin(),)),
    "tan": (lambda x: x.tan(), (lambda x: 1 / x.cos() ** 2,)),
    "sinh": (lambda x: x.sinh(), (lambda x: x.cosh(),)),
    "cosh": (lambda x: x.cosh(), (lambda x: x.sinh(),)),
    "tanh": (lambda x: x.tanh(), (_sech2,)),
    "atan": (lambda x: x.atan(), (lambda x: 1 / (1 + x * x),)),
    "sigmoid": (_sigmoid, (_slope_of_sigmoid,)),
    "add": (lambda a, b: a + b, (lambda a, b: arb(1), lambda a, b: arb(1))),
    "sub": (lambda a, b: a - b, (lambda a, b: arb(1), lambda a, b: arb(-1))),
    "mul": (lambda a, b: a * b, (lambda a, b: b, lambda a, b: a)),
    "div": (lambda a, b: a / b, (lambda a, b: 1 / b, lambda a, b: -a / (b * b))),
    "pow": (_pow, (lambda a, b: b * _pow(a, b - 1), lambda a, b: _pow(a, b) * a.log())),
    "maximum": (lambda a, b: a.max(b), (lambda a, b: arb(int(a > b)), lambda a, b: arb(int(b > a)))),
    "minimum": (lambda a, b: a.min(b), (lambda a, b: arb(int(a < b)), lambda a, b: arb(int(b < a)))),
    "logaddexp": (_logaddexp, (lambda a, b: _sigmoid(a - b), lambda a, b: _sigmoid(b - a))),
    "atan2": (arb.atan2, (lambda a, b: b / (a * a + b * b), lambda a, b: -a / (a * a + b * b))),
}


def _slope_of(series: Exact, argument: int = 0) -> Exact:
    """The derivative of a function of one or two numbers by its series; nan at a kink."""

    def slope(*xs: Any, **params: Any) -> Any:
        try:
            with series_length(2):
                return series(*(arb_series([x, int(i == argument)]) for i, x in enumerate(xs)), **params)[1]
        except Undecidable:
            return arb.nan()

    return slope


def _decided(cell: Exact) -> Exact:
    """The function; nan where it is not certain on which side of a jump its argument lies."""

    def value(*xs: Any, **params: Any) -> Any:
        try:
            return cell(*xs, **params)
        except Undecidable:
            return arb.nan()

    return value


for _family in (activations, special, transcendental, rounding):
    for _op, _cell in _family.ON_BALLS.items():
        if _op != "scaled":
            EXACT[_op] = (_decided(_cell), (_slope_of(_family.ON_SERIES[_op]),))
for _with_pairs in (special, transcendental, rounding):
    for _op, _cell in _with_pairs.PAIRS_ON_BALLS.items():
        EXACT[_op] = (_decided(_cell), tuple(_slope_of(_with_pairs.PAIRS_ON_SERIES[_op], i) for i in (0, 1)))

EXACT["logaddexp2"] = (_logaddexp2, EXACT["logaddexp2"][1])

# The parameters with which an op is measured; those of the others have no influence, or they have none.
PARAMS: dict[str, tuple[dict[str, Param], ...]] = {
    "leaky_relu": ({}, {"negative_slope": 0.3}),
    "elu": ({}, {"alpha": 1.7}),
    "celu": ({}, {"alpha": 0.5}, {"alpha": 1.3}),
    "gelu": ({}, {"approximate": "tanh"}),
    "softplus": ({}, {"beta": 2.0}, {"beta": 0.7, "threshold": 40.0}),
    "softshrink": ({}, {"lambd": 0.3}),
    "logit": ({}, {"eps": 0.01}),
    "polygamma": ({"n": 1}, {"n": 2}),
}


@dataclass(frozen=True, eq=False)
class Probe:
    """One kernel at many points: the program's arguments, the points of its tensors, and the exact results.

    `value` and `slopes` hold (rounded to 30 digits more than float64) balls; a ball that is not finite is no test.
    """

    op: str
    args: tuple[int | Scalar, ...]
    points: tuple[Array, ...]
    value: tuple[Any, ...]
    slopes: tuple[tuple[Any, ...], ...]
    params: tuple[tuple[str, Param], ...] = ()


def _evaluate(f: Exact, numbers: Sequence[float], **params: Any) -> Any:
    """The ball f(numbers) with at least 100 good bits, or nan."""
    for bits in (BITS, MANY_BITS):
        try:
            with precision(bits):
                y = f(*[arb(v) for v in numbers], **params)
        except (ValueError, ZeroDivisionError):
            return arb.nan()
        if not y.is_nan() and (y.is_exact() or y.rel_accuracy_bits() > 100):
            return y
    return arb.nan()


@cache
def probes(dtype: str, count: int, ops: frozenset[str] | None = None) -> tuple[Probe, ...]:
    """Elementwise ops (all or some) with points for that dtype and exact results; computed once for all backends."""
    found = []
    for op, (value, slopes) in EXACT.items():
        if ops is not None and op not in ops:
            continue
        for params in PARAMS.get(op, ({},)):
            rounded = {k: float(to_dtype(v, dtype)) if isinstance(v, float) else v for k, v in params.items()}
            for args, points in _points(op, dtype, count // len(PARAMS.get(op, ({},)))):
                rows = list(zip(*[_numbers(arg, points, dtype) for arg in args], strict=True))
                tensors = [k for k, arg in enumerate(args) if not isinstance(arg, Scalar)]
                exact = tuple(_evaluate(value, row, **rounded) for row in rows)
                rates = tuple(tuple(_evaluate(slopes[k], row, **rounded) for row in rows) for k in tensors)
                found.append(Probe(op, args, points, exact, rates, tuple(sorted(params.items()))))
    return tuple(found)


def _numbers(arg: int | Scalar, points: tuple[Array, ...], dtype: str) -> list[float]:
    if isinstance(arg, Scalar):
        # A literal is a float64 that the framework rounds to the dtype of the tensor beside it.
        return [float(to_dtype(arg.value, dtype))] * len(points[0])
    return [float(v) for v in points[arg]]


def _points(op: str, dtype: str, count: int) -> Iterator[tuple[tuple[int | Scalar, ...], tuple[Array, ...]]]:
    rng = np.random.default_rng([len(op), *op.encode()])
    if len(EXACT[op][1]) == 1:
        yield (0,), (_clean(_line(op, rng, dtype, count), dtype),)
        return
    a, b = _pairs(op, rng, dtype, count)
    yield (0, 1), (a, b)
    some = _clean(np.concatenate([rng.uniform(-9, 9, count // 8), _spread(rng, dtype, count // 8)]), dtype)
    if op in {"add", "sub", "mul", "div"}:
        for literal in (3.0, 0.1):
            yield (0, Scalar(literal)), (some,)
            yield (Scalar(literal), 0), (some,)
    if op == "pow":
        for exponent in (2, 3, -1, -2, 7, 2.0, 3.0, 0.5, -0.5, 2.5, 1 / 3):
            yield (0, Scalar(exponent)), (some if isinstance(exponent, int) else np.abs(some),)
        for base in (2.0, 10.0, 0.3):
            yield (Scalar(base), 0), (_clean(rng.uniform(-30, 30, count // 8), dtype),)


def _clean(x: NDArray[np.float64], dtype: str) -> Any:
    """To the dtype, without infinities, and but for halves without subnormal numbers: those have facts of their own."""
    least = about(dtype).smallest_subnormal if dtype in HALF else about(dtype).tiny
    with np.errstate(all="ignore"):
        y = to_dtype(x, dtype)
    good: NDArray[np.bool_] = np.isfinite(y) & ((np.abs(y) >= least) | (y == 0))
    return y[good]


def _without_subnormals(probe: Probe, dtype: str) -> Probe:
    """The same probe for a backend that takes subnormal numbers for 0."""
    sizes = np.abs(np.stack(probe.points))
    good = np.flatnonzero(((sizes >= about(dtype).tiny) | (sizes == 0)).all(axis=0))
    return replace(
        probe,
        points=tuple(x[good] for x in probe.points),
        value=tuple(probe.value[i] for i in good),
        slopes=tuple(tuple(rates[i] for i in good) for rates in probe.slopes),
    )


def _spread(rng: np.random.Generator, dtype: str, count: int) -> NDArray[np.float64]:
    """Both signs, exponents over the whole range of the dtype."""
    info = about(dtype)
    exponents = rng.uniform(info.minexp, info.maxexp - 1, count)
    sizes: NDArray[np.float64] = np.ldexp(rng.uniform(0.5, 1.0, count), exponents.astype(int))
    signs: NDArray[np.float64] = rng.choice([-1.0, 1.0], count)
    return sizes * signs


# In the place of the tails: where the function is small or near its limits.
_SPECIAL_POINTS: dict[str, Callable[[np.random.Generator, NDArray[np.float64]], NDArray[np.float64]]] = {
    "lgamma": lambda rng, tiny: 2.0 + tiny,
    "digamma": lambda rng, tiny: 1.4616321449683622 * (1.0 + tiny),
    "polygamma": lambda rng, tiny: rng.uniform(0.0, 40.0, tiny.size),
    "sinc": lambda rng, tiny: rng.integers(-20, 20, tiny.size) + tiny,
    "logit": lambda rng, tiny: 0.5 + tiny / 4,
    "acosh": lambda rng, tiny: 1.0 + np.abs(tiny),
    "atanh": lambda rng, tiny: 1.0 - np.abs(tiny),
    "asin": lambda rng, tiny: 1.0 - np.abs(tiny),
    "erfinv": lambda rng, tiny: 1.0 - np.abs(tiny),
    **dict.fromkeys(("floor", "ceil", "trunc", "round"), lambda rng, tiny: rng.integers(-20, 20, tiny.size) / 2 + tiny),
}


# Measured where x > 0 alone, as the bound knows: left of 0 there are poles. PyTorch's polygamma takes a time in proportion
# to |x| there.
_POSITIVE = frozenset({"polygamma", "digamma", "lgamma"})

# Made of several formulae, or with a tail, between 10 and 40, where other points are few.
_IN_PIECES = frozenset("erf erfc erfcx ndtr log_ndtr i0 i1 i0e i1e softplus logsigmoid mish gelu silu".split())


def _line(op: str, rng: np.random.Generator, dtype: str, count: int) -> NDArray[np.float64]:
    n = count // 6
    info = about(dtype)
    tiny = np.ldexp(rng.uniform(0.5, 1, n), -rng.integers(0, 60, n)) * rng.choice([-1.0, 1.0], n)
    quarter_turns = rng.integers(-2000, 2000, n) * (math.pi / 2)
    tails = rng.uniform(-1.0, 1.0, n) * math.log(float(info.max)) * 1.05
    if op in _SPECIAL_POINTS:
        tails = _SPECIAL_POINTS[op](rng, tiny)
    parts = [
        _spread(rng, dtype, n),
        rng.uniform(-10, 10, n),
        tiny,
        1.0 + tiny,  # the zero of log, the pole of nothing else
        tails,
        quarter_turns * (1 + rng.choice([0.0, 1e-7, 1e-4], n))
        if op in {"sin", "cos", "tan"}
        else rng.uniform(-1, 1, n),
        np.array([0.0, -0.0, 1.0, -1.0, 0.5, 2.0, float(info.max), -float(info.max), float(info.tiny)]),
    ]
    if dtype in HALF:
        steps = float(info.tiny) / float(info.smallest_subnormal)
        parts.append(
            float(info.smallest_subnormal) * np.round(steps ** rng.uniform(0, 1, 60)) * rng.choice([-1.0, 1.0], 60)
        )
    if op in _IN_PIECES:
        parts.append(rng.uniform(-40.0, 40.0, n))
    points = np.concatenate(parts)
    if op == "polygamma":
        points = points[np.abs(points) < 1e6]
    return np.abs(points) if op in _POSITIVE else points


# op -> the base of its powers, and minus the number that is 0 with itself
_ZERO_CURVES = {"logaddexp": (math.e, math.log(2.0)), "logaddexp2": (2.0, 1.0)}


def _pairs(op: str, rng: np.random.Generator, dtype: str, count: int) -> tuple[Array, Array]:
    n = count // 4
    info = about(dtype)
    one, two = rng.uniform(-10, 10, n), rng.uniform(-10, 10, n)
    near = np.ldexp(rng.uniform(0.5, 1, n), -rng.integers(0, 30, n)) * rng.choice([-1.0, 1.0], n)
    wide, other = _spread(rng, dtype, n), _spread(rng, dtype, n)
    if op == "pow":
        base = np.abs(wide)
        reach = math.log(float(info.max)) / np.maximum(np.abs(np.log(base)), 1e-3)
        a = np.concatenate([np.abs(one), base, 1 + near / 4, -np.abs(np.round(one))])
        b = np.concatenate(
            [two, rng.uniform(-1, 1, n) * np.minimum(reach, 1e6), rng.uniform(-500, 500, n), np.round(two)]
        )
    else:
        a = np.concatenate([one, wide, one, near])
        b = np.concatenate([two, other, one * (1 + near) if op != "logaddexp" else -one * (1 + near), near * 0 + two])
        if op in _ZERO_CURVES:
            power_of, half = _ZERO_CURVES[op]
            ahead = np.concatenate([-np.abs(one) - half, [-half]])
            beside = np.log1p(-(power_of**ahead)) / math.log(power_of)  # the logarithm of the sum is 0
            a, b = np.concatenate([a, ahead, beside]), np.concatenate([b, beside, ahead])
    with np.errstate(all="ignore"):
        a, b = to_dtype(a, dtype), to_dtype(b, dtype)
    a, b = a + 0.0, b + 0.0  # balls do not know the sign of -0
    good = np.isfinite(a) & np.isfinite(b)
    good &= ((np.abs(a) >= info.tiny) | (a == 0)) & ((np.abs(b) >= info.tiny) | (b == 0))
    return a[good], b[good]


@dataclass
class _Worst:
    """The worst errors seen of one kernel."""

    k: float = 0.0  # relative, over results that are normal numbers
    at: tuple[float, ...] = ()
    of_one: float = 0.0  # relative to the larger of 1 and the exact result
    at_zero: float = 0.0  # absolute, where the exact result is 0
    underflow: float = 0.0  # in smallest subnormal numbers, over exact results below the smallest normal one
    lost: int = 0  # results that are not finite though the exact one is well inside the range
    lost_at: tuple[float, ...] = ()
    points: int = 0


def _compare(
    results: Any, exact: Sequence[Any], inputs: Sequence[Array], worst: _Worst, dtype: str, early: float = 1.0
) -> list[tuple[int, float, float]]:
    """Update `worst`; return (point, |error|, |exact|) of every point that was compared."""
    info = about(dtype)
    u, tiny, top = float(info.eps) / 2, float(info.tiny), float(info.max) * (1 - 64 * float(info.eps))
    least = arb(float(info.smallest_subnormal))
    rows = []
    for i, (y, e) in enumerate(zip(results.tolist(), exact, strict=True)):
        if e.is_nan():
            continue
        size = float(abs(e).mid())
        if size > top:
            continue
        worst.points += 1
        at = tuple(float(x[i]) for x in inputs)
        if not math.isfinite(y):
            worst.lost += 1
            worst.lost_at = at
            continue
        gap = abs(arb(y) - e)
        error = float(gap.upper())
        if gap.is_zero():
            continue
        if e.is_zero() and error >= tiny:
            worst.at_zero = max(worst.at_zero, error)
            continue
        if size < tiny * early:
            worst.underflow = max(worst.underflow, float((gap / least).upper()))
            continue
        rows.append((i, error, size))
        k = float((gap / abs(e)).upper()) / u  # in balls: u times a small result is below every float64
        if k > worst.k:
            worst.k, worst.at = k, at
        worst.of_one = max(worst.of_one, error / max(1.0, size) / u)
    return rows


def _case(probe: Probe, points: tuple[Array, ...], dtype: str) -> Case:
    program = Program(
        tuple(Spec(x.shape) for x in points), (Instr(probe.op, probe.args, probe.params),), (len(points),)
    )
    program = rounded(program, dtype) if dtype in HALF else program
    return Case(program, points, (True,) * len(points), (np.ones(points[0].shape, carrier(dtype)),), dtype)


def _layouts(engine: Engine, probe: Probe, dtype: str) -> Iterator[tuple[slice, Case]]:
    """The same points as one long array, and some of them in threes: vector code and the scalar code for remainders."""
    n = len(probe.points[0])
    yield slice(0, n), _case(probe, probe.points, dtype)
    for start in range(0, min(n - 3, 300), 3):
        part = slice(start * (n // 310 or 1), start * (n // 310 or 1) + 3)
        yield part, _case(probe, tuple(x[part] for x in probe.points), dtype)


def _broadcast(probe: Probe, dtype: str) -> Iterator[tuple[Case, list[Any], tuple[Array, ...]]]:
    """Three points of each operand against one of the other: a compiler may turn x / b into x (1 / b) there.

    Yields:
        The case, its exact results, and the operands at the shape of the result.
    """
    if probe.args != (0, 1):
        return
    value = EXACT[probe.op][0]
    a, b = probe.points
    for start in range(0, len(a) - 3, max(len(a) // 60, 1)):
        for points in ((a[start : start + 3], b[start : start + 1]), (a[start : start + 1], b[start : start + 3])):
            program = Program(tuple(Spec(x.shape) for x in points), (Instr(probe.op, (0, 1)),), (2,))
            case = Case(program, points, (False, False), (None,), dtype)
            wide = tuple(np.broadcast_to(x, (3,)) for x in points)
            yield case, [_evaluate(value, (float(x), float(y))) for x, y in zip(*wide, strict=True)], wide


def measure(backend: str, dtype: str, *, count: int = 3000, ops: Collection[str] | None = None) -> dict[str, Any]:
    """Measure every elementwise kernel that a backend has, forward and backward, and every op that adds up.

    Args:
        backend: name of an installed backend.
        dtype: one of `harness.floats.DTYPES`.
        count: points an op, about.
        ops: names in `EXACT`, `ADDING` and `CONVOLUTIONS`; by default all.

    Returns:
        A mapping with "version", "flushes_subnormals" (results below the smallest normal number become 0, and so do
        such inputs) and "ops": op -> the declared error and, under "measured", what was seen.

    Raises:
        RuntimeError: the backend failed on an op, in float64 or float32.
    """
    engine = backends.get(backend)
    grouped: dict[str, list[Probe]] = {}
    flushes = _flushes(engine, dtype)
    for probe in probes(dtype, count, None if ops is None else frozenset(ops)):
        if engine.supports(_case(probe, probe.points, dtype).program) is None:
            grouped.setdefault(probe.op, []).append(_without_subnormals(probe, dtype) if flushes else probe)
    entries = {}
    with precision(BITS):
        for op, group in grouped.items():
            try:
                entries[op] = _entry(engine, group, dtype, flushes)
            except RuntimeError:
                if dtype not in HALF:
                    raise
                # A framework need not have every kernel in half precision; what is not measured is not judged.
    adding = measure_adding(engine, dtype, ops)
    for entry in adding.values():
        entry["eta"] = about(dtype).tiny if flushes else about(dtype).smallest_subnormal
    if not flushes and (ops is None or not CONVOLUTIONS.isdisjoint(ops)) and _convolution_flushes(engine, dtype):
        for op in sorted(CONVOLUTIONS):
            adding[op] = {
                "k": 1.0,
                "kind": KINDS[op],
                "eta": about(dtype).tiny,
                "measured": {"flushes_subnormals": True},
            }
    return {"version": engine.version, "flushes_subnormals": flushes, "ops": entries | adding}


def _flushes(engine: Engine, dtype: str) -> bool:
    """Whether a subnormal number times 2**60 is 0."""
    x = to_dtype([about(dtype).tiny / 4] * 3, dtype)
    program = Program((Spec((3,)),), (Instr("mul", (0, Scalar(2.0**10 if dtype == "float16" else 2.0**60))),), (1,))
    outcome = engine.value_thunk(Case(program, (x,), (False,), (None,), dtype))()
    return not np.any(outcome.values[0])


def _convolution_flushes(engine: Engine, dtype: str) -> bool:
    """Whether a quarter of the smallest normal number comes out of a convolution, forward or backward, as 0."""
    tiny, quarter = about(dtype).tiny, 0.25
    program = Program((Spec((1, 1)), Spec((1, 1, 1))), (Instr("conv1d", (0, 1)),), (2,))
    if engine.supports(program) is not None:
        return False
    results = []
    for x, w, ct in ((tiny, quarter, 1.0), (tiny, 1.0, quarter), (1.0, tiny, quarter)):
        points = to_dtype([[x]], dtype), to_dtype([[[w]]], dtype)
        outcome = engine.prepare(Case(program, points, (True, True), (to_dtype([[ct]], dtype),), dtype))()
        results += [*outcome.values, *outcome.grads]
    return not all(np.all(x) for x in results)


def _entry(engine: Engine, group: list[Probe], dtype: str, flushes: bool) -> dict[str, Any]:
    value = _Worst()
    slopes = [_Worst() for _ in EXACT[group[0].op][1]]
    rows: list[tuple[float, float, float]] = []  # |error|, |exact|, largest |argument|
    early = UNDERFLOWS_EARLY.get(group[0].op, 1.0)
    for probe in group:
        for part, case in _layouts(engine, probe, dtype):
            outcome = engine.prepare(case)()
            if outcome.failure is not None:
                raise RuntimeError(f"{engine.name}: {probe.op}: {outcome.failure.kind}: {outcome.failure.message}")
            seen = _compare(outcome.values[0], probe.value[part], case.primals, value, dtype, early)
            largest = np.max(
                np.abs(np.stack([np.abs(np.asarray(_numbers(a, case.primals, dtype))) for a in probe.args])), axis=0
            )
            rows += [(error, size, float(largest[i])) for i, error, size in seen]
            tensors = [k for k, arg in enumerate(probe.args) if not isinstance(arg, Scalar)]
            for k, exact, grad in zip(tensors, probe.slopes, outcome.grads, strict=True):
                if grad is not None:
                    _compare(grad, exact[part], case.primals, slopes[k], dtype)
        for case, results, wide in _broadcast(probe, dtype):
            outcome = engine.value_thunk(case)()
            if outcome.failure is not None:
                raise RuntimeError(f"{engine.name}: {probe.op}: {outcome.failure.kind}: {outcome.failure.message}")
            largest = np.max(np.abs(np.stack(wide)), axis=0)
            seen = _compare(outcome.values[0], results, wide, value, dtype, early)
            rows += [(error, size, float(largest[i])) for i, error, size in seen]
    declared = _declare(
        value, rows, dtype, flushes, crosses_zero=group[0].op in CROSSES_ZERO, correct=group[0].op in IEEE_OPS
    )
    if early > 1.0:
        declared = replace(declared, eta=early * about(dtype).tiny)
    return {
        **asdict(declared),
        "measured": {
            "k": _short(value.k),
            "at": list(value.at),
            "underflow": _short(value.underflow),
            "lost": value.lost,
            "lost_at": list(value.lost_at),
            "points": value.points,
            "vjp_ulps_measured": [_short(s.k / 2) for s in slopes],
            "vjp_ulps_of_one": [_short(s.of_one / 2) for s in slopes],
            "vjp_at": [list(s.at) for s in slopes],
            "vjp_lost": [s.lost for s in slopes],
        },
    }


def _declare(
    value: _Worst,
    rows: list[tuple[float, float, float]],
    dtype: str,
    flushes: bool,
    *,
    crosses_zero: bool = False,
    correct: bool = False,
) -> Declared:
    info = about(dtype)
    u, least, tiny = float(info.eps) / 2, float(info.smallest_subnormal), float(info.tiny)
    if flushes:
        eta = tiny
    elif value.underflow > 0.5:
        # More than a few of the smallest numbers: the kernel loses its digits on the way to them.
        eta = math.ceil(MARGIN * value.underflow) * least if value.underflow < 64 else tiny
    else:
        eta = 0.0 if value.k == 0 else least
    plain = _margin(value.k)
    if plain == 1.0 and not correct:
        plain = MARGIN
    # Between the coarse numbers of a half nothing but a zero may show that it is missed by an absolute error.
    if value.k <= MOSTLY_RELATIVE and not value.at_zero:
        return Declared(k=plain, eta=eta)
    # Of the forms that cover every point, the one that allows least at nine points of ten; in a half, whose largest and
    # smallest numbers the points hold in plenty, at five of ten.
    level = 0.5 if dtype in HALF else 0.9
    k = min(plain, MOSTLY_RELATIVE / 2)
    choices = [] if crosses_zero or value.at_zero else [(plain, Declared(k=plain, eta=eta))]
    for scale, size_of in SCALES.items():
        if value.at_zero and scale != "1":
            continue
        sizes = [size_of(y, largest) for _, y, largest in rows]
        used = [(e, y, s) for (e, y, _), s in zip(rows, sizes, strict=True) if s >= tiny]
        most = max(*((e - k * u * y) / s / u for e, y, s in used), value.at_zero / u)
        a = MARGIN * most if dtype in HALF else max(1.0, MARGIN * most)  # a float32's error is far below a half's u
        if math.isfinite(a) and not (crosses_zero and scale.endswith("|y|")):
            allowed = float(np.quantile([k + a * (s / y) for _, y, s in used], level))
            choices.append((allowed, Declared(k=k, a=a, scale=scale, eta=eta)))
    return min(choices, key=lambda choice: choice[0])[1]


def _margin(measured: float) -> float:
    """0 stays 0 (an exact kernel), correct rounding stays 1; anything else gets the margin."""
    if measured == 0 or math.isinf(measured):
        return max(measured, 0.0)
    return 1.0 if measured <= 1 else float(math.ceil(MARGIN * measured))


def _short(x: float) -> float:
    return float(f"{x:.3g}")


# -- ops that add up: how much of the formula in `KINDS` they use


def _sum_of(terms: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    n = len(terms)
    return [sum(terms, arb(0))], [n * sum((abs(t) for t in terms), arb(0))]


def _running(x: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    parts = [_sum_of(x[: i + 1]) for i in range(len(x))]
    return [y for ys, _ in parts for y in ys], [b for _, bs in parts for b in bs]


def _mean_of(x: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    (y,), (b,) = _sum_of(x)
    n = len(x)
    return [y / n], [b * (n + 1) / n / n]


def _product_of(x: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    y = arb(1)
    for v in x:
        y *= v
    return [y], [len(x) * abs(y)]


def _norm_of(x: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    y = sum((v * v for v in x), arb(0)).sqrt()
    return [y], [(len(x) + 2) * y]


def _variance_of(x: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    n = len(x)
    mean = sum(x, arb(0)) / n
    apart = [v - mean for v in x]
    y = sum((d * d for d in apart), arb(0)) / (n - 1)
    shift = n * sum((abs(v) for v in x), arb(0)) / n
    return [y], [(n + 3) * y + 2 * shift * sum((abs(d) for d in apart), arb(0)) / (n - 1)]


def _weights(x: Sequence[Any]) -> tuple[Any, list[Any], Any, Any]:
    """The maximum, the softmax, the sum of the shifted exponentials and the mean distance from the maximum."""
    top = x[0]
    for v in x[1:]:
        top = top.max(v)
    powers = [(v - top).exp() for v in x]
    whole = sum(powers, arb(0))
    weights = [p / whole for p in powers]
    return top, weights, whole, sum((w * (top - v) for w, v in zip(weights, x, strict=True)), arb(0))


def _softmax_of(x: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    top, weights, _, away = _weights(x)
    n = len(x)
    return weights, [(n + 3 + 2 + (top - v) + away) * w for v, w in zip(x, weights, strict=True)]


def _logsumexp_of(x: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    top, _, whole, away = _weights(x)
    y = top + whole.log()
    return [y], [len(x) + 1 + away + 2 * whole.log() + abs(y)]


def _log_softmax_of(x: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    top, _, whole, away = _weights(x)
    ys = [v - top - whole.log() for v in x]
    common = len(x) + 1 + away + 2 * whole.log() + abs(top)
    return ys, [common + (top - v) + abs(y) for v, y in zip(x, ys, strict=True)]


# op -> (parameters, x -> exact results and what the formula allows each, in units of u, with k_exp = k_log = 1)
ADDING: dict[str, tuple[dict[str, Any], Callable[[Sequence[Any]], tuple[list[Any], list[Any]]]]] = {
    "sum": ({}, _sum_of),
    "mean": ({}, _mean_of),
    "cumsum": ({"dim": 0}, _running),
    "prod": ({}, _product_of),
    "vector_norm": ({}, _norm_of),
    "var": ({}, _variance_of),
    "softmax": ({"dim": 0}, _softmax_of),
    "logsumexp": ({"dim": 0}, _logsumexp_of),
    "log_softmax": ({"dim": 0}, _log_softmax_of),
}
CONVOLUTIONS = frozenset({"convolution", "convolution_input", "convolution_weight"})
"""What may flush subnormal numbers where nothing else does: PyTorch's in bfloat16."""

LENGTHS = (2, 3, 5, 8, 17, 33, 100)


def _rows(dtype: str) -> Iterator[Array]:
    rng = np.random.default_rng(22)
    for n in LENGTHS:
        for repeat in range(6):
            x = rng.normal(size=n)
            for row in (x, 30 * x, 1e3 + x, np.ldexp(x, rng.integers(-12, 4, n)), np.abs(x) * 10.0**-repeat):
                yield to_dtype(row, dtype)


def measure_adding(engine: Engine, dtype: str, ops: Collection[str] | None = None) -> dict[str, dict[str, Any]]:
    """For every op of `ADDING` that the engine has, the largest error over what its formula allows and the declared factor.

    With `ops`, for these only.
    """
    info = about(dtype)
    spare = 2.0**20 if dtype not in HALF else 2.0**4
    u, tiny, top = info.eps / 2, info.tiny * spare, info.max / spare
    found = {}
    with precision(BITS):
        for op, (params, exact) in ADDING.items():
            if (ops is not None and op not in ops) or not _has(engine, op, params):
                continue
            worst, at = 0.0, 0
            for x in _rows(dtype):
                program = Program((Spec(x.shape),), (Instr(op, (0,), tuple(params.items())),), (1,))
                outcome = engine.value_thunk(Case(program, (x,), (False,), (None,), dtype))()
                if outcome.failure is not None:
                    raise RuntimeError(f"{engine.name}: {op}: {outcome.failure.kind}: {outcome.failure.message}")
                results = np.atleast_1d(outcome.values[0]).tolist()
                for y, e, allowed in zip(results, *exact([arb(float(v)) for v in x]), strict=True):
                    if not tiny < abs(e) < top or (dtype in HALF and not math.isfinite(y)):
                        continue  # underflow and overflow have rules of their own
                    used = float((abs(arb(y) - e) / allowed).upper()) / u
                    if used > worst:
                        worst, at = used, len(x)
            factor = 1.0 if worst <= 1 else float(math.ceil(MARGIN * worst))
            found[op] = {"k": factor, "kind": KINDS[op], "measured": {"k": _short(worst), "n": at}}
    return found


def _has(engine: Engine, op: str, params: dict[str, Any]) -> bool:
    instr = Instr(op, (0,), tuple(params.items()))
    return engine.supports(Program((Spec((2,)),), (instr,), (1,))) is None


def regenerate(
    path: str | Path = TABLE,
    *,
    count: int = 3000,
    ops: Collection[str] | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> None:
    """Measure every installed backend and write the table of declared errors; others keep what the file says of them.

    Args:
        path: the table, read first if it exists.
        count: points an op, about.
        ops: measure these only, and keep what the table says of all others; by default all.

    Raises:
        ValueError: some ops are to be measured with another version of a backend than the others were.
    """
    path = Path(path)
    table: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"backends": {}}
    table |= {"schema": SCHEMA, "kinds": KINDS, "margin": MARGIN, "machine": platform.processor() or platform.machine()}
    missing = backends.available()
    for backend in BACKENDS:
        if missing[backend] is not None:
            continue
        for dtype in (*DTYPES, *(HALF if backend in RUN_HALVES else ())):
            progress(f"{backend} {dtype}")
            blocks = table["backends"].setdefault(backend, {})
            found = measure(backend, dtype, count=count, ops=ops)
            blocks[dtype] = found if ops is None or dtype not in blocks else _merged(blocks[dtype], found, backend)
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(table, indent=1) + "\n")
    temporary.replace(path)


def _merged(block: dict[str, Any], found: dict[str, Any], backend: str) -> dict[str, Any]:
    if block["version"] != found["version"]:
        raise ValueError(
            f"ops: {backend} is {found['version']} here, the rest of the table was measured with {block['version']}; "
            "measure all ops"
        )
    return {**block, "ops": {**block["ops"], **found["ops"]}}
