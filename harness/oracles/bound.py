"""The bound: how far a backend's floats may lie from the truth if every one of its kernels keeps its declared error.

The program and the reference's backward run on balls once more, and after each primitive the result is widened by what
the backend's kernel of that primitive may err (`harness.kernels`). If each kernel keeps its word, the backend's value
lies inside the ball, by induction over the program: no tolerance is chosen anywhere. Where a result leaves the range of
the dtype the ball becomes unbounded, so overflow is never taken for agreement; underflow is part of every declared
error.

Sources of the formulae: N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., sections 2.2, 3.1, 4.2.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flint import arb

from harness.cases import Case
from harness.floats import about
from harness.kernels import Declared, gamma, load_kernel_errors
from harness.oracles import matrix_rounding
from harness.oracles.balls import BallArray, Undecidable, as_cells, filled, precision, undecided, widening
from harness.oracles.certificate import pull_back_balls
from harness.oracles.enclosures import ENCLOSURES, MOVEMENT
from harness.oracles.steps import Differs, Steps
from harness.oracles.worlds import MOST, TooManyError, nearest, worlds

__all__ = ["Bound", "enclose_backend", "enlarged", "nearest_bound", "sums_in_any_order", "widener"]

BITS = {"float64": 96, "float32": 64, "float16": 64, "bfloat16": 64}
_INFINITE = arb("nan")


@dataclass(frozen=True, eq=False)
class Bound:
    """The balls in which one backend's values and gradients must lie; their radii are the bound.

    Attributes:
        values: one entry an output.
        grads: one entry an input that requires grad.
        left_range: some number on the way, forward or backward, was infinite or may have left the range of the dtype. A
            formula that multiplies it by 0 gives nan where another gives 0.
        undecided: rounding may change which element is chosen in more ways than were tried: there are no balls.
        others: the bounds of the other choices, where rounding may change which element is chosen, as in a sort of two
            that nearly tie. A backend keeps its word if its results lie in the balls of one choice, all of them.
    """

    values: tuple[Any, ...]
    grads: tuple[BallArray | None, ...]
    left_range: bool = False
    undecided: bool = False
    others: tuple[Bound, ...] = ()


def enclose_backend(case: Case, backend: str, *, rounding: str | None = None, steps: Steps | None = None) -> Bound:
    """Return where the results of `backend` on the case may lie.

    Comparisons that rounding can tip give the union of both outcomes; a choice of an element that it can tip gives one
    bound for each way to choose.

    Args:
        case: the program at a point.
        backend: whose kernels run.
        rounding: the dtype that results on the way are rounded to, the case's by default.
        steps: the primitives of the case's certificate, made under the same rules: the bound is the same, and made faster.

    Raises:
        KeyError: the kernels of that backend and dtype have not been measured.
    """
    dtype = rounding or case.dtype
    if steps is not None and rounding is None:
        try:
            return _run_again(steps, backend, dtype, flushes=_flushes(backend, dtype))
        except (Differs, Undecidable):
            pass  # a decision that the tape has to make anew, perhaps one for each way to choose
    pull_back = _pulling_back(case, backend, dtype)
    try:
        with precision(BITS[dtype]), undecided("union"), widening(widener(backend, dtype)):
            first, *others = worlds(pull_back, MOST)
    except (Undecidable, TooManyError):
        return Bound((), (), undecided=True)
    return replace(first, others=tuple(others))


def _pulling_back(case: Case, backend: str, dtype: str) -> Callable[[], Bound]:
    """Return the function that makes a bound of the case, under the policy that is in force."""
    convert = functools.partial(_flushed, tiny=about(dtype).tiny) if _flushes(backend, dtype) else BallArray.from_floats

    def pull_back() -> Bound:
        global _left_range
        _left_range = False
        values, grads = pull_back_balls(case, convert, sums_in_any_order)
        return Bound(values, grads, _left_range)

    return pull_back


def _flushes(backend: str, dtype: str) -> bool:
    return load_kernel_errors().flushes_subnormals.get((backend, dtype), False)


def nearest_bound(case: Case, backend: str, misfit: Callable[[Bound], int]) -> tuple[Bound, bool] | None:
    """Return the bound that fits best among those of all ways to decide what rounding can tip, comparisons included.

    The union of both outcomes of a comparison is often as wide as the gradient itself, and decides nothing; one way to
    compare gives a narrow ball.

    Args:
        case: the program at a point.
        backend: whose kernels run.
        misfit: how badly a bound fits what the backend returned; 0 ends the search.

    Returns:
        The bound, and whether all ways were tried; None if there is nothing to decide or some of it cannot be.
    """
    pull_back, undecidable = _pulling_back(case, backend, case.dtype), False

    def tried() -> Bound:
        nonlocal undecidable
        with precision(BITS[case.dtype]), undecided("choose"), widening(widener(backend, case.dtype)):
            try:
                return pull_back()
            except Undecidable:
                undecidable = True
                return Bound((), (), undecided=True)

    found, exhausted = nearest(tried, lambda b: _NEVER if b.undecided else misfit(b))
    return None if found.undecided else (found, exhausted and not undecidable)


_NEVER = 1 << 62


def _run_again(steps: Steps, backend: str, dtype: str, *, flushes: bool) -> Bound:
    tiny = about(dtype).tiny
    inputs = [_flushed_balls(x, tiny) for x in steps.inputs] if flushes else steps.inputs
    before, ran_before = steps.last if steps.last is not None and not flushes else (backend, None)
    with precision(BITS[dtype]), undecided("union"), widening(widener(backend, dtype)):
        ran = steps.run(
            inputs,
            _marked_widener(backend, dtype),
            backward=sums_in_any_order,
            beside=ran_before,
            alike=lambda name: _rounds_alike(before, backend, dtype, name),
        )
    if not flushes:
        steps.last = backend, ran
    values, grads = steps.results(ran)
    return Bound(values, grads, any(ran.wide))


@functools.cache
def _rounds_alike(one: str, other: str, dtype: str, name: str) -> bool:
    """Whether two backends declare the same errors of a primitive."""
    errors = load_kernel_errors()
    if errors.eta(one, dtype) != errors.eta(other, dtype):
        return False
    if name in _FORMULAE and name not in _WITH_KERNELS:
        return errors.lookup(one, dtype, name).eta == errors.lookup(other, dtype, name).eta
    asked = ("exp", "log", "pow") if name in _FORMULAE else (name, "digamma") if name == "polygamma" else (name,)
    return all(errors.lookup(one, dtype, op) == errors.lookup(other, dtype, op) for op in asked)


_any_order = False
_left_range = False


@contextlib.contextmanager
def sums_in_any_order() -> Iterator[None]:
    """Widen sums of two as parts of a longer one, inside the block.

    A tensor that is used several times gets the sum of as many cotangents, and every engine adds them up in an order of
    its own. So the rounding of a + b is bounded by 2 u (|a| + |b|), which does not shrink where they cancel: enough for
    three terms in any order, and for more unless they cancel one another repeatedly.
    """
    global _any_order
    _any_order = True
    try:
        yield
    finally:
        _any_order = False


def _flushed(x: Any, *, tiny: float) -> BallArray:
    """Return an input as a backend sees it that may take a subnormal number for 0."""
    balls = BallArray.from_floats(x)
    small = (np.abs(x) < tiny) & (x != 0)
    if small.any():
        for i in np.argwhere(small):
            at = tuple(int(k) for k in i)
            balls.cells[at] = balls.cells[at].union(arb(0))
    return balls


def _flushed_balls(x: BallArray, tiny: float) -> BallArray:
    """The same of exact balls."""
    cells = x.cells.ravel().tolist()
    small = [i for i, c in enumerate(cells) if abs(c) < tiny and not c.is_zero()]
    if not small:
        return x
    for i in small:
        cells[i] = cells[i].union(arb(0))
    return x.like(filled(x.shape, cells))


def enlarged(bound: Bound, factor: float) -> Bound:
    """The same balls with radii `factor` times as large: for a precision whose kernels have not been measured."""

    def wider(x: Any) -> Any:
        if type(x) is not BallArray:
            return x
        cells = [arb(c.mid(), c.rad() * factor) if c.is_finite() else c for c in x.cells.ravel().tolist()]
        return x.like(filled(x.shape, cells))

    return replace(
        bound,
        values=tuple(map(wider, bound.values)),
        grads=tuple(map(wider, bound.grads)),
        others=tuple(enlarged(b, factor) for b in bound.others),
    )


@functools.cache
def widener(backend: str, dtype: str) -> Callable[[str, tuple[Any, ...], Mapping[str, Any], Any], Any]:
    """Return the function that widens each primitive's result by the declared error of that backend and dtype."""
    marked = _marked_widener(backend, dtype)

    def widen(name: str, args: tuple[Any, ...], params: Mapping[str, Any], result: Any) -> Any:
        global _left_range
        widened, out = marked(name, args, params, result)
        _left_range = _left_range or out
        return widened

    return widen


