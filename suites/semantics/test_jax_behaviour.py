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


@pytest.mark.catalogue("JX06", priority=2)
def test_has_aux_returns_what_the_function_returns_besides(jax: Any) -> None:
    gradient, aux = jax.grad(lambda x: (x * x, "word"), has_aux=True)(3.0)
    assert (float(gradient), aux) == (6.0, "word")
    with pytest.raises(TypeError, match="expected function with aux output to return a two-element tuple"):
        jax.grad(lambda x: x * x, has_aux=True)(3.0)


@pytest.mark.catalogue("JX09", priority=2)
def test_a_cotangent_of_another_dtype_is_refused(jax: Any) -> None:
    _, pull_back = jax.vjp(lambda x: x * 2, jax.numpy.ones(2))
    with pytest.raises(ValueError, match=r"unexpected JAX type \(e.g. shape/dtype\) for argument to VJP function"):
        pull_back(jax.numpy.ones(2, dtype="int32"))
    with jax.enable_x64(False):  # other tests of the process may have switched it on
        _, pull_back = jax.vjp(lambda x: x * 2, jax.numpy.ones(2))
        assert pull_back(np.ones(2))[0].dtype == np.float32
        _, of_scalar = jax.vjp(lambda x: x * 2, jax.numpy.float32(1.0))
        assert float(of_scalar(3.0)[0]) == 6.0


@pytest.mark.catalogue("JX10", priority=2)
def test_a_cotangent_of_another_structure_is_refused(jax: Any) -> None:
    _, pull_back = jax.vjp(lambda x: (x, x * 2), jax.numpy.ones(2))
    with pytest.raises(ValueError, match="unexpected tree structure"):
        pull_back(jax.numpy.ones(2))


@pytest.mark.catalogue("JX11", priority=2)
def test_jvp_wants_tangents_like_the_primals(jax: Any) -> None:
    x = jax.numpy.arange(3.0)
    y, forward = jax.jvp(lambda x: x * x, (x,), (jax.numpy.ones(3),))
    assert np.array_equal(y, [0.0, 1.0, 4.0])
    assert np.array_equal(forward, [0.0, 2.0, 4.0])
    with pytest.raises(ValueError, match="jvp called with different primal and tangent shapes"):
        jax.jvp(lambda x: x * x, (x,), (jax.numpy.ones(2),))
    with pytest.raises(TypeError, match=r"primal and tangent arguments to jax\.jvp do not match"):
        jax.jvp(lambda x: x * x, (x,), (jax.numpy.ones(3, dtype="int32"),))


@pytest.mark.catalogue("JX12", priority=2)
def test_linearize_gives_a_function_that_checks_shapes(jax: Any) -> None:
    y, linear = jax.linearize(lambda x: x * x, jax.numpy.arange(3.0))
    assert np.array_equal(y, [0.0, 1.0, 4.0])
    assert np.array_equal(linear(jax.numpy.ones(3)), [0.0, 2.0, 4.0])
    with pytest.raises(ValueError, match="linearized function called on tangent values inconsistent"):
        linear(jax.numpy.ones(2))


@pytest.mark.catalogue("JX14", priority=2)
def test_second_derivatives_by_all_ways_agree(jax: Any) -> None:
    x = jax.numpy.asarray([1.0, 2.0])
    cube = lambda x: (x**3).sum()
    for found in (jax.hessian(cube)(x), jax.jacfwd(jax.grad(cube))(x), jax.jacrev(jax.grad(cube))(x)):
        assert np.array_equal(found, [[6.0, 0.0], [0.0, 12.0]])
    assert float(jax.grad(jax.grad(lambda x: x**3))(2.0)) == 12.0
    with pytest.raises(TypeError, match="jacfwd requires real-valued inputs"):
        jax.jacfwd(lambda x: x * 2)(jax.numpy.arange(3))


