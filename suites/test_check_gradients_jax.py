"""`check_gradients` on JAX: rules of `custom_vjp` and `custom_jvp` are judged, their bodies are the truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from harness import backends, check_gradients
from harness.checking import WrongGradient

if backends.available()["jax"] is not None:
    pytest.skip("JAX is not installed", allow_module_level=True)

X = np.random.default_rng(0).normal(size=(2, 3))
ROW = X[0] + 1.0


def with_rule(f: Callable[..., Any], rule: Callable[..., Any]) -> Any:
    """f with `rule(cotangent, *arguments)` as its VJP."""
    import jax

    made = jax.custom_vjp(lambda *xs: f(*xs))
    made.defvjp(lambda *xs: (f(*xs), xs), lambda xs, ct: rule(ct, *xs))
    return made


def with_jvp(f: Callable[..., Any], rule: Callable[..., Any]) -> Any:
    import jax

    made = jax.custom_jvp(lambda x: f(x))
    made.defjvp(lambda xs, ts: (f(*xs), rule(*xs, *ts)))
    return made


def wrong() -> dict[str, tuple[Any, tuple[Any, ...], str, bool]]:
    """Name -> (function, arguments, wrong claim, points around the example are needed)."""
    import jax
    import jax.numpy as jnp

    tanh = lambda ct, x: ct * (1 - jnp.tanh(x) ** 2)
    return {
        "factor 1 + 1e-3": (with_rule(jnp.tanh, lambda ct, x: (tanh(ct, x) * 1.001,)), (X,), "vjp", False),
        "factor 1 + 1e-6": (with_rule(jnp.tanh, lambda ct, x: (tanh(ct, x) * (1 + 1e-6),)), (X,), "vjp", False),
        "wrong sign": (with_rule(jnp.cos, lambda ct, x: (ct * jnp.sin(x),)), (X,), "vjp", False),
        "wrong jvp": (with_jvp(jnp.exp, lambda x, t: t * jnp.exp(x) * 1.0001), (X,), "vjp", False),
        "missing sum": (with_rule(jnp.multiply, lambda ct, x, w: (ct * w, (ct * x)[0])), (X, ROW), "vjp", False),
        "wrong value of the rule": (with_forward(), (X,), "vjp", False),
        "straight through, unannounced": (with_rule(jnp.round, lambda ct, x: (ct,)), (X,), "vjp", False),
        "wrong where an index is named twice": (
            with_rule(lambda x, i: x[i], lambda ct, x, i: (jnp.zeros_like(x).at[i].set(ct), None)),
            (jnp.asarray(X.T), jnp.array([0, 2])),
            "vjp",
            True,
        ),
        "wrong for more than one of a batch": (
            with_rule(
                lambda z, t: -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), t[:, None], 1)),
                lambda ct, z, t: (ct * (jax.nn.softmax(z) - jax.nn.one_hot(t, z.shape[1])), None),
            ),
            (jnp.asarray(X[:1]), jnp.array([2])),
            "vjp",
            True,
        ),
        "wrong at zero only": (
            with_rule(lambda x: jnp.maximum(x, 0.0), lambda ct, x: (ct * (x > 0) - ct * (x == 0),)),
            (np.array([0.5, -1.0]),),
            "vjp",
            True,
        ),
    }


def with_forward() -> Any:
    """A rule whose residual is of another function."""
    import jax
    import jax.numpy as jnp

    made = jax.custom_vjp(lambda x: jnp.sin(x))
    made.defvjp(lambda x: (jnp.sin(x), jnp.sin(x)), lambda y, ct: (ct * y,))
    return made


def right() -> dict[str, tuple[Any, tuple[Any, ...], dict[str, Any]]]:
    import jax
    import jax.numpy as jnp

    def loops(x: Any) -> Any:
        y = jax.lax.fori_loop(0, 3, lambda i, c: c * jnp.cos(x), x)
        return jax.lax.cond(x.sum() > 0, jnp.sin, jnp.cos, y) + jnp.sort(x) + x.at[1].add(x[0])

    def kernel(x: Any) -> Any:
        return jax.pure_callback(np.sinh, jax.ShapeDtypeStruct(x.shape, x.dtype), x)

    return {
        "custom_vjp": (with_rule(jnp.tanh, lambda ct, x: (ct * (1 - jnp.tanh(x) ** 2),)), (X,), {}),
        "custom_jvp": (with_jvp(jnp.exp, lambda x, t: t * jnp.exp(x)), (X.astype(np.float32),), {"around": False}),
        "jitted": (
            jax.jit(lambda x, w: jax.nn.softmax(x @ w) + jax.nn.relu(x[0] @ w)),
            (X, X.T.copy()),
            {"around": False},
        ),
        "loops and branches": (loops, (X,), {"around": False}),
        "straight through": (with_rule(jnp.round, lambda ct, x: (ct,)), (X,), {"spec": lambda x: x, "around": False}),
        "callback with its spec": (
            with_rule(kernel, lambda ct, x: (ct * jnp.cosh(x),)),
            (X,),
            {"spec": jnp.sinh, "around": False},
        ),
        "callback": (
            with_rule(kernel, lambda ct, x: (ct * jnp.cosh(x),)),
            (X,),
            {"around": False, "only": ["linearity"]},
        ),
    }


@pytest.mark.parametrize("name", wrong())
def test_planted_defect_is_caught(name: str) -> None:
    fn, args, claim, around = wrong()[name]
    with pytest.raises(WrongGradient) as caught:
        check_gradients(fn, *args, around=around)
    assert caught.value.report[claim].verdict == "wrong"


@pytest.mark.parametrize("name", right())
def test_right_function_passes(name: str) -> None:
    fn, args, options = right()[name]
    report = check_gradients(fn, *args, raises=False, **options)
    assert report.verdict == "right", str(report)


def test_function_is_held_against_another_framework() -> None:
    if backends.available()["torch"] is not None:
        pytest.skip("PyTorch is not installed")
    import jax.numpy as jnp
    import torch

    x = torch.from_numpy(X)
    assert check_gradients(torch.sin, x, against=jnp.sin, around=False).verdict == "right"
    with pytest.raises(WrongGradient):
        check_gradients(torch.sin, x, against=jnp.cos, around=False)


def test_a_reshape_of_permuted_axes_is_recorded() -> None:
    import jax.numpy as jnp

    report = check_gradients(jnp.column_stack, jnp.asarray(X), around=False, only=[])
    assert report["vjp"].proved, str(report)


def test_rounding_of_an_opaque_function_op_by_op_is_no_other_answer() -> None:
    import jax.numpy as jnp

    a = jnp.asarray(np.random.default_rng(3).uniform(-1, 1, (3, 3)) + 3 * np.eye(3))
    eigenvalues = lambda x: jnp.stack([jnp.linalg.eigvals(x).real, jnp.linalg.eigvals(x).imag])
    report = check_gradients(eigenvalues, a, around=False, only=["repeatability"], raises=False)
    assert report["repeatability"].verdict == "right", str(report)


def test_what_jax_promises_is_asked() -> None:
    import jax.numpy as jnp

    report = check_gradients(lambda x: jnp.tanh(x) * x, X, around=False)
    asked = ("second order", "forward mode", "batched", "complex step", "forward against reverse", "transposed twice")
    assert {n: report[n].verdict for n in asked} == dict.fromkeys(asked, "right"), str(report)


def test_branches_that_zero_alone_takes() -> None:
    """JAX's weights of `logsumexp` get no gradient at 0 (jax issue 22398); its second derivative of `sinc` at 0 is right."""
    import jax
    import jax.numpy as jnp

    weighted = lambda b: jax.scipy.special.logsumexp(jnp.zeros(2), b=b)
    report = check_gradients(weighted, np.array([1.0, 0.0]), raises=False)
    assert report["vjp"].verdict == "wrong"
    assert "a branch there that is not its own beside the point" in report["vjp"].text
    assert check_gradients(jnp.sinc, np.array([0.0, 0.5]))["second order"].verdict == "inconclusive"


