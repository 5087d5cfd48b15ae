"""Objectives that differentiate inside: a charged particle and a saddle point, each minimised by plain gradient descent.

The question "argmin" runs the whole descent, as published: `descend` is the loop, the backend gives value and gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from harness.workloads.base import Array, Input, PullBack, Workload, inner_gradient

__all__ = ["PRECISION", "descend", "rows"]

PRECISION = 1e-5
"""The first step, and the length of a gradient or of a step at which descent ends."""

_PATIENCE = 10
_TIME_STEP = 0.1
_MOST_STEPS = 512
"""JAX compiles loops of a fixed length only when it is to go through them backwards: more than either objective needs."""

# torch.func cannot take a tape inside; a tape takes a minute or more for a whole descent.
_LIMITS = {"torch-compile": 0, "torch-func": 0, "reference argmin": 0, "torch argmin": 0, "jax argmin": 0}


def rows() -> list[Workload]:
    """The workloads of this family.

    Source: Siskind and Pearlmutter, Using programming language theory to make automatic differentiation sound and
    efficient, Advances in Automatic Differentiation (2008); GradBench.
    """
    return [
        Workload(
            "particle", "squared place where a charged particle falls; each step of Euler differentiates a potential",
            (1,), _particle_inputs, _particle, _particle_jax, _particle_by_hand, family="objectives",
            more={"argmin": _particle_argmin}, limits=_LIMITS,
        ),
        Workload(
            "saddle", "max over y of |x|**2 - |y|**2, by gradient descent in y",
            (2,), _saddle_inputs, _saddle, _saddle_jax, _saddle_by_hand, family="objectives",
            more={"argmin": _saddle_argmin}, limits=_LIMITS,
        ),
    ]  # fmt: skip


def descend(evaluate: Callable[[Array], tuple[float, Array]], x: Array) -> Array:
    """Where plain gradient descent ends: a step that is no progress is halved, ten that are double it.

    Args:
        evaluate: gives the value and the gradient at a place.
    """
    value, slope = evaluate(x)
    step, streak = PRECISION, 0
    while float(np.sqrt((slope * slope).sum())) > PRECISION:
        if streak == _PATIENCE:
            step, streak = 2 * step, 0
            continue
        there = x - step * slope
        if float(np.sqrt(((x - there) ** 2).sum())) <= PRECISION:
            break
        value_there, slope_there = evaluate(there)
        if value_there < value:
            x, value, slope, streak = there, value_there, slope_there, streak + 1
        else:
            step, streak = step / 2, 0
    return x


# A charged particle


def _particle_inputs(n: int, dtype: str, rng: np.random.Generator) -> tuple[Input, ...]:
    # The published start; no other size.
    return (
        np.zeros(1, dtype),
        np.array([0.0, 8.0], dtype),
        np.array([0.75, 0.0], dtype),
        np.array([10.0, 10.0, 0.0], dtype),
    )


def _potential(T: Any, w: Any, fixed: Any) -> Callable[[Any], Any]:
    """The potential of charges at (10, 10 - w) and (10, 0)."""
    upper = T.cat([fixed[:1], fixed[1:2] - w])
    lower = fixed[::2]

    def potential(x: Any) -> Any:
        a, b = x - upper, x - lower
        return 1 / T.sqrt(T.sum(a * a)) + 1 / T.sqrt(T.sum(b * b))

    return potential


def _landing(x: Any, v: Any) -> Any:
    """The square of the place on the axis, by linear interpolation."""
    place = x[0] - x[1] / v[1] * v[0]
    return place * place


def _particle(T: Any, w: Any, x: Any, v: Any, fixed: Any) -> Any:
    potential = _potential(T, w, fixed)
    while True:
        there = x + _TIME_STEP * v
        if not there[1] > 0:
            return _landing(x, v)
        _, slope = inner_gradient(T, potential, x, w)
        x, v = there, v - _TIME_STEP * slope


def _particle_jax(jax: Any, w: Any, x: Any, v: Any, fixed: Any) -> Any:
    from harness.workloads.spelling import NumpySpelling

    slope = jax.grad(_potential(NumpySpelling(jax.numpy), w, fixed))

    def step(state: Any, _: Any) -> Any:
        x, v = state
        there = x + _TIME_STEP * v
        falls = there[1] > 0
        pushed = v - _TIME_STEP * slope(x)
        return (jax.numpy.where(falls, there, x), jax.numpy.where(falls, pushed, v)), None

    (x, v), _ = jax.lax.scan(step, (x, v), None, length=_MOST_STEPS)
    return _landing(x, v)


def _particle_by_hand(w: Array, x: Array, v: Array, fixed: Array) -> tuple[Array, PullBack]:
    """The tangent for w is carried along: there is one parameter."""
    one, h = np.ones((), w.dtype), w.dtype.type(_TIME_STEP)
    charges = [(np.array([fixed[0], fixed[1] - w[0]]), np.array([0 * one, -one])), (fixed[::2], np.zeros(2, w.dtype))]
    dx, dv = np.zeros_like(x), np.zeros_like(v)
    while True:
        there = x + h * v
        if not there[1] > 0:
            break
        push, d_push = np.zeros_like(x), np.zeros_like(x)
        for charge, d_charge in charges:
            gap, d_gap = x - charge, dx - d_charge
            square = (gap * gap).sum()
            cube = square * np.sqrt(square)
            push = push + gap / cube
            d_push = d_push + (d_gap - 3 * gap * (gap * d_gap).sum() / square) / cube
        x, dx, v, dv = there, dx + h * dv, v + h * push, dv + h * d_push
    place = x[0] - x[1] / v[1] * v[0]
    slope = dx[0] - (dx[1] * v[0] + x[1] * dv[0]) / v[1] + x[1] * v[0] * dv[1] / (v[1] * v[1])
    return place * place, lambda ct: (np.reshape(2 * ct * place * slope, (1,)),)


def _particle_argmin(w: Array, x: Array, v: Array, fixed: Array, _: Array) -> tuple[Array, ...]:
    def evaluate(at: Array) -> tuple[float, Array]:
        value, pull_back = _particle_by_hand(at, x, v, fixed)
        return float(value), pull_back(np.ones((), w.dtype))[0]

    return (descend(evaluate, w),)


# A saddle point


def _saddle_inputs(n: int, dtype: str, rng: np.random.Generator) -> tuple[Input, ...]:
    return np.ones(2, dtype), np.ones(2, dtype)  # the published start


def _saddle(T: Any, x: Any, start: Any) -> Any:
    """The largest value over y, by the loop of `descend` on a tape."""
    square = T.sum(x * x)

    def negative(y: Any) -> Any:
        return T.sum(y * y) - square

    y, step, streak = start, PRECISION, 0
    value, slope = inner_gradient(T, negative, y, x)
    while T.sqrt(T.sum(slope * slope)) > PRECISION:
        if streak == _PATIENCE:
            step, streak = 2 * step, 0
            continue
        there = y - step * slope
        gap = y - there
        if T.sqrt(T.sum(gap * gap)) <= PRECISION:
            break
        value_there, slope_there = inner_gradient(T, negative, there, x)
        if value_there < value:
            y, value, slope, streak = there, value_there, slope_there, streak + 1
        else:
            step, streak = step / 2, 0
    return -value


def _saddle_jax(jax: Any, x: Any, start: Any) -> Any:
    jnp, choose = jax.numpy, jax.numpy.where
    evaluate = jax.value_and_grad(lambda y: (y * y).sum() - (x * x).sum())

    def turn(state: Any, _: Any) -> Any:
        y, value, slope, step, streak, ended = state
        # The square roots are of numbers that are never 0, for their slope there is infinite.
        flat = jnp.sum(slope * slope) <= PRECISION**2
        doubles = streak == _PATIENCE
        there = y - step * slope
        gap = y - there
        ended = ended | flat | (~doubles & (jnp.sqrt(jnp.sum(gap * gap)) <= PRECISION))
        value_there, slope_there = evaluate(there)
        better = ~ended & ~doubles & (value_there < value)
        worse = ~ended & ~doubles & ~better
        step = choose(ended, step, choose(doubles, 2 * step, choose(worse, step / 2, step)))
        streak = choose(ended, streak, choose(better, streak + 1, 0))
        state = choose(better, there, y), choose(better, value_there, value), choose(better, slope_there, slope)
        return (*state, step, streak, ended), None

    state = (start, *evaluate(start), jnp.asarray(PRECISION, x.dtype), 0, jnp.asarray(False))
    state, _ = jax.lax.scan(turn, state, None, length=_MOST_STEPS)
    return -state[1]


def _saddle_by_hand(x: Array, start: Array) -> tuple[Array, PullBack]:
    square = (x * x).sum()
    y = descend(lambda y: ((y * y).sum() - square, 2 * y), start)
    return square - (y * y).sum(), lambda ct: (2 * ct * x,)


def _saddle_argmin(x: Array, start: Array, _: Array) -> tuple[Array, ...]:
    def evaluate(at: Array) -> tuple[float, Array]:
        value, pull_back = _saddle_by_hand(at, start)
        return float(value), pull_back(np.ones((), x.dtype))[0]

    return (descend(evaluate, x),)
