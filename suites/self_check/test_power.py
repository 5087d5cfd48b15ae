"""The defect library: every kind is there, every defect is one, and Adjudge catches a fixed share of it in every engine."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from harness import backends, check_gradients
from harness.defects import GROUPS, Defect
from harness.defects.declared import KINDS, WHERE
from harness.defects.library import SIZES, every_defect, library, unplanted
from harness.defects.twins import Twin, telling
from harness.judgement import STEADY_POINTS, is_steady

AVAILABLE = backends.available()
LIBRARY = library(0)
ENGINES = ["reference", "torch", "jax", "autograd"]
# What shows in a later call, in the arguments or in the second order, and not in the gradient of one call.
LATER = ("stale call", "writes cotangent", "writes saved", "writes argument", "second order")


def twins(engine: str) -> Any:
    reason = AVAILABLE.get(engine)
    if engine == "autograd":
        pytest.importorskip("autograd", reason="the package autograd is not installed")
    elif reason is not None:
        pytest.skip(reason)
    return importlib.import_module(f"harness.backends.{engine}_twins")


def test_the_library_has_300_defects_of_every_kind_and_size() -> None:
    assert len(LIBRARY) >= 300
    assert len({d.op for d in LIBRARY}) >= 50
    assert {d.group for d in LIBRARY} == set(GROUPS)
    assert {d.size for d in LIBRARY if d.group == "scale"} == set(SIZES)
    of_rules_alone = {"wrong value", "dropped term"}
    assert {d.kind for d in LIBRARY} == set(KINDS) - of_rules_alone
    assert {d.where for d in LIBRARY} == set(WHERE)


def test_the_same_seed_chooses_the_same_defects_and_another_chooses_others() -> None:
    assert library(0) == LIBRARY
    assert len(set(library(1)) - set(LIBRARY)) > 100
    assert set(library(1)) <= set(every_defect())


def test_an_unknown_kind_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="kind: unknown defect 'signs'"):
        Defect("sin", 0, "signs")
    with pytest.raises(ValueError, match="where: unknown defect 'float16'"):
        Defect("sin", 0, "sign", where="float16")


def gradients(engine: str, fn: Callable[..., Any], arrays: Any) -> list[Any]:
    """Value and gradients of <ct, fn> with the same ct for every function; arrays the backend wrote into are not shared."""
    module = twins(engine)
    xs = module.arguments(arrays)
    if engine == "jax":
        import jax

        value = jax.eval_shape(fn, *xs)
        ct = jax.numpy.asarray(cotangent(value.shape), value.dtype)
        y, grads = jax.jit(lambda *ts: (lambda pair: (pair[0], pair[1](ct)))(jax.vjp(fn, *ts)))(*xs)
        return [np.asarray(y), *map(np.asarray, grads)]
    if engine == "autograd":
        from autograd import make_vjp

        pull, y = make_vjp(lambda given: fn(*given), 0)(tuple(xs))
        value = np.array(y)
        return [value, *map(np.array, pull(cotangent(value.shape).astype(value.dtype)))]
    framework = importlib.import_module({"torch": "torch", "reference": "reference_impl"}[engine])
    y = fn(*xs)
    value = y.detach().numpy().copy()
    ct = framework.tensor(cotangent(value.shape), dtype=y.dtype)
    grads = framework.autograd.grad(y, xs, ct, allow_unused=True)
    return [
        value,
        *(np.zeros(tuple(x.shape)) if g is None else g.detach().numpy().copy() for g, x in zip(grads, xs, strict=True)),
    ]


def cotangent(shape: tuple[int, ...]) -> Any:
    return np.random.default_rng(3).uniform(0.5, 1.5, shape)


def same(a: list[Any], b: list[Any]) -> bool:
    return all(x.shape == y.shape and np.array_equal(x, y, equal_nan=True) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("engine", ENGINES)
def test_an_unplanted_twin_is_the_op_and_a_planted_one_is_not(engine: str) -> None:
    """Bit for bit, in value and gradient; at arguments at which the defect shows."""
    module = twins(engine)
    compared = 0
    chosen = [d for d in LIBRARY if not module.can_build(Twin(d))]
    for defect in chosen[:: 16 if engine == "jax" else 1]:
        arrays = telling(Twin(defect), seed=1)
        plain = gradients(engine, module.plain(Twin(defect)), arrays)
        right = gradients(engine, module.build(Twin(defect, planted=False)), arrays)
        assert same(plain, right), f"{defect}: without the defect it is not the op"
        wrong = gradients(engine, module.build(Twin(defect)), arrays)
        assert np.array_equal(wrong[0], right[0]), f"{defect}: the value is another"
        if defect.kind not in LATER:
            assert not same(right[1:], wrong[1:]), f"{defect} changes nothing"
        compared += 1
    assert compared >= 20


def verdict(engine: str, twin: Twin, **options: Any) -> str:
    module = twins(engine)
    spec = module.plain(twin) if twin.defect.kind == "leak" else None
    arguments = module.arguments(twin.example())
    return check_gradients(module.build(twin), *arguments, spec=spec, raises=False, **options).verdict


def share(engine: str) -> list[Defect]:
    """One defect of each kind, size and place, another in every engine; the dearer the engine the fewer."""
    module = twins(engine)
    found: dict[tuple[str, float, str], Defect] = {}
    for defect in LIBRARY[:: -1 if engine == "reference" else 1]:
        if not module.can_build(Twin(defect)) and defect.structural | (defect.size in (1e-3, 1e-8)):
            found.setdefault((defect.kind, defect.size, defect.where), defect)
    return list(found.values())[:: 6 if engine == "jax" else 1]


@pytest.mark.parametrize("engine", ["reference", "torch", "jax"])
def test_a_fixed_share_of_the_library_is_caught(engine: str) -> None:
    chosen = share(engine)
    assert len(chosen) >= (5 if engine == "jax" else 25)
    assert [str(d) for d in chosen if verdict(engine, Twin(d)) != "wrong"] == []


@pytest.mark.parametrize("engine", ["reference", "torch", "jax"])
def test_the_same_functions_without_the_defects_raise_no_alarm(engine: str) -> None:
    module = twins(engine)
    chosen = [t for t in unplanted(LIBRARY) if not module.can_build(t)]
    chosen = chosen[:: {"reference": 6, "torch": 9, "jax": 80}[engine]]
    assert [(t.defect.op, t.form, t.dtype) for t in chosen if verdict(engine, t) == "wrong"] == []


# -- what tells a wrong rule from lost digits where only float32 is there

TRUE = np.random.default_rng(0).uniform(0.5, 2.0, (STEADY_POINTS, 4))
ROOM = 2.0**-23 * TRUE


def off_by(errors: Any) -> bool:
    return is_steady(TRUE + errors, TRUE, ROOM, "float32", 2.0)


def test_a_factor_and_an_error_to_one_side_are_steady() -> None:
    for size in (-2.0, 0.5, 1e-3, 1e-5):
        assert off_by(size * TRUE)
    assert off_by(np.full(TRUE.shape, 0.125))


def test_rounding_and_what_the_bound_holds_is_not_steady() -> None:
    noise = np.random.default_rng(1).uniform(-1.0, 1.0, TRUE.shape)
    for size in (1e-7, 1e-5, 1e-3, 0.1):
        assert not off_by(size * noise)
    assert not off_by(8 * ROOM)
    assert not is_steady(TRUE[:3] * 2, TRUE[:3], ROOM[:3], "float32", 2.0), "three points tell nothing"


def test_digits_that_are_lost_altogether_are_not_a_factor() -> None:
    """1 - tanh(x)^2 is 0 in float32 where tanh(x) rounds to 1: its factor to the truth is the same everywhere."""
    tiny = TRUE * 2.0**-26
    assert not is_steady(np.zeros(TRUE.shape), tiny, tiny * 2.0**-23, "float32", 1.0)
