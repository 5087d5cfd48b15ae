"""What frameworks return at kinks, as rules: the chain rule under a framework's own conventions is a claim like any.

`following("jax")` swaps the reference's rules for JAX's inside a block, so that a certificate or bound made there holds
what JAX promises where PyTorch promises something else. Away from kinks both are the same function; some are there
because JAX's formula for it rounds otherwise, which the bound must know. All of PyTorch's are there for that, and the
reference's, whose rule of a product decides by a number that balls may leave open.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from harness.formulae import FORMULAE
from harness.programs import Program
from reference_impl.ops.activations import gelu_slope, softplus
from reference_impl.ops.elementwise import (
    abs_,
    clamp,
    eq,
    exp,
    expm1,
    ge,
    gt,
    log,
    log1p,
    logical_or,
    lt,
    maximum,
    ne,
    pow_,
    reciprocal,
    sigmoid,
    sign,
    square,
    tanh,
    where,
    zeros_like,
)
from reference_impl.ops.reductions import count, mean, norm_vjp, product_of_others, restore, sum_
from reference_impl.ops.rounding import copysign
from reference_impl.ops.scans import cumprod_vjp, from_the_end
from reference_impl.ops.special import density, erf, erfc, i0e, i1e, scaled
from reference_impl.primitives import replaced_rules

__all__ = ["RULES", "as_in", "declared_ops", "following", "formulae", "only_rounds"]


def _jax_abs(ct: Any, x: Any) -> Any:
    return where(ge(x, 0.0), ct, -ct)


def _jax_clamp(ct: Any, x: Any, min: float | None, max: float | None) -> Any:
    """The rule of ``minimum(maximum(x, min), max)``, in which a tie gives each side half."""
    if max is not None:
        inner = x if min is None else maximum(x, min)
        ct = where(gt(inner, max), 0.0, where(eq(inner, max), ct / 2, ct))
    return ct if min is None else where(lt(x, min), 0.0, where(eq(x, min), ct / 2, ct))


def _jax_vector_norm(ct: Any, x: Any, y: Any, ord: float, dim: Any, keepdim: bool) -> Any:
    """The rules of sqrt(sum(x x)), sum(abs(x)), max(abs(x)) and sum(abs(x)^p)^(1/p): nan where the norm is 0."""
    ct, y = restore(ct, tuple(x.shape), dim, keepdim), restore(y, tuple(x.shape), dim, keepdim)
    if ord == 2:
        return x * (ct / y)
    if ord == 1:
        return _jax_abs(ct + 0 * x, x)
    size = abs_(x)
    if ord in (math.inf, -math.inf):
        ties = where(eq(size, y), 0 * x + 1, 0.0)
        share = ties / sum_(ties, dim=dim, keepdim=True)
        # The largest is that of the magnitudes and 0, which takes half where it ties.
        return _jax_abs(ct * (where(eq(y, 0.0), share * 0.5, share) if ord > 0 else share), x)
    return _jax_abs(pow_(size / y, ord - 1) * ct, x)


def _jax_leaky_relu(ct: Any, x: Any, negative_slope: float) -> Any:
    return where(ge(x, 0.0), ct, ct * negative_slope)


def _jax_hardtanh(ct: Any, x: Any, min_val: float, max_val: float) -> Any:
    """The rule of where(x > max, max, where(x < min, min, x))."""
    return where(gt(x, max_val), 0.0, where(lt(x, min_val), 0.0, ct))


def _exp_by_expm1(x: Any) -> Any:
    """exp(x) for x <= 0 as JAX has it in the derivative of expm1: with an absolute error."""
    return expm1(clamp(x, min=None, max=0.0)) + 1


def _jax_elu(ct: Any, x: Any, alpha: float) -> Any:
    return where(gt(x, 0.0), ct, (ct * alpha) * _exp_by_expm1(x))


def _jax_selu(ct: Any, x: Any) -> Any:
    below = scaled(ct * _exp_by_expm1(x), by="selu alpha scale")
    return where(gt(x, 0.0), scaled(ct, by="selu scale"), below)


def _jax_celu(ct: Any, x: Any, alpha: float) -> Any:
    return where(gt(x, 0.0), ct, ct * _exp_by_expm1(x / alpha))


def _jax_i0(ct: Any, x: Any) -> Any:
    """The rule of exp(|x|) i0e(x), whose terms cancel."""
    ct = ct * exp(abs_(x))
    return ct * (sign(x) * i0e(x)) + ct * (i1e(x) - sign(x) * i0e(x))


def _jax_i1(ct: Any, x: Any) -> Any:
    """The rule of exp(|x|) i1e(x), whose terms cancel."""
    ct, y, at_0 = ct * exp(abs_(x)), i1e(x), eq(x, 0.0)
    slope = where(at_0, 0.5, i0e(x) - sign(x) * y - y / where(at_0, 1.0, x))
    return ct * (sign(x) * y) + ct * slope


def _jax_logit(ct: Any, x: Any, eps: float | None) -> Any:
    slope = ct / (x * (1 - x))
    if eps is None:
        return where(logical_or(lt(x, 0.0), gt(x, 1.0)), math.nan, slope)
    return _jax_clamp(slope, x, eps, 1 - eps)


def _jax_pow_base(ct: Any, a: Any, b: Any) -> Any:
    """The rule of pow: nan at 0 to the 0, unless that is an integer."""
    if isinstance(b, int):
        return zeros_like(ct) if b == 0 else ct * (b * pow_(a, b - 1))
    return ct * (b * pow_(a, b - 1))


def _jax_pow_exponent(ct: Any, a: Any, b: Any, y: Any) -> Any:
    return ct * (log(where(eq(a, 0.0), 1.0, a)) * y)


def _jax_share_of_hypot(ct: Any, x: Any, y: Any) -> Any:
    """The rule of the larger of |a| and |b| times a root: at 0 each of the equals gets half, and |x| the slope 1."""
    at_0 = eq(y, 0.0)
    return ct * where(at_0, 0.5, x / where(at_0, 1.0, y))


def _jax_copysign(ct: Any, a: Any, b: Any) -> Any:
    """The rule of |a| or -|a|."""
    return _jax_abs(ct * copysign(0 * a + 1, b), a)


def _jax_std(ct: Any, x: Any, y: Any, dim: Any, correction: float, keepdim: bool) -> Any:
    """The rule of the root of the variance: nan where that is 0."""
    ct, y = restore(ct, tuple(x.shape), dim, keepdim), restore(y, tuple(x.shape), dim, keepdim)
    slope = (x - mean(x, dim=dim, keepdim=True)) * 2 / max(count(tuple(x.shape), dim) - correction, 0)
    return (ct / (y * 2)) * slope


def _jax_sigmoid(x: Any) -> Any:
    """The slope of logaddexp(x, 0), exp(x - logaddexp(x, 0)): x u is its relative error until the rounding changes nothing."""
    return where(gt(abs_(x), 40.0), sigmoid(x), exp(x - softplus(x, beta=1.0, threshold=math.inf)))


def _jax_softplus(ct: Any, x: Any, beta: float, threshold: float) -> Any:
    return where(gt(x * beta, threshold), ct, ct / beta * _jax_sigmoid(x * beta) * beta)


def _jax_mish(ct: Any, x: Any) -> Any:
    t = tanh(softplus(x, beta=1.0, threshold=math.inf))
    return ct * (t + x * ((1 + t) * (1 - t) * _jax_sigmoid(x)))


def _jax_gelu(ct: Any, x: Any, approximate: str) -> Any:
    """The rules of x erfc(-x / sqrt(2)) / 2, which rounds before it squares, and of x (1 + tanh(...)) / 2.

    Both begin with the cotangent: small numbers are taken for 0 on the way.
    """
    if approximate == "none":
        e = scaled(x, by="-1/sqrt(2)")
        slope = scaled(ct * (x * 0.5), by="2/sqrt(pi)") * exp(-square(e))
        return ct * erfc(e) * 0.5 - scaled(slope, by="-1/sqrt(2)")
    t = tanh(scaled(x + scaled(x * square(x), by="0.044715"), by="sqrt(2/pi)"))
    inner = scaled(ct * x * 0.5 * (1 - t * t), by="sqrt(2/pi)")
    return ct * ((1 + t) * 0.5) + (inner + scaled(inner, by="0.044715") * (square(x) * 3))


def _by_exponential(ct: Any, x: Any, y: Any) -> Any:
    """The rule of log_ndtr as density over probability, in logarithms that cancel: x^2 u is the relative error."""
    return ct * scaled(exp(square(x) * -0.5 - y), by="1/sqrt(2 pi)")


def _torch_logsigmoid_in_loss(ct: Any, x: Any) -> Any:
    """The rule that makes (1 - target) ct minus it the gradient (sigmoid(x) - target) ct, whose terms cancel at large x."""
    return ct * (1 - sigmoid(x))


def _torch_cumprod(ct: Any, x: Any, y: Any, dim: int) -> Any:
    """The rule that divides by every factor that is not 0 what was multiplied with it, and may have underflowed."""
    if not x.ndim or x.shape[dim] == 1:
        return ct
    zero = eq(x, 0.0)
    return where(zero, cumprod_vjp(ct, x, y, dim), from_the_end(ct * y, dim % x.ndim) / where(zero, 1.0, x))


def _over_factors(ct: Any, x: Any, y: Any, dim: int, keepdim: bool) -> Any:
    """The rule of a product that is divided by each factor, unless that is 0, after it was multiplied by the cotangent.

    A factor that rounding may make 0 leaves open whether it is divided by.
    """
    if not x.ndim:
        return ct
    ct, y = restore(ct, tuple(x.shape), dim, keepdim), restore(y, tuple(x.shape), dim, keepdim)
    zero = eq(x, 0.0)
    return where(zero, ct * product_of_others(x, dim), ct * y / where(zero, 1.0, x))


def _torch_over_radius(ct: Any, a: Any, b: Any) -> Any:
    """ct times the reciprocal of the squares' sum, 0 where that is 0."""
    r2 = square(a) + square(b)
    return ct * where(eq(r2, 0.0), 0.0, reciprocal(where(eq(r2, 0.0), 1.0, r2)))


