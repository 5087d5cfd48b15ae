"""Arguments for those of JAX's functions that take more than arrays of one shape, and why others have none.

`CALLS` has, for a function's full name, calls in the form (function, argument, ...); the arrays among the arguments are
what is differentiated. `REASONS` says in a line why a function has no gradient to check.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

__all__ = ["CALLS", "REASONS", "Call", "Draw"]


class Draw:
    """Arrays of a function's calls: the same in every run."""

    def __init__(self, name: str) -> None:
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))

    def __call__(self, *shape: int) -> Any:
        """Numbers of both signs."""
        return jnp.asarray(self.rng.uniform(0.25, 1.75, shape) * self.rng.choice([-1.0, 1.0], shape))

    def inside(self, *shape: int) -> Any:
        """Numbers between 0.15 and 0.85."""
        return jnp.asarray(self.rng.uniform(0.15, 0.85, shape))

    def above(self, *shape: int) -> Any:
        """Numbers between 1.2 and 3."""
        return jnp.asarray(self.rng.uniform(1.2, 3.0, shape))

    def square(self, n: int) -> Any:
        """A matrix that is far from singular."""
        return jnp.asarray(self.rng.uniform(-1.0, 1.0, (n, n)) + 3.0 * np.eye(n))

    def symmetric(self, n: int) -> Any:
        """A positive definite matrix."""
        a = self.rng.uniform(-1.0, 1.0, (n, n))
        return jnp.asarray(a @ a.T + 2.0 * np.eye(n))


Call = Callable[[Any, Draw], tuple[Any, ...]]  # of the function and a drawer of arrays: (function, argument, ...)


def _with(*shapes: tuple[int, ...], **options: Any) -> Call:
    """A call with arrays of these shapes and these keyword arguments."""
    return lambda f, d: (partial(f, **options), *(d(*s) for s in shapes))


def _then(shape: tuple[int, ...], *rest: Any, **options: Any) -> Call:
    """A call with one array and then these arguments."""
    return lambda f, d: (partial(f, **options), d(*shape), *rest)


def _rows(call: Callable[[Any, Any], Any]) -> Call:
    """A call with a row, under a name for the axis of all rows."""
    return lambda f, d: (jax.vmap(lambda v: call(f, v), axis_name="i"), d(3, 3))


def _ints(*values: Any) -> Any:
    return np.array(values, dtype=np.int32)


def _conv(f: Any, d: Draw) -> tuple[Any, ...]:
    return partial(f, window_strides=(1, 1), padding="SAME"), d(1, 2, 4, 4), d(2, 2, 2, 2)


_ONE_BY_ONE = lax.GatherDimensionNumbers(offset_dims=(1,), collapsed_slice_dims=(0,), start_index_map=(0,))
_PUT_ROWS = lax.ScatterDimensionNumbers(
    update_window_dims=(1,), inserted_window_dims=(0,), scatter_dims_to_operand_dims=(0,)
)


_RAGGED: Any = lax.RaggedDotDimensionNumbers((((1,), (1,)), ((), ())), (0,), (0,))  # type: ignore[no-untyped-call]


def _scattered(f: Any, d: Draw) -> tuple[Any, ...]:
    return partial(_scatter, f), d(4, 2), d(2, 2)


def _scatter(f: Any, x: Any, updates: Any) -> Any:
    return f(x, _ints([0], [2]), updates, _PUT_ROWS)


def _solved(f: Any, d: Draw) -> tuple[Any, ...]:
    def call(a: Any, b: Any) -> Any:
        product = lambda x: a @ x
        return f(product, b, lambda _, y: jnp.linalg.solve(a, y), lambda _, y: jnp.linalg.solve(a.T, y))

    return call, d.square(3), d(3)


def _rooted(f: Any, d: Draw) -> tuple[Any, ...]:
    def newton(g: Any, x: Any) -> Any:
        for _ in range(8):
            x = x - g(x) / jax.jvp(g, (x,), (jnp.ones_like(x),))[1]
        return x

    def call(a: Any) -> Any:
        return f(lambda x: 2 * x + jnp.tanh(x) - a, jnp.ones(()), newton, lambda g, y: y / g(jnp.ones_like(y)))

    return call, d.above()