@functools.cache
def _marked_widener(
    backend: str, dtype: str
) -> Callable[[str, tuple[Any, ...], Mapping[str, Any], Any], tuple[Any, bool]]:
    """The same; it says also whether some number of the result may have left the range of the dtype."""
    errors = load_kernel_errors()
    info = about(dtype)
    u = info.eps / 2
    largest = arb(info.max)
    eta = arb(0, errors.eta(backend, dtype))
    twice = arb(0, 2 * u)
    elementwise: dict[str, tuple[arb, arb, Declared]] = {}

    def declared(name: str) -> tuple[arb, arb, Declared]:
        entry = errors.lookup(backend, dtype, name)
        absolute = entry.a * u if entry.scale == "1" else 0.0
        return arb(1, entry.k * u), arb(0, entry.eta + absolute), entry

    def entry_of(name: str) -> tuple[arb, arb, Declared]:
        known = elementwise.get(name)
        if known is None:
            known = elementwise[name] = declared(name)
        return known

    @functools.cache
    def underflow_of(name: str) -> arb:
        return arb(0, errors.lookup(backend, dtype, name).eta)

    def cell_by_cell(name: str, args: tuple[Any, ...], result: BallArray) -> list[arb]:
        """The usual case without what NumPy takes to call a loop, which is as long as a loop over a few cells."""
        cells = result.cells.ravel().tolist()
        if name == "add" and _any_order:
            a, b = _magnitude(args[0]).cells, _magnitude(args[1]).cells
            if a.shape != b.shape:
                a, b = np.broadcast_arrays(a, b)
            pairs = zip(cells, a.ravel().tolist(), b.ravel().tolist(), strict=True)
            return [c + (p + q) * twice + eta for c, p, q in pairs]
        factor, shift, entry = entry_of(name)
        if entry.scale in ("", "1"):
            return [c * factor + shift for c in cells]
        spread = np.broadcast_to(as_cells(_scaled(entry, args, result, u)), result.shape).ravel().tolist()
        return [c * factor + shift + e for c, e in zip(cells, spread, strict=True)]

    def as_arrays(
        name: str, args: tuple[Any, ...], params: Mapping[str, Any], result: BallArray, formula: Rounding | None
    ) -> list[arb]:
        cells = result.cells
        if formula is not None:
            spread = formula(args, params, result, u, lambda op: errors.lookup(backend, dtype, op).k)
            cells = as_cells(np.add(np.add(cells, spread), underflow_of(name)))
            if (own := errors.lookup(backend, dtype, name).eta) > errors.eta(backend, dtype):
                cells = as_cells(np.add(cells, _of_flushed_factors(name, args, params, own)))
            inside = _WITHIN.get(name)
            if inside is not None:
                cells = as_cells(np.add(cells, inside(args, params, largest, errors.eta(backend, dtype))))
        elif name == "pow" and type(args[1]) is int and 0 <= args[1] <= 2:
            cells = as_cells(np.add(np.multiply(cells, arb(1, u)), eta))
        else:
            factor, shift, entry = entry_of(name)
            spread = None
            if entry.scale not in ("", "1"):
                spread = _scaled(entry, args, result, u)
            cells = as_cells(np.add(np.multiply(cells, factor), shift))
            if spread is not None:
                cells = as_cells(np.add(cells, spread))
            if name in _WITHIN:
                cells = as_cells(np.add(cells, _WITHIN[name](args, params, largest, entry.eta)))
        return cells.ravel().tolist()

    def widen(name: str, args: tuple[Any, ...], params: Mapping[str, Any], result: Any) -> tuple[Any, bool]:
        if name == "polygamma" and params["n"] == 0:
            name = "digamma"  # whose zero at 1.46 polygamma of higher order has not
        if name in MOVEMENT or type(result) is not BallArray or not result.size:
            return result, False
        formula = _FORMULAE.get(name)
        if formula is None and (name not in _WITHIN) and (name != "pow" or type(args[1]) is not int):
            listed = cell_by_cell(name, args, result)
        else:
            listed = as_arrays(name, args, params, result, formula)
        out = [c for c in listed if not abs(c) < largest]  # nan included
        if out:
            listed = [c if abs(c) < largest else _INFINITE for c in listed]
        return result.like(filled(result.shape, listed)), bool(out)

    return widen


