"""Solvers, inverses, determinants and factors take and give what PyTorch's do, gradients and errors included.

They round, so the comparison is in units of the last place; that each is right to its bound is judged on drawn programs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import reference_impl
from suites.api_twins import differences

RNG = np.random.default_rng(11)


def dominant(*shape: int) -> Any:
    """Matrices that are far from singular."""
    return RNG.uniform(-1, 1, shape) + 3 * np.eye(shape[-1])


def positive(*shape: int) -> Any:
    x = RNG.uniform(-1, 1, shape)
    return x @ np.swapaxes(x, -1, -2) + 2 * np.eye(shape[-1])


def drawn(*shape: int) -> Any:
    return RNG.uniform(-2, 2, shape)


A, SINGULAR = dominant(3, 3), np.array([[1.0, 2.0], [2.0, 4.0]])
CALLS: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("linalg.solve", [A, drawn(3, 2)], {}),
    ("linalg.solve", [A, drawn(3)], {}),
    ("linalg.solve", [A, drawn(2, 3)], {"left": False}),
    ("linalg.solve", [dominant(2, 3, 3), drawn(2, 3)], {}),
    ("linalg.solve", [dominant(2, 3, 3), drawn(3, 2)], {}),
    ("linalg.solve", [A, drawn(2, 3, 2)], {}),
    ("linalg.solve", [A, drawn(2, 2)], {}),
    ("linalg.solve", [drawn(2, 3), drawn(2, 2)], {}),
    ("linalg.solve", [SINGULAR, drawn(2, 2)], {}),
    ("linalg.inv", [A], {}),
    ("linalg.inv", [dominant(2, 2, 2)], {}),
    ("linalg.inv", [SINGULAR], {}),
    ("linalg.inv", [drawn(2, 3)], {}),
    ("inverse", [A], {}),
    ("linalg.det", [A], {}),
    ("linalg.det", [dominant(2, 2, 2)], {}),
    ("linalg.det", [SINGULAR], {}),
    ("linalg.det", [drawn(3)], {}),
    ("logdet", [A], {}),
    ("logdet", [-A], {}),
    ("linalg.cholesky", [positive(3, 3)], {}),
    ("linalg.cholesky", [positive(2, 3, 3)], {"upper": True}),
    ("linalg.cholesky", [positive(3, 3) + np.triu(np.ones((3, 3)), 1)], {}),
    ("linalg.cholesky", [-positive(3, 3)], {}),
    ("linalg.solve_triangular", [A, drawn(3, 2)], {"upper": True}),
    ("linalg.solve_triangular", [A, drawn(2, 3)], {"upper": False, "left": False}),
    ("linalg.solve_triangular", [A, drawn(3, 2)], {"upper": True, "unitriangular": True}),
    ("linalg.solve_triangular", [dominant(2, 3, 3), drawn(3, 1)], {"upper": False}),
    *(("linalg.matrix_power", [A], {"n": n}) for n in (0, 1, 2, 5, -2)),
    *(("linalg.matrix_norm", [drawn(2, 3, 4)], {"ord": o}) for o in ("fro", 1, -1, np.inf, -np.inf)),
    ("linalg.matrix_norm", [drawn(2, 3, 4)], {"ord": 1, "dim": (0, 2), "keepdim": True}),
    ("linalg.norm", [drawn(3, 4)], {"ord": 1}),
    ("linalg.norm", [drawn(3, 4)], {}),
    ("linalg.norm", [drawn(3, 4)], {"ord": 3, "dim": 1}),
    ("linalg.matrix_norm", [drawn(3, 4)], {"ord": 3}),
    ("trace", [drawn(3, 4)], {}),
    ("trace", [drawn(3)], {}),
]


@pytest.mark.parametrize(("name", "arrays", "keywords"), CALLS)
def test_a_function_of_matrices_is_pytorchs(name: str, arrays: list[Any], keywords: dict[str, Any]) -> None:
    def call(module: Any, *tensors: Any) -> Any:
        for part in name.split("."):
            module = getattr(module, part)
        return module(*tensors, **keywords)

    assert differences(call, arrays, rounds=True) == []


@pytest.mark.parametrize("order", ["nuc", 2, -2])
def test_a_norm_that_needs_singular_values_says_that_there_are_none(order: Any) -> None:
    x = reference_impl.ones(2, 2)
    with pytest.raises(NotImplementedError, match="no singular values"):
        reference_impl.linalg.norm(x, order)
    if order == "nuc":
        with pytest.raises(NotImplementedError, match="no singular values"):
            x.norm(order)


def test_what_a_cholesky_factor_solves_is_pytorchs_in_the_triangle_that_is_read() -> None:
    """PyTorch also gives the other triangle a gradient, though changing it changes nothing."""
    b, x = drawn(3, 2), dominant(3, 3)
    assert differences(lambda m, b, x: m.cholesky_solve(b, m.tril(x)), [b, x], rounds=True) == []
    assert differences(lambda m, b, x: m.cholesky_solve(b, m.triu(x), upper=True), [b, x], rounds=True) == []
    assert differences(lambda m, x: m.cholesky_inverse(m.tril(x)), [x], rounds=True) == []


@pytest.mark.filterwarnings("ignore:torch.triangular_solve is deprecated")
def test_slogdet_has_a_sign_without_gradient_and_a_logarithm_with_one() -> None:
    assert differences(lambda m, x: m.linalg.slogdet(x).logabsdet, [-A], rounds=True) == []
    assert differences(lambda m, x: m.linalg.slogdet(x).sign, [-dominant(2, 3, 3)]) == []
    assert differences(lambda m, x: m.triangular_solve(drawn_like(m, x), x)[0], [A], rounds=True) == []


def drawn_like(module: Any, x: Any) -> Any:
    return module.ones(x.shape[0], 2, dtype=x.dtype)


@pytest.mark.parametrize("name", ["solve", "inv", "det", "cholesky"])
def test_second_derivatives_of_functions_of_matrices_are_pytorchs(name: str) -> None:
    def twice(module: Any, x: Any) -> Any:
        a = x @ x.mT + 2 * module.eye(3, dtype=x.dtype) if name == "cholesky" else x
        y = module.linalg.solve(a, a * a) if name == "solve" else getattr(module.linalg, name)(a)
        (grad,) = module.autograd.grad((y * y).sum(), [x], create_graph=True)
        return (grad * grad).sum()

    assert differences(twice, [dominant(3, 3)], rounds=True) == []