CALLS: dict[str, tuple[Call, ...]] = {
    # jax.numpy
    "jax.numpy.apply_along_axis": (lambda f, d: (lambda x: f(jnp.cumsum, 1, x), d(2, 3)),),
    "jax.numpy.apply_over_axes": (lambda f, d: (lambda x: f(jnp.sum, x, (0,)), d(2, 3)),),
    "jax.numpy.array_split": (_then((5,), 2), _then((4, 3), 2, axis=1)),
    "jax.numpy.astype": (_then((2, 3), jnp.float64), _then((2, 3), jnp.float32)),
    "jax.numpy.bincount": (lambda f, d: (lambda w: f(_ints(0, 2, 2, 1), weights=w), d(4)),),
    "jax.numpy.broadcast_to": (_then((3,), (2, 3)),),
    "jax.numpy.choose": (lambda f, d: (lambda x, y: f(_ints(0, 1, 1), [x, y]), d(3), d(3)),),
    "jax.numpy.clip": (_then((2, 3), -0.5, 0.5), _with((2, 3), (2, 3), (2, 3))),
    "jax.numpy.compress": (lambda f, d: (lambda x: f(_ints(1, 0, 1) > 0, x), d(3)),),
    "jax.numpy.convolve": (_with((4,), (2,)), _with((4,), (3,), mode="same")),
    "jax.numpy.correlate": (_with((4,), (2,)), _with((4,), (3,), mode="full")),
    "jax.numpy.delete": (_then((4,), 1), _then((2, 3), _ints(0, 2), axis=1)),
    "jax.numpy.dsplit": (_then((2, 2, 4), 2),),
    "jax.numpy.einsum": (
        lambda f, d: (partial(f, "ij,jk->ik"), d(2, 3), d(3, 2)),
        lambda f, d: (partial(f, "ii->i"), d(3, 3)),
        lambda f, d: (partial(f, "bij,bj,b->i"), d(2, 3, 2), d(2, 2), d(2)),
    ),
    "jax.numpy.expand_dims": (_then((2, 3), 1),),
    "jax.numpy.fill_diagonal": (lambda f, d: (partial(f, inplace=False), d(3, 3), d(3)),),
    "jax.numpy.frompyfunc": (lambda f, d: (f(jnp.multiply, nin=2, nout=1, identity=1.0), d(3), d(3)),),
    "jax.numpy.full": (lambda f, d: (lambda x: f((2, 3), x), d()),),
    "jax.numpy.hsplit": (_then((2, 4), 2),),
    "jax.numpy.insert": (lambda f, d: (lambda x, v: f(x, 1, v), d(3), d()),),
    "jax.numpy.interp": (lambda f, d: (f, d.inside(4), jnp.array([0.0, 0.5, 1.0]), d(3)),),
    "jax.numpy.ldexp": (lambda f, d: (lambda x: f(x, _ints(-1, 2, 0)), d(3)),),
    "jax.numpy.linalg.cholesky": (lambda f, d: (f, d.symmetric(3)),),
    "jax.numpy.linalg.matrix_power": (_then((3, 3), 3), lambda f, d: (f, d.square(3), -2)),
    "jax.numpy.linalg.svd": (_then((2, 3), full_matrices=False), _then((3, 3), compute_uv=False)),
    "jax.numpy.linalg.tensorinv": (lambda f, d: (partial(f, ind=1), d.square(4).reshape(4, 2, 2)),),
    "jax.numpy.linalg.tensorsolve": (lambda f, d: (f, d.square(4).reshape(2, 2, 4), d(2, 2)),),
    "jax.numpy.moveaxis": (_then((2, 3, 2), 0, 2),),
    "jax.numpy.pad": (
        _then((2, 3), 1),
        _then((4,), (1, 2), mode="reflect"),
        _then((4,), (1, 2), mode="linear_ramp"),
        _then((4,), 2, mode="mean"),
    ),
    "jax.numpy.partition": (_then((5,), 2),),
    "jax.numpy.permute_dims": (_then((2, 3), (1, 0)),),
    "jax.numpy.piecewise": (
        lambda f, d: (lambda x: f(x, [x < 0, x >= 0], [lambda v: v**2, lambda v: jnp.sin(v)]), d(5)),
    ),
    "jax.numpy.place": (lambda f, d: (lambda x, v: f(x, _ints(0, 1, 0, 1) > 0, v, inplace=False), d(4), d(2)),),
    "jax.numpy.polyfit": (lambda f, d: (lambda x, y: f(x, y, 2), jnp.linspace(-1.0, 1.0, 5), d(5)),),
    "jax.numpy.put": (lambda f, d: (lambda x, v: f(x, _ints(0, 2), v, inplace=False), d(4), d(2)),),
    "jax.numpy.put_along_axis": (
        lambda f, d: (lambda x, v: f(x, _ints([1], [0]), v, axis=1, inplace=False), d(2, 3), d(2, 1)),
    ),
    "jax.numpy.repeat": (_then((3,), 2), _then((2, 3), _ints(1, 0, 2), axis=1)),
    "jax.numpy.reshape": (_then((2, 3), (3, 2)),),
    "jax.numpy.resize": (_then((3,), (2, 4)),),
    "jax.numpy.rollaxis": (_then((2, 3, 2), 2),),
    "jax.numpy.split": (_then((4, 2), 2),),
    "jax.numpy.swapaxes": (_then((2, 3), 0, 1),),
    "jax.numpy.take": (_then((4,), _ints(0, 2, 2)), _then((2, 3), _ints(1, 1), axis=1)),
    "jax.numpy.take_along_axis": (_then((2, 3), _ints([0, 2], [1, 1]), axis=1),),
    "jax.numpy.tile": (_then((2, 3), (2, 1)),),
    "jax.numpy.vectorize": (lambda f, d: (f(jnp.dot, signature="(n),(n)->()"), d(2, 3), d(3)),),
    "jax.numpy.vsplit": (_then((4, 2), 2),),
    "jax.numpy.intersect1d": (lambda f, d: (lambda x: f(x, x[:3], size=3), d(4)),),
    # jax.lax
    "jax.lax.all_gather": (_rows(lambda f, v: f(v, "i")),),
    "jax.lax.all_to_all": (_rows(lambda f, v: f(v, "i", 0, 0)),),
    "jax.lax.approx_max_k": (_then((6,), 2),),
    "jax.lax.approx_min_k": (_then((6,), 2),),
    "jax.lax.associative_scan": (
        lambda f, d: (partial(f, jnp.add), d(4)),
        lambda f, d: (partial(f, jnp.multiply), d(5)),
    ),
    "jax.lax.betainc": (lambda f, d: (lambda x: f(1.5 * jnp.ones(3), 2.5 * jnp.ones(3), x), d.inside(3)),),
    "jax.lax.broadcast": (_then((3,), (2,)),),
    "jax.lax.broadcast_in_dim": (_then((3,), (2, 3), (1,)),),
    "jax.lax.broadcast_to_rank": (_then((3,), rank=2),),
    "jax.lax.clamp": (
        lambda f, d: (lambda x: f(-0.5, x, 0.5), d(2, 3)),
        lambda f, d: (lambda low, x, high: f(low - 2, x, high + 2), d.inside(2, 3), 3 * d(2, 3), d.inside(2, 3)),
    ),
    "jax.lax.collapse": (_then((2, 3, 2), 0, 2),),
    "jax.lax.composite": (lambda f, d: (f(jnp.sin, name="my.sine"), d(3)),),
    "jax.lax.concatenate": (lambda f, d: (lambda x, y: f([x, y], 0), d(2), d(3)),),
    "jax.lax.cond": (
        lambda f, d: (lambda x: f(x[0] > 0, jnp.sin, jnp.cos, x), d(3)),
        lambda f, d: (lambda x: f(x.sum() > 99, jnp.sin, jnp.exp, x), d(3)),
    ),
    "jax.lax.conv": (_conv,),
    "jax.lax.conv_general_dilated": (
        _conv,
        lambda f, d: (partial(f, window_strides=(2,), padding=[(1, 0)], rhs_dilation=(2,)), d(1, 1, 6), d(1, 1, 2)),
    ),
    "jax.lax.conv_general_dilated_local": (
        lambda f, d: (partial(f, window_strides=(1,), padding="VALID", filter_shape=(2,)), d(1, 2, 4), d(2, 4, 3)),
    ),
    "jax.lax.conv_general_dilated_patches": (
        lambda f, d: (partial(f, filter_shape=(2, 2), window_strides=(1, 1), padding="VALID"), d(1, 1, 3, 3)),
    ),
    "jax.lax.conv_transpose": (lambda f, d: (partial(f, strides=(2,), padding="SAME"), d(1, 3, 2), d(2, 2, 1)),),
    "jax.lax.conv_with_general_padding": (
        lambda f, d: (
            partial(f, window_strides=(1,), padding=[(1, 1)], lhs_dilation=None, rhs_dilation=None),
            d(1, 1, 4),
            d(1, 1, 2),
        ),
    ),
    "jax.lax.convert_element_type": (_then((2, 3), jnp.float64), _then((2, 3), jnp.float32)),
    "jax.lax.custom_linear_solve": (_solved,),
    "jax.lax.custom_root": (_rooted,),
    "jax.lax.dot_general": (
        _with((2, 3), (3, 2), dimension_numbers=(((1,), (0,)), ((), ()))),
        _with((2, 3, 2), (2, 2, 3), dimension_numbers=(((2,), (1,)), ((0,), (0,)))),
    ),
    "jax.lax.dynamic_index_in_dim": (_then((4, 2), 1),),
    "jax.lax.dynamic_slice": (_then((4, 2), (1, 0), (2, 2)),),
    "jax.lax.dynamic_slice_in_dim": (_then((4, 2), 1, 2),),
    "jax.lax.dynamic_update_index_in_dim": (lambda f, d: (lambda x, y: f(x, y, 1, 0), d(4, 2), d(2)),),
    "jax.lax.dynamic_update_slice": (lambda f, d: (lambda x, y: f(x, y, (1, 0)), d(4, 2), d(2, 2)),),
    "jax.lax.dynamic_update_slice_in_dim": (lambda f, d: (lambda x, y: f(x, y, 1, 0), d(4, 2), d(2, 2)),),
    "jax.lax.expand_dims": (_then((2, 3), (1,)),),
    "jax.lax.fft": (
        lambda f, d: (lambda x: f(x + 0j, "FFT", (4,)), d(4)),
        lambda f, d: (lambda x: f(x, "RFFT", (4,)), d(4)),
    ),
    "jax.lax.fori_loop": (lambda f, d: (lambda x: f(0, 3, lambda i, y: jnp.sin(y) * x, x), d(3)),),
    "jax.lax.full": (lambda f, d: (lambda x: f((2, 3), x), d()),),
    "jax.lax.full_like": (lambda f, d: (lambda x, y: f(x, y), d(2, 3), d()),),
    "jax.lax.gather": (lambda f, d: (lambda x: f(x, _ints([0], [2], [2]), _ONE_BY_ONE, (1, 2)), d(4, 2)),),
    "jax.lax.imag": (lambda f, d: (lambda x, y: f(lax.complex(x, y)), d(3), d(3)),),
    "jax.lax.index_in_dim": (_then((4, 2), 1),),
    "jax.lax.index_take": (lambda f, d: (lambda x: f(x, (_ints(0, 2),), (0,)), d(4, 2)),),
    "jax.lax.integer_pow": (_then((2, 3), 3), _then((2, 3), -2)),
    "jax.lax.map": (lambda f, d: (lambda x: f(jnp.sin, x), d(3)),),
    "jax.lax.pad": (lambda f, d: (lambda x, y: f(x, y, [(1, 2, 1)]), d(3), d()),),
    "jax.lax.platform_dependent": (lambda f, d: (lambda x: f(x, default=jnp.sin), d(3)),),
    "jax.lax.pmax": (_rows(lambda f, v: f(v, "i")),),
    "jax.lax.pmean": (_rows(lambda f, v: f(v, "i")),),
    "jax.lax.pmin": (_rows(lambda f, v: f(v, "i")),),
    "jax.lax.polygamma": (lambda f, d: (lambda x: f(jnp.ones_like(x), x), d.above(3)),),
    "jax.lax.ppermute": (_rows(lambda f, v: f(v, "i", [(0, 1), (1, 2), (2, 0)])),),
    "jax.lax.pshuffle": (_rows(lambda f, v: f(v, "i", [2, 0, 1])),),
    "jax.lax.psum": (_rows(lambda f, v: f(v, "i")), _rows(lambda f, v: jnp.sin(f(v, "i")) * v)),
    "jax.lax.psum_scatter": (_rows(lambda f, v: f(v, "i")),),
    "jax.lax.pswapaxes": (_rows(lambda f, v: f(v, "i", 0)),),
    "jax.lax.ragged_dot": (lambda f, d: (lambda x, y: f(x, y, _ints(2, 1)), d(3, 2), d(2, 2, 2)),),
    "jax.lax.ragged_dot_general": (
        lambda f, d: (
            lambda x, y: f(x, y, _ints(2, 1), _RAGGED),
            d(3, 2),
            d(2, 2, 2),
        ),
    ),
    "jax.lax.real": (lambda f, d: (lambda x, y: f(lax.complex(x, y)), d(3), d(3)),),
    "jax.lax.reduce": (
        lambda f, d: (lambda x: f(x, 0.0, lax.add, (0,)), d(2, 3)),
        lambda f, d: (lambda x: f(x, 1.0, lax.mul, (1,)), d(2, 3)),
    ),
    "jax.lax.reduce_max": (_then((2, 3), (0,)),),
    "jax.lax.reduce_min": (_then((2, 3), (0,)),),
    "jax.lax.reduce_precision": (_then((2, 3), 11, 52), _then((2, 3), 8, 23)),
    "jax.lax.reduce_prod": (_then((2, 3), (1,)),),
    "jax.lax.reduce_sum": (_then((2, 3), (0, 1)),),
    "jax.lax.reduce_window": (
        lambda f, d: (lambda x: f(x, 0.0, lax.add, (2,), (1,), "VALID"), d(4)),
        lambda f, d: (lambda x: f(x, -jnp.inf, lax.max, (2, 2), (1, 1), "SAME"), d(3, 3)),
    ),
    "jax.lax.reshape": (_then((2, 3), (3, 2)),),
    "jax.lax.rev": (_then((2, 3), (1,)),),
    "jax.lax.rng_uniform": (lambda f, d: (lambda a, b: f(a, b, (2, 3)), d.inside(), d.above()),),
    "jax.lax.scan": (
        lambda f, d: (lambda c, xs: f(lambda s, x: (jnp.tanh(s * x), s + x), c, xs), d(2), d(3, 2)),
        lambda f, d: (lambda xs: f(lambda s, x: (s + x, s * x), jnp.zeros(()), xs, reverse=True), d(4)),
    ),
    "jax.lax.scatter": (_scattered,),
    "jax.lax.scatter_add": (_scattered,),
    "jax.lax.scatter_apply": (
        lambda f, d: (lambda x: f(x, _ints([0], [2]), jnp.sin, _PUT_ROWS, update_shape=(2, 2)), d(4, 2)),
    ),
    "jax.lax.scatter_max": (_scattered,),
    "jax.lax.scatter_min": (_scattered,),
    "jax.lax.scatter_mul": (
        lambda f, d: (lambda x, y: f(x, _ints([0], [2]), y, _PUT_ROWS, unique_indices=True), d(4, 2), d(2, 2)),
    ),
    "jax.lax.scatter_sub": (_scattered,),
    "jax.lax.select": (lambda f, d: (lambda x, y: f(_ints(0, 1, 1) > 0, x, y), d(3), d(3)),),
    "jax.lax.select_n": (lambda f, d: (lambda x, y, z: f(_ints(0, 2, 1), x, y, z), d(3), d(3), d(3)),),
    "jax.lax.slice": (_then((4, 3), (1, 0), (4, 2), (2, 1)),),
    "jax.lax.slice_in_dim": (_then((4, 3), 1, 3),),
    "jax.lax.split": (_then((5,), (2, 3)),),
    "jax.lax.squeeze": (_then((1, 3), (0,)),),
    "jax.lax.switch": (lambda f, d: (lambda x: f(1, [jnp.sin, jnp.cos, jnp.exp], x), d(3)),),
    "jax.lax.tile": (_then((2, 3), (2, 1)),),
    "jax.lax.top_k": (_then((5,), 2),),
    "jax.lax.transpose": (_then((2, 3), (1, 0)),),
    "jax.lax.while_loop": (lambda f, d: (lambda x: f(lambda y: y.sum() < 9, lambda y: y * 1.5, x), d.inside(3)),),
    "jax.lax.zeta": (lambda f, d: (lambda q: f(2.5 * jnp.ones(3), q), d.above(3)),),
    # jax.nn
    "jax.nn.dot_product_attention": (
        _with((1, 3, 1, 2), (1, 3, 1, 2), (1, 3, 1, 2)),
        _with((1, 3, 1, 2), (1, 3, 1, 2), (1, 3, 1, 2), is_causal=True),
    ),
    # jax.scipy.special
    "jax.scipy.special.bessel_jn": (lambda f, d: (partial(f, v=2, n_iter=50), d.above(3)),),
    "jax.scipy.special.betainc": (lambda f, d: (lambda x: f(1.5, 2.5, x), d.inside(3)),),
    "jax.scipy.special.expn": (lambda f, d: (lambda x: f(2, x), d.above(3)),),
    "jax.scipy.special.hyp1f1": (lambda f, d: (f, d.above(3), d.above(3), d.inside(3)),),
    "jax.scipy.special.hyp2f1": (lambda f, d: (f, d.above(3), d.above(3), d.above(3), d.inside(3)),),
    "jax.scipy.special.multigammaln": (lambda f, d: (lambda x: f(x, 2), d.above(3)),),
    "jax.scipy.special.polygamma": (
        lambda f, d: (lambda x: f(1, x), d.above(3)),
        lambda f, d: (lambda x: f(2, x), d.above(3)),
    ),
    "jax.scipy.special.sph_harm_y": (
        lambda f, d: (
            lambda theta, phi: f(_ints(2), _ints(1), theta, phi, n_max=2),
            d.inside(1),
            d.inside(1),
        ),
    ),
    "jax.scipy.special.zeta": (lambda f, d: (lambda q: f(2.5, q), d.above(3)),),
}