def _ball(x: Any) -> BallArray:
    return x if type(x) is BallArray else BallArray.from_floats(x)


def _magnitude(x: Any) -> BallArray:
    """|x| as upper bounds: exact cells, so that sums over them cost little."""
    balls = _ball(x)
    return balls.like(filled(balls.shape, [c.abs_upper() for c in balls.cells.ravel().tolist()]))


def _scaled(entry: Declared, args: tuple[Any, ...], result: BallArray, u: float) -> Any:
    """The absolute part of an error that grows with the arguments."""
    sizes = [_magnitude(a) for a in args]
    largest = sizes[0].cells
    for other in sizes[1:]:
        largest = as_cells(_LARGER(*np.broadcast_arrays(largest, other.cells)))
    if entry.scale == "max|args| |y|":
        largest = as_cells(np.multiply(largest, _magnitude(result).cells))
    return np.multiply(largest, arb(0, entry.a * u))


_LARGER = np.frompyfunc(lambda p, q: p.max(q), 2, 1)


def _terms(x: BallArray, params: Mapping[str, Any]) -> int:
    dim = params.get("dim")
    if dim is None:
        return x.size
    dims = (dim,) if isinstance(dim, int) else dim
    n = 1
    for d in dims:
        n *= x.shape[d] if x.ndim else 1
    return n