def _torch_vector_norm(ct: Any, x: Any, y: Any, ord: float, dim: Any, keepdim: bool) -> Any:
    """The rule that scales by powers of the element and of the norm, each of which may leave the range on its own."""
    if ord in (0, 1, math.inf, -math.inf):
        return norm_vjp(ct, x, y, ord, dim, keepdim)
    ct, y = restore(ct, tuple(x.shape), dim, keepdim), restore(y, tuple(x.shape), dim, keepdim)
    some = ne(y, 0.0)
    safe = where(some, y, 1.0)
    if ord == 2:
        return ct * where(some, x / safe, 0.0)
    size = where(ne(x, 0.0), abs_(x), 1.0) if ord < 2 else abs_(x)
    if ord < 1:
        slope = where(ne(x, 0.0), sign(x) * pow_(size, ord - 1), 0.0)
        return where(some, slope * ct * pow_(safe, 1 - ord), 0.0)
    slope = sign(x) * pow_(size, ord - 1) if ord < 2 else x * pow_(size, ord - 2)
    return slope * where(some, ct / pow_(safe, ord - 1), 0.0)


def _torch_distance(ct: Any, x: Any, y: Any, ord: float, dim: Any, keepdim: bool) -> Any:
    """The rule of a norm within `cdist`: the element's power times ct, over that of the norm."""
    if ord in (0, 1, math.inf, -math.inf):
        return norm_vjp(ct, x, y, ord, dim, keepdim)
    ct, y = restore(ct, tuple(x.shape), dim, keepdim), restore(y, tuple(x.shape), dim, keepdim)
    some = ne(y, 0.0)
    safe = where(some, y, 1.0)
    if ord == 2:
        return where(some, ct * x / safe, 0.0)
    size = where(ne(x, 0.0), abs_(x), 1.0) if ord < 2 else abs_(x)
    slope = sign(x) * pow_(size, ord - 1) if ord < 2 else x * pow_(size, ord - 2)
    return where(some, slope * ct / pow_(safe, ord - 1), 0.0)