def test_the_second_derivative_of_i0_at_zero() -> None:
    """JAX 0.10 has 0 there, which is 1/2 (jax issue 40627); another version is asked what it has."""
    import jax
    import jax.numpy as jnp

    from harness.backends.jax_versions import enable_x64

    with enable_x64(True):
        there = float(jax.grad(jax.grad(jnp.i0))(0.0))
    report = check_gradients(lambda t: jnp.i0(2 * t - 1), np.array(0.5))
    assert any("second order at the example" in note for note in report.notes) == (there != 0.5)


def test_a_compiled_loop_that_never_ends_is_given_up() -> None:
    import jax
    import jax.numpy as jnp

    def forever(a: Any) -> Any:
        return jax.lax.while_loop(lambda s: (s > -1).all(), lambda s: jnp.abs(s), a)

    report = check_gradients(forever, jnp.array([2.0]), raises=False, call_seconds=1.0)
    assert report["vjp"].verdict == "inconclusive"
    assert "lasted longer than 1 s" in report["vjp"].text


def test_a_number_may_be_what_the_rule_is_not_asked_of() -> None:
    """A tracer in its place, as of a number whose gradient is wanted, is refused by JAX."""
    import functools

    import jax

    @functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
    def scaled(x: Any, factor: float) -> Any:
        return x * factor

    scaled.defvjp(lambda x, factor: (x * factor, None), lambda factor, _, ct: (ct * factor,))
    assert check_gradients(scaled, X, 0.25).ok


def test_the_source_of_a_lambda_with_defaults_is_found() -> None:
    import jax.numpy as jnp

    double = lambda x, *, factor=2.0: with_rule(lambda y: y * factor, lambda ct, y: (ct * factor * 1.001,))(x)
    report = check_gradients(double, jnp.asarray(X), raises=False)
    assert report["vjp"].verdict == "wrong"
    assert report.script