def _reduce(name: str, x: BallArray, params: Mapping[str, Any], keepdim: bool | None = None) -> Any:
    keep = params.get("keepdim", False) if keepdim is None else keepdim
    return ENCLOSURES[name](x, dim=params.get("dim"), keepdim=keep)


Rounding = Callable[[tuple[Any, ...], Mapping[str, Any], BallArray, float, Callable[[str], float]], Any]


def _sum(args: tuple[Any, ...], params: Mapping[str, Any], result: BallArray, u: float, k: Any) -> Any:
    x = _magnitude(args[0])
    return np.multiply(_reduce("sum", x, params).cells, arb(0, gamma(_terms(x, params), u)))


def _mean(args: tuple[Any, ...], params: Mapping[str, Any], result: BallArray, u: float, k: Any) -> Any:
    x = _magnitude(args[0])
    return np.multiply(_reduce("mean", x, params).cells, arb(0, gamma(_terms(x, params) + 2, u)))


def _cumsum(args: tuple[Any, ...], params: Mapping[str, Any], result: BallArray, u: float, k: Any) -> Any:
    x = _magnitude(args[0])
    return np.multiply(ENCLOSURES["cumsum"](x, dim=params["dim"]).cells, arb(0, gamma(_terms(x, params), u)))


def _scatter(name: str) -> Rounding:
    """Sums of what goes to one place; nothing is rounded where it is one number."""

    def formula(args: tuple[Any, ...], params: Mapping[str, Any], result: BallArray, u: float, k: Any) -> Any:
        x = _magnitude(args[0])
        most = _most(ENCLOSURES[name](_ones(x.shape), **params))
        return np.multiply(ENCLOSURES[name](x, **params).cells, arb(0, gamma(most, u) if most > 1 else 0.0))

    return formula