def _by_erf(ct: Any, x: Any) -> Any:
    """The rule of (1 + erf(x / sqrt(2))) / 2, which rounds before it squares."""
    slope = scaled(exp(-square(scaled(x, by="-1/sqrt(2)"))), by="2/sqrt(pi)")
    return -scaled(slope * (ct * 0.5), by="-1/sqrt(2)")


def _torch_var(ct: Any, x: Any, dim: Any, correction: float, keepdim: bool) -> Any:
    """The rule that multiplies by 2 / (n - correction) before it does by the gaps."""
    shape = tuple(x.shape)
    ct = restore(ct, shape, dim, keepdim)
    return ct * 2 / max(count(shape, dim) - correction, 0) * (x - mean(x, dim=dim, keepdim=True))


def _torch_std(ct: Any, x: Any, y: Any, dim: Any, correction: float, keepdim: bool) -> Any:
    """The rule of the root of the variance; 0 where that is 0."""
    some = ne(y, 0.0)
    return _torch_var(where(some, ct / (where(some, y, 1.0) * 2), 0.0), x, dim, correction, keepdim)


def _torch_gelu(ct: Any, x: Any, approximate: str) -> Any:
    """The rule with the probability as (1 + erf) / 2, whose absolute error is that of a number near 1."""
    if approximate != "none":
        return ct * gelu_slope(x, approximate)
    return ct * ((1 + erf(-scaled(x, by="-1/sqrt(2)"))) * 0.5 + x * density(x))