def custom_square(jax: Any, backward: Any) -> Any:
    square = jax.custom_vjp(lambda x: x * x)
    square.defvjp(lambda x: (x * x, x), backward)
    return square


@pytest.mark.catalogue("JX17", priority=2)
def test_a_custom_vjp_is_used_and_checked(jax: Any) -> None:
    assert float(jax.grad(custom_square(jax, lambda x, ct: (ct * 10 * x,)))(3.0)) == 30.0
    assert float(jax.grad(custom_square(jax, lambda x, ct: (None,)))(3.0)) == 0.0
    with pytest.raises(TypeError, match="Custom VJP bwd rule must produce an output with the same container"):
        jax.grad(custom_square(jax, lambda x, ct: (ct, ct)))(3.0)
    with pytest.raises(ValueError, match="so the shapes do not match"):
        jax.grad(custom_square(jax, lambda x, ct: (jax.numpy.ones(2),)))(3.0)


@pytest.mark.catalogue("JX18", priority=2)
def test_a_custom_vjp_without_rules_or_in_forward_mode_is_refused(jax: Any) -> None:
    with pytest.raises(AttributeError, match="No VJP defined for custom_vjp function"):
        jax.grad(jax.custom_vjp(lambda x: x * x))(3.0)
    with pytest.raises(TypeError, match=r"can't apply forward-mode autodiff \(jvp\) to a custom_vjp function"):
        jax.jvp(custom_square(jax, lambda x, ct: (ct,)), (3.0,), (1.0,))


@pytest.mark.catalogue("JX19", priority=3)
def test_a_custom_jvp_gives_both_modes(jax: Any) -> None:
    square = jax.custom_jvp(lambda x: x * x)
    square.defjvp(lambda primals, tangents: (primals[0] ** 2, 10 * primals[0] * tangents[0]))
    assert float(jax.grad(square)(3.0)) == 30.0
    assert float(jax.jvp(square, (3.0,), (1.0,))[1]) == 30.0


@pytest.mark.catalogue("JX20", priority=2)
def test_gradients_have_the_structure_of_the_chosen_arguments(jax: Any) -> None:
    found = jax.grad(lambda p: p["a"] * p["b"][0])({"a": 2.0, "b": [3.0]})
    assert {"a": float(found["a"]), "b": [float(found["b"][0])]} == {"a": 3.0, "b": [2.0]}
    assert float(jax.grad(lambda x, w: x * w, argnums=1)(2.0, 3.0)) == 2.0
    with pytest.raises(TypeError, match="differentiating with respect to argnums=1 requires at least 2 positional"):
        jax.grad(lambda x: x, argnums=1)(2.0)


@pytest.mark.catalogue("JX21", priority=2)
def test_a_tracer_that_escapes_is_refused(jax: Any) -> None:
    kept: list[Any] = []
    jax.jit(lambda x: (kept.append(x), x)[1])(1.0)
    with pytest.raises(jax.errors.UnexpectedTracerError, match="Encountered an unexpected tracer"):
        jax.numpy.sin(kept[0])


@pytest.mark.catalogue("JX23", priority=2)
def test_the_gradient_of_a_root_at_0_is_inf_without_an_error(jax: Any) -> None:
    assert float(jax.grad(jax.numpy.sqrt)(0.0)) == float("inf")


@pytest.mark.catalogue("JX24", priority=2)
def test_a_long_chain_is_differentiated_without_recursion(jax: Any) -> None:
    def chain(x: Any) -> Any:
        for _ in range(2000):
            x = x + 1
        return x

    assert float(jax.grad(chain)(0.0)) == 1.0


@pytest.mark.catalogue("JX25", priority=2)
def test_a_complex_output_needs_holomorphic(jax: Any) -> None:
    with pytest.raises(TypeError, match="grad requires real-valued outputs"):
        jax.grad(lambda x: x * 1j)(1.0)
    assert complex(jax.grad(lambda x: x * x, holomorphic=True)(1.0 + 2.0j)) == 2.0 + 4.0j