def _products(name: str, args: tuple[Any, ...]) -> int:
    """How many products one sum of a contraction has, at most."""
    a: tuple[int, ...] = args[0].shape
    b: tuple[int, ...] = args[1].shape
    if name == "convolution":
        return math.prod(b[1:])
    if name == "convolution_input":
        return b[0] * math.prod(b[2:])
    if name == "convolution_weight":
        return a[0] * math.prod(a[2:])
    return 1 if name == "outer" else a[-1]


def _ones(shape: tuple[int, ...]) -> BallArray:
    return BallArray.from_floats(np.ones(shape))


def _most(counts: BallArray) -> int:
    """The largest of some numbers that are known exactly."""
    return max((int(c.mid().fmpz()) if c.is_exact() else 0 for c in counts.cells.ravel().tolist()), default=0)


def _add_at(args: tuple[Any, ...], params: Mapping[str, Any], result: BallArray, u: float, k: Any) -> Any:
    x, value = _magnitude(args[0]), _magnitude(args[1])
    counts = ENCLOSURES["add_at"](
        x.like(filled(x.shape, [arb(0)] * x.size)), BallArray.from_floats(np.ones(())), **params
    )
    return np.multiply(ENCLOSURES["add_at"](x, value, **params).cells, arb(0, gamma(_most(counts), u)))


def _std(args: tuple[Any, ...], params: Mapping[str, Any], result: BallArray, u: float, k: Any) -> Any:
    """What the error of the variance is of its root, which bends most at the smallest one; and the root's own rounding."""
    squares = ENCLOSURES["var"](args[0], **params)
    shift = _magnitude(squares.like(as_cells(_var(args, params, squares, u, k)))).cells
    cells = []
    for v, e, y in zip(
        squares.cells.ravel().tolist(), shift.ravel().tolist(), result.cells.ravel().tolist(), strict=True
    ):
        low, size = (v.lower() if v.is_finite() and v.lower() > 0 else arb(0)), e.abs_upper()
        below = (low - size) if low > size else arb(0)
        up, down = (low + size).sqrt() - low.sqrt(), (low if low > size else size).sqrt() - below.sqrt()
        cells.append(arb(0, 1) * (up.max(down).abs_upper() + y.abs_upper() * arb(4 * u)))
    return filled(result.shape, cells)


def _std_within(args: tuple[Any, ...], params: Mapping[str, Any], largest: arb, eta: float) -> Any:
    """Squares may leave the range; an underflowing one moves the root by at most its own root."""
    x = _magnitude(args[0])
    room = arb(0, float(np.sqrt(_terms(x, params) * eta)))
    inside = as_cells(_var_within(args, params, largest, eta))
    return filled(inside.shape, [room if c.is_finite() else c for c in inside.ravel().tolist()])


def _cumprod_within(args: tuple[Any, ...], params: Mapping[str, Any], largest: arb, eta: float) -> Any:
    """As for `prod`: the running products of the factors above 1 bound all that is multiplied, and what multiplies eta."""
    x = _ball(args[0])
    if not x.size:
        return arb(0)
    over = x.like(filled(x.shape, [abs(c).max(arb(1)) for c in x.cells.ravel().tolist()]))
    peaks = ENCLOSURES["cumprod"](over, dim=params["dim"])
    n = _terms(x, params)
    return filled(
        peaks.shape,
        [arb(0, n * eta * float(c.abs_upper())) if c < largest else _INFINITE for c in peaks.cells.ravel().tolist()],
    )


def _contraction(name: str) -> Rounding:
    def formula(args: tuple[Any, ...], params: Mapping[str, Any], result: BallArray, u: float, k: Any) -> Any:
        a, b = _magnitude(args[0]), _magnitude(args[1])
        n = _products(name, args)
        return np.multiply(ENCLOSURES[name](a, b, **params).cells, arb(0, gamma(n + 1, u)))

    return formula