Rule = Callable[..., Any]

RULES: Mapping[str, Mapping[str, Rule | tuple[Rule, ...]]] = {
    "reference": {"prod": _over_factors},
    "jax": {
        # The square of the denominator leaves the range early.
        "div": (lambda ct, b: ct / b, lambda ct, a, b: (-ct * a) / square(b)),
        "abs": _jax_abs,
        "pow": (_jax_pow_base, _jax_pow_exponent),
        "atan2": (
            lambda ct, a, b: ct * (b / (square(a) + square(b))),
            lambda ct, a, b: ct * (-a / (square(a) + square(b))),
        ),
        "hypot": (lambda ct, a, y: _jax_share_of_hypot(ct, a, y), lambda ct, b, y: _jax_share_of_hypot(ct, b, y)),
        "copysign": (_jax_copysign, lambda ct: zeros_like(ct)),
        "std": _jax_std,
        "clamp": _jax_clamp,
        "vector_norm": _jax_vector_norm,
        "leaky_relu": _jax_leaky_relu,
        "hardtanh": _jax_hardtanh,
        "elu": _jax_elu,
        "selu": _jax_selu,
        "celu": _jax_celu,
        "logit": _jax_logit,
        "i0": _jax_i0,
        "i1": _jax_i1,
        "fmax": (lambda ct, a, b: where(gt(a, b), ct, 0.0), lambda ct, a, b: where(gt(a, b), 0.0, ct)),
        "fmin": (lambda ct, a, b: where(lt(a, b), ct, 0.0), lambda ct, a, b: where(lt(a, b), 0.0, ct)),
        "log_ndtr": _by_exponential,
        "ndtr": _by_erf,
        "logsigmoid": lambda ct, x: ct * _jax_sigmoid(-x),
        "softplus": _jax_softplus,
        "mish": _jax_mish,
        "reciprocal": lambda ct, x: -(ct * reciprocal(square(x))),
        "gelu": _jax_gelu,
        "atanh": lambda ct, x: reciprocal(1 + x) * (ct / (1 - x)),
        "xlogy": (lambda ct, b: ct * log(b), lambda ct, a, b: ct * a / b),
        "xlog1py": (lambda ct, b: ct * log1p(b), lambda ct, a, b: ct * a / (b + 1)),
    },
    "torch": {
        # A product underflows before it is divided, or the denominator of a half leaves the range.
        "hypot": (lambda ct, a, y: ct * a / y, lambda ct, b, y: ct * b / y),
        "log2": lambda ct, x: ct / scaled(x, by="log 2"),
        "log10": lambda ct, x: ct / scaled(x, by="log 10"),
        "log_ndtr": _by_exponential,
        "cumprod": _torch_cumprod,
        "prod": _over_factors,
        "reciprocal": lambda ct, y: -ct * (y * y),
        "rsqrt": lambda ct, y: (ct * -0.5) * pow_(y, 3),
        "atan2": (
            lambda ct, a, b: _torch_over_radius(ct * b, a, b),
            lambda ct, a, b: _torch_over_radius(ct * -a, a, b),
        ),
        "vector_norm": _torch_vector_norm,
        "var": _torch_var,
        "ndtr": _by_erf,
        "std": _torch_std,
        # What cancels is as large as 1.
        "gelu": _torch_gelu,
    },
}