_HOST = "reads or writes a file"
_TEXT = "is about types or shapes, not about numbers"
_MANY = "wants several devices"
_WHOLE = "takes whole numbers only"
REASONS: dict[str, str] = {
    **dict.fromkeys(
        [f"jax.numpy.{n}" for n in ("fromfile", "load", "save", "savez", "fromstring", "frombuffer")],
        _HOST,
    ),
    **dict.fromkeys(
        [
            *(f"jax.numpy.{n}" for n in ("broadcast_shapes", "einsum_path", "set_printoptions", "get_printoptions")),
            *(f"jax.numpy.{n}" for n in ("printoptions", "from_dlpack", "fromiter")),
            *(f"jax.lax.{n}" for n in ("broadcast_shapes", "conv_dimension_numbers", "conv_general_permutations")),
            *(f"jax.lax.{n}" for n in ("conv_general_shape_tuple", "conv_shape_tuple", "conv_transpose_shape_tuple")),
            *(f"jax.lax.{n}" for n in ("padtype_to_pads", "reduce_window_shape_tuple", "shape_as_value")),
            *(f"jax.lax.{n}" for n in ("after_all", "axis_index", "axis_size", "pcast", "dce_sink")),
            "jax.nn.get_scaled_dot_general_config",
        ],
        _TEXT,
    ),
    **dict.fromkeys(
        [
            *(f"jax.lax.{n}" for n in ("pbroadcast", "precv", "psend", "ragged_all_to_all")),
            "jax.lax.with_sharding_constraint",
        ],
        _MANY,
    ),
    **dict.fromkeys(
        [
            *(f"jax.numpy.{n}" for n in ("packbits", "unpackbits", "ravel_multi_index", "mask_indices")),
            *(f"jax.lax.{n}" for n in ("reduce_and", "reduce_or", "reduce_xor", "rng_bit_generator")),
        ],
        _WHOLE,
    ),
    **dict.fromkeys(("jax.numpy.argpartition", "jax.lax.argmax", "jax.lax.argmin"), "returns whole numbers"),
    **dict.fromkeys(
        ("jax.numpy.fromfunction", "jax.lax.iota", "jax.lax.broadcasted_iota", "jax.lax.empty"),
        "takes no array of numbers",
    ),
    "jax.lax.bitcast_convert_type": "reads the bits of a number as those of another type",
    "jax.nn.scaled_dot_general": "wants numbers of 8 or 4 bits and a graphics card",
    "jax.nn.scaled_matmul": "wants numbers of 8 or 4 bits and a graphics card",
}