def _of_flushed_factors(name: str, args: tuple[Any, ...], params: Mapping[str, Any], tiny: float) -> Any:
    """What a contraction loses that takes factors below `tiny` for 0."""
    a, b = _magnitude(args[0]), _magnitude(args[1])
    least = [x.like(filled(x.shape, [arb(tiny)] * x.size)) for x in (a, b)]
    parts = ENCLOSURES[name](least[0], b, **params).cells, ENCLOSURES[name](a, least[1], **params).cells
    return np.multiply(np.add(*parts), arb(0, 1))


def _relative(extra: int) -> Rounding:
    def formula(args: tuple[Any, ...], params: Mapping[str, Any], result: BallArray, u: float, k: Any) -> Any:
        n = _terms(args[0], params) + extra
        return np.multiply(_magnitude(result).cells, arb(0, gamma(n, u)))

    return formula


def _norm(args: tuple[Any, ...], params: Mapping[str, Any], result: BallArray, u: float, k: Any) -> Any:
    order = params.get("ord", 2.0)
    n = _terms(args[0], params)
    # |x|^p by a kernel of relative error k, n terms, then the p-th root by another: errors of the sum shrink by 1/p.
    steps = n + 2 if order in (1, 2) else (n + k("pow")) / max(abs(order), 1e-3) + k("pow")
    if order in (float("inf"), float("-inf"), 0):
        steps = 0
    sizes = _magnitude(result).cells
    spread = np.multiply(sizes, arb(0, gamma(steps, u)))
    if order and math.frexp(order)[0] != 0.5:
        # 1/p is rounded, by a share d of at most u: S^(d/p) = exp(d log S / p) = 1 + d log y.
        logs = [arb(0, min(_log_of(c), _LARGEST_LOG) * u) for c in result.cells.ravel().tolist()]
        spread = np.add(spread, np.multiply(sizes, filled(result.shape, logs)))
    return spread


_LARGEST_LOG = 746.0  # of a float64, subnormal or not


def _log_of(c: arb) -> float:
    """An upper bound of |log y| for the y > 0 in the ball."""
    if not (c.is_finite() and c > 0):
        return _LARGEST_LOG
    return float(max(c.lower().log().abs_upper(), c.upper().log().abs_upper())) * (1 + 2.0**-50)


def _var(args: tuple[Any, ...], params: Mapping[str, Any], result: BallArray, u: float, k: Any) -> Any:
    x = _ball(args[0])
    n = _terms(x, params)
    left = max(n - params.get("correction", 1), 0)
    if left == 0:
        return np.multiply(result.cells, arb(0))
    mean = _reduce("mean", x, params, True)
    size = _reduce("mean", _magnitude(x), params, True)
    gaps = _reduce("sum", _magnitude(ENCLOSURES["sub"](x, mean)), params, True)
    shift = ENCLOSURES["mul"](size, gaps).cells  # the computed mean is off by at most gamma_n mean|x|
    square = ENCLOSURES["mul"](size, size).cells
    g = gamma(n + 2, u)
    wide = np.add(np.multiply(shift, arb(0, 2 * g / left)), np.multiply(square, arb(0, n * g * g / left)))
    relative = np.multiply(_magnitude(result).cells, arb(0, gamma(n + 4, u)))
    return np.add(as_cells(wide).reshape(result.shape), relative)


def _soft(args: tuple[Any, ...], params: Mapping[str, Any], u: float, k: Any) -> tuple[Any, Any, Any, int]:
    """|x|, |x - max| and sum_j p_j |x_j - max| along the dimension, with keepdim, and the number of terms."""
    x = _ball(args[0])
    dim = params["dim"]
    top = ENCLOSURES["amax"](x, dim=dim, keepdim=True)
    gap = _magnitude(ENCLOSURES["sub"](x, top))
    weights = ENCLOSURES["exp"](ENCLOSURES["sub"](x, ENCLOSURES["logsumexp"](x, dim=dim, keepdim=True)))
    mixed = ENCLOSURES["sum"](ENCLOSURES["mul"](_magnitude(weights), gap), dim=dim, keepdim=True)
    return _magnitude(top), gap, mixed, _terms(x, params)