_INSIDE: Mapping[str, Mapping[str, Mapping[str, Rule]]] = {
    "torch": {
        "binary_cross_entropy_with_logits": {"logsigmoid": _torch_logsigmoid_in_loss},
        "cdist": {"vector_norm": _torch_distance},
    }
}
"""framework -> op of several primitives -> the rules of some of these that make its gradient as that framework has it."""


_SAME_AS: Mapping[str, Mapping[str, str]] = {"jax": {"max": "amax", "min": "amin"}}  # whose ties share the gradient


def as_in(backend: str, program: Program) -> Program:
    """Return the program with the ops that a backend's framework takes for others at ties, as those others.

    >>> from harness.programs import Instr, Spec
    >>> str(as_in("jax-jit", Program((Spec((3,)),), (Instr("max", (0,), (("dim", 0),)),), (1,)))).splitlines()[1].strip()
    'v1 = amax(x0, dim=0)'
    """
    others = _SAME_AS.get(backend.partition("-")[0], {})
    if not any(i.op in others for i in program.instrs):
        return program
    return replace(program, instrs=tuple(replace(i, op=others.get(i.op, i.op)) for i in program.instrs))


def declared_ops(backend: str) -> frozenset[str]:
    """Return the ops for which a backend's framework has rules or a formula of its own."""
    framework = backend.partition("-")[0]
    return frozenset((*RULES.get(framework, {}), *_INSIDE.get(framework, {}), *FORMULAE.get(framework, {})))


def only_rounds(backend: str) -> bool:
    """Tell whether all that a backend's framework declares is how it rounds, and its conventions are the reference's."""
    return backend.partition("-")[0] in _ONLY_ROUNDING


_ONLY_ROUNDING = ("reference", "torch")


def formulae() -> Mapping[str, Callable[..., Any]]:
    """Return the ops that are computed otherwise than the reference does, under the conventions that are in force."""
    return FORMULAE.get(_followed, {})


_followed = ""


@contextlib.contextmanager
def following(backend: str, ops: Collection[str] = ()) -> Iterator[None]:
    """Use the conventions of a backend's framework inside the block; of PyTorch's where it has no rules of its own.

    Args:
        backend: its name.
        ops: those of the program that is run. Rules that a primitive has only as a part of one of them hold for the whole
            program.
    """
    global _followed
    framework, before = backend.partition("-")[0], _followed
    inside = _INSIDE.get(framework, {})
    with contextlib.ExitStack() as stack:
        _followed = framework
        for rules in (RULES.get(framework, {}), *(inside[op] for op in inside if op in ops)):
            for name, rule in rules.items():
                stack.enter_context(replaced_rules(name, rule if isinstance(rule, tuple) else (rule,)))
        try:
            yield
        finally:
            _followed = before
