"""What JAX does where it differs from PyTorch in form: the behaviours that the harness relies on."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest


@pytest.mark.parametrize("shape", [(4,), (1,)])
@pytest.mark.catalogue("JX01")
def test_grad_wants_an_output_of_shape_nothing(jax: Any, shape: tuple[int, ...]) -> None:
    with pytest.raises(TypeError, match=r"Gradient only defined for scalar-output functions. Output had shape"):
        jax.grad(lambda x: x * 2)(jax.numpy.ones(shape))


@pytest.mark.parametrize("point", [3, True, np.arange(3)], ids=["int", "bool", "int array"])
@pytest.mark.catalogue("JX02")
def test_grad_refuses_an_integer_or_bool_input(jax: Any, point: Any) -> None:
    with pytest.raises(TypeError, match="grad requires real- or complex-valued inputs"):
        jax.grad(lambda x: jax.numpy.sum(x * 1.0))(point)


@pytest.mark.catalogue("JX02")
def test_allow_int_gives_a_float0_gradient(jax: Any) -> None:
    assert jax.grad(lambda x: x * 2.0, allow_int=True)(3).dtype == jax.dtypes.float0


@pytest.mark.catalogue("JX03")
def test_grad_refuses_an_integer_output(jax: Any) -> None:
    with pytest.raises(TypeError, match="grad requires real-valued outputs"):
        jax.grad(lambda x: jax.numpy.argmax(x))(jax.numpy.ones(3))


@pytest.mark.catalogue("JX03")
def test_vjp_of_an_integer_output_takes_float0_and_gives_zeros(jax: Any) -> None:
    _, pull_back = jax.vjp(jax.numpy.argmax, jax.numpy.ones(3))
    (ct,) = pull_back(np.zeros((), dtype=jax.dtypes.float0))
    assert np.array_equal(ct, np.zeros(3))


@pytest.mark.catalogue("JX04")
def test_an_unused_argument_and_a_constant_output_have_gradient_zeros(jax: Any) -> None:
    x = jax.numpy.arange(3.0)
    unused = jax.grad(lambda x, y: y.sum(), argnums=0)(x, x)
    constant = jax.grad(lambda x: jax.numpy.float32(7.0))(x)
    assert np.array_equal(unused, np.zeros(3))
    assert np.array_equal(constant, np.zeros(3))


@pytest.mark.catalogue("JX05")
def test_value_and_grad_returns_both_and_stores_nothing(jax: Any) -> None:
    function = jax.value_and_grad(lambda x: (x * x).sum())
    for _ in range(2):
        value, gradient = function(jax.numpy.arange(3.0))
        assert float(value) == 5.0
        assert np.array_equal(gradient, [0.0, 2.0, 4.0])


@pytest.mark.catalogue("JX07")
def test_a_vjp_function_may_be_called_again(jax: Any) -> None:
    y, pull_back = jax.vjp(operator.mul, jax.numpy.arange(3.0), jax.numpy.ones(3))
    assert np.array_equal(y, [0.0, 1.0, 2.0])
    for _ in range(2):
        cts = pull_back(jax.numpy.ones(3))
        assert isinstance(cts, tuple)
        assert len(cts) == 2
        assert np.array_equal(cts[0], [1.0, 1.0, 1.0])
        assert np.array_equal(cts[1], [0.0, 1.0, 2.0])


@pytest.mark.catalogue("JX08")
def test_a_cotangent_of_another_shape_is_refused(jax: Any) -> None:
    _, pull_back = jax.vjp(lambda x: x * 2, jax.numpy.ones(4))
    with pytest.raises(ValueError, match=r"unexpected JAX type \(e.g. shape/dtype\) for argument to VJP function"):
        pull_back(jax.numpy.ones(3))


@pytest.mark.catalogue("JX13")
def test_stop_gradient_blocks_both_modes_and_keeps_the_value(jax: Any) -> None:
    def function(x: Any) -> Any:
        return jax.lax.stop_gradient(x * x) * x

    assert float(function(3.0)) == 27.0
    assert float(jax.grad(function)(3.0)) == 9.0
    assert tuple(map(float, jax.jvp(function, (3.0,), (1.0,)))) == (27.0, 9.0)


@pytest.mark.catalogue("JX15")
def test_arrays_are_immutable(jax: Any) -> None:
    x = jax.numpy.ones(3)
    with pytest.raises(TypeError, match="JAX arrays are immutable and do not support in-place item assignment"):
        x[0] = 2.0


@pytest.mark.catalogue("JX15")
def test_the_functional_update_has_gradient_zero_where_it_wrote(jax: Any) -> None:
    x = jax.numpy.ones(3)
    assert np.array_equal(x.at[1].set(5.0), [1.0, 5.0, 1.0])
    gradients = jax.grad(lambda x, v: (x.at[1].set(v) * jax.numpy.arange(1.0, 4.0)).sum(), argnums=(0, 1))(x, 5.0)
    assert np.array_equal(gradients[0], [1.0, 0.0, 3.0])
    assert float(gradients[1]) == 2.0


@pytest.mark.catalogue("JX16")
def test_python_control_flow_works_under_grad_and_fails_under_jit(jax: Any) -> None:
    def function(x: Any) -> Any:
        while x < 100:
            x = x * 2
        return x

    assert float(jax.grad(function)(1.0)) == 128.0
    with pytest.raises(jax.errors.TracerBoolConversionError):
        jax.jit(function)(1.0)


@pytest.mark.parametrize(("a", "b"), [((3,), (2, 3)), ((2, 1), (1, 3)), ((), (2,)), ((0,), (1,)), ((0, 3), (3,))])
@pytest.mark.catalogue("JX22")
def test_broadcast_gradients_are_summed_to_the_operand_shape(jax: Any, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    x, w = jax.numpy.full(a, 2.0), jax.numpy.full(b, 3.0)
    gradients = jax.grad(lambda x, w: (x * w).sum(), argnums=(0, 1))(x, w)
    repeats = [int(np.prod(np.broadcast_shapes(a, b))) // max(int(np.prod(s)), 1) for s in (a, b)]
    assert np.array_equal(gradients[0], np.full(a, 3.0 * repeats[0]))
    assert np.array_equal(gradients[1], np.full(b, 2.0 * repeats[1]))