def _softmax(args: tuple[Any, ...], params: Mapping[str, Any], result: BallArray, u: float, k: Any) -> Any:
    if _terms(_ball(args[0]), params) == 0:
        return np.multiply(result.cells, arb(0))
    _, gap, mixed, n = _soft(args, params, u, k)
    steps = np.add(np.add(gap.cells, mixed.cells), arb(n + 3 + 2 * k("exp")))
    return np.multiply(np.multiply(steps, _magnitude(result).cells), arb(0, u * 1.001))


def _logsumexp(args: tuple[Any, ...], params: Mapping[str, Any], result: BallArray, u: float, k: Any) -> Any:
    _, _, mixed, n = _soft(args, params, u, k)
    log_n = float(np.log(max(n, 1)))
    steps = np.add(mixed.cells, arb(n + k("exp") + 2 + (k("log") + 1) * log_n))
    return np.add(
        np.multiply(as_cells(steps).reshape(result.shape), arb(0, u * 1.001)),
        np.multiply(_magnitude(result).cells, arb(0, u)),
    )


def _log_softmax(args: tuple[Any, ...], params: Mapping[str, Any], result: BallArray, u: float, k: Any) -> Any:
    if _terms(_ball(args[0]), params) == 0:
        return np.multiply(result.cells, arb(0))
    top, gap, mixed, n = _soft(args, params, u, k)
    log_n = float(np.log(max(n, 1)))
    steps = np.add(np.add(gap.cells, mixed.cells), top.cells)
    steps = np.add(np.add(steps, _magnitude(result).cells), arb(n + k("exp") + 3 + (k("log") + 1) * log_n))
    return np.multiply(steps, arb(0, u * 1.001))


def _scaled_by_constant(args: tuple[Any, ...], params: Mapping[str, Any], result: BallArray, u: float, k: Any) -> Any:
    """A constant, or two that it is the product of, are rounded, and so is each product."""
    return np.multiply(_magnitude(result).cells, arb(0, gamma(4, u)))


_FORMULAE: dict[str, Rounding] = {
    "scaled": _scaled_by_constant,
    "sum": _sum,
    "mean": _mean,
    "cumsum": _cumsum,
    "gather_adjoint": _scatter("gather_adjoint"),
    "index_select_adjoint": _scatter("index_select_adjoint"),
    "matmul": _contraction("matmul"),
    "dot": _contraction("dot"),
    "outer": _contraction("outer"),
    "convolution": _contraction("convolution"),
    "convolution_input": _contraction("convolution_input"),
    "convolution_weight": _contraction("convolution_weight"),
    **matrix_rounding.FORMULAE,
    "prod": _relative(0),
    "cumprod": _relative(0),
    "std": _std,
    "add_at": _add_at,
    "getitem_adjoint": _scatter("getitem_adjoint"),
    "vector_norm": _norm,
    "var": _var,
    "softmax": _softmax,
    "logsumexp": _logsumexp,
    "log_softmax": _log_softmax,
}


_WITH_KERNELS = frozenset(("vector_norm", "softmax", "logsumexp", "log_softmax", *matrix_rounding.FORMULAE))
"""The formulae that contain the errors of other kernels: those of exp, log or pow."""


# -- what overflows or underflows inside a kernel, where the result itself does not show it


def _norm_within(args: tuple[Any, ...], params: Mapping[str, Any], largest: arb, eta: float) -> Any:
    """Powers |x|^p may leave the range; an underflowing one moves the norm by at most (n eta)^(1/p)."""
    order = float(params.get("ord", 2.0))
    if order in (0.0, 1.0, float("inf"), float("-inf")):
        return arb(0)
    x = _magnitude(args[0])
    powers = _reduce("sum", x.like(as_cells(np.power(x.cells, arb(order)))), params).cells if x.size else None
    room = arb(0, float((_terms(x, params) * eta) ** (1 / order)) if order > 0 else float("inf"))
    if powers is None:
        return room
    return filled(powers.shape, [room if c < largest else _INFINITE for c in powers.ravel().tolist()])


def _var_within(args: tuple[Any, ...], params: Mapping[str, Any], largest: arb, eta: float) -> Any:
    x = _magnitude(args[0])
    if not x.size:
        return arb(0)
    squares = _reduce("sum", x.like(as_cells(np.multiply(x.cells, 4 * x.cells))), params).cells
    room = arb(0, _terms(x, params) * eta)
    return filled(squares.shape, [room if c < largest else _INFINITE for c in squares.ravel().tolist()])


def _prod_within(args: tuple[Any, ...], params: Mapping[str, Any], largest: arb, eta: float) -> Any:
    """A partial product, in whatever order, is at most the product of the factors above 1; so is what multiplies eta."""
    x = _ball(args[0])
    if not x.size:
        return arb(0)
    over = x.like(filled(x.shape, [abs(c).max(_ONE) for c in x.cells.ravel().tolist()]))
    peaks = _reduce("prod", over, params).cells
    n = _terms(x, params)
    return filled(
        peaks.shape,
        [arb(0, n * eta * float(c.abs_upper())) if c < largest else _INFINITE for c in peaks.ravel().tolist()],
    )


def _multiplied(factor: float) -> Callable[[tuple[Any, ...], Mapping[str, Any], arb, float], Any]:
    """The kernel multiplies its argument by a factor before it divides again."""

    def within(args: tuple[Any, ...], params: Mapping[str, Any], largest: arb, eta: float) -> Any:
        x = _magnitude(args[0])
        cells = [arb(0) if c * factor < largest else _INFINITE for c in x.cells.ravel().tolist()]
        return filled(x.shape, cells)

    return within


def _products_within(name: str) -> Callable[[tuple[Any, ...], Mapping[str, Any], arb, float], Any]:
    """Each product of a contraction may underflow."""
    return lambda args, params, largest, eta: arb(0, _products(name, args) * eta)


def _quotient_in_range(args: tuple[Any, ...], params: Mapping[str, Any], largest: arb, eta: float) -> Any:
    """A remainder is found from a quotient."""
    a, b = np.broadcast_arrays(_magnitude(args[0]).cells, _ball(args[1]).cells)
    pairs = zip(a.ravel().tolist(), b.ravel().tolist(), strict=True)
    return filled(a.shape, [arb(0) if p / abs(q) < largest else _INFINITE for p, q in pairs])


def _exponential_in_range(args: tuple[Any, ...], params: Mapping[str, Any], largest: arb, eta: float) -> Any:
    x = _magnitude(args[0])
    return filled(x.shape, [arb(0) if c < largest.log() else _INFINITE for c in x.cells.ravel().tolist()])


def _as_measured(limit: float) -> Callable[[tuple[Any, ...], Mapping[str, Any], arb, float], Any]:
    """The kernel was measured between 0 and a limit alone."""

    def within(args: tuple[Any, ...], params: Mapping[str, Any], largest: arb, eta: float) -> Any:
        x = _ball(args[0])
        return filled(x.shape, [arb(0) if c > 0 and c < limit else _INFINITE for c in x.cells.ravel().tolist()])

    return within


_ONE = arb(1)
_CONTRACTIONS = ("matmul", "dot", "convolution", "convolution_input", "convolution_weight")
_WITHIN: dict[str, Callable[[tuple[Any, ...], Mapping[str, Any], arb, float], Any]] = {
    "vector_norm": _norm_within,
    "var": _var_within,
    "prod": _prod_within,
    "cumprod": _cumprod_within,
    "std": _std_within,
    "gelu": _multiplied(2.0),
    "hardswish": _multiplied(6.0),
    **{name: _products_within(name) for name in _CONTRACTIONS},
    "sinc": _multiplied(4.0),
    "fmod": _quotient_in_range,
    "remainder": _quotient_in_range,
    **dict.fromkeys(("i0", "i1"), _exponential_in_range),
    **dict.fromkeys(("lgamma", "digamma"), _as_measured(math.inf)),
    "polygamma": _as_measured(1e6),
}
