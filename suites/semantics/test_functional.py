"""autograd.functional and func: derivatives of functions, as tensors, products and functions."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .support import assert_equal, assert_untouched, snapshot, values

# Of PyTorch's own parts, at their first use.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node:UserWarning"),
]

VECTORS = st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=3)


def cube_sum(x: Any) -> Any:
    return (x * x * x).sum()


def two_of_two(a: Any, b: Any) -> Any:
    return a * a * b, (a * b).sum()


@pytest.fixture
def functional(torch_like: Any) -> Any:
    return torch_like.autograd.functional


@pytest.fixture
def func(torch_like: Any) -> Any:
    return importlib.import_module(f"{torch_like.__name__}.func")


@given(x=VECTORS)
@pytest.mark.catalogue("FN01", priority=3)
def test_rows_of_the_jacobian_are_products_with_one_hot_vectors(torch_like: Any, x: list[float]) -> None:
    a, b = torch_like.tensor(x), torch_like.tensor(x) + 1
    blocks = torch_like.autograd.functional.jacobian(two_of_two, (a, b))
    assert [[tuple(block.shape) for block in row] for row in blocks] == [[(len(x),) * 2] * 2, [(len(x),)] * 2]
    for i in range(len(x)):
        hot = torch_like.zeros(len(x))
        hot[i] = 1.0
        _, row = torch_like.autograd.functional.vjp(two_of_two, (a, b), (hot, torch_like.tensor(0.0)))
        assert_equal(blocks[0][0][i], values(row[0]))
        assert_equal(blocks[0][1][i], values(row[1]))


@pytest.mark.catalogue("FN01", priority=3)
def test_the_jacobian_nests_as_inputs_and_outputs_do_and_is_zero_where_independent(
    torch_like: Any, functional: Any
) -> None:
    x, w = torch_like.ones(2), torch_like.ones(3)
    assert_equal(functional.jacobian(lambda x: x * x, x), [[2.0, 0.0], [0.0, 2.0]])
    ((block,),) = functional.jacobian(lambda x: (x * x,), (x,))
    assert_equal(block, [[2.0, 0.0], [0.0, 2.0]])
    _, independent = functional.jacobian(lambda x, w: x.sum(), (x, w))
    assert_equal(independent, [0.0] * 3)
    for strategy in ({"vectorize": True}, {"vectorize": True, "strategy": "forward-mode"}):
        assert_equal(functional.jacobian(lambda x: x * x, x, **strategy), [[2.0, 0.0], [0.0, 2.0]])


@pytest.mark.catalogue("FN02", priority=3)
def test_the_hessian_is_symmetric_and_wants_a_single_element(torch_like: Any, functional: Any) -> None:
    a, b = torch_like.tensor([1.0, 2.0]), torch_like.tensor([3.0, -1.0])
    assert_equal(functional.hessian(cube_sum, a), [[6.0, 0.0], [0.0, 12.0]])
    (aa, ab), (ba, bb) = functional.hessian(lambda a, b: (a * a * b).sum(), (a, b))
    assert_equal(aa, [[6.0, 0.0], [0.0, -2.0]])
    assert_equal(ab, values(ba).T)
    assert_equal(bb, [[0.0, 0.0], [0.0, 0.0]])
    with pytest.raises(RuntimeError, match="should contain a single element"):
        functional.hessian(lambda x: x * x, a)
    with pytest.raises(RuntimeError, match="should return a single Tensor"):
        functional.hessian(lambda x: (x.sum(), x.sum()), a)


@given(x=VECTORS, seed=st.integers(0, 99))
@pytest.mark.catalogue("FN03", priority=3)
def test_forward_and_reverse_products_are_dual(torch_like: Any, x: list[float], seed: int) -> None:
    functional = torch_like.autograd.functional
    a, u = torch_like.tensor(x), torch_like.tensor([float((seed * k) % 7 - 3) for k in range(len(x))])
    v = torch_like.tensor([float((seed + 3 * k) % 5 - 2) for k in range(len(x))])
    y, forward = functional.jvp(lambda a: a * a * 2, a, u)
    z, reverse = functional.vjp(lambda a: a * a * 2, a, v)
    assert_equal(y, values(z))
    assert_equal((v * forward).sum(), float((reverse * u).sum()))


@pytest.mark.catalogue("FN03", priority=3)
def test_a_missing_or_unfit_vector_is_refused(torch_like: Any, functional: Any) -> None:
    x = torch_like.ones(3)
    assert_equal(functional.vjp(cube_sum, x)[1], [3.0] * 3)
    with pytest.raises(RuntimeError, match="The vector v can only be None if the user-provided function returns"):
        functional.vjp(lambda x: x * 2, x)
    with pytest.raises(RuntimeError, match="The vector v can only be None if the input to the user-provided function"):
        functional.jvp(cube_sum, x)
    for name in ("vjp", "jvp"):
        with pytest.raises(RuntimeError, match="v has invalid size"):
            getattr(functional, name)(lambda x: x * 2, x, torch_like.ones(2))
        with pytest.raises(RuntimeError, match="The given v should contain a single Tensor"):
            getattr(functional, name)(lambda x: x * 2, x, (x, x))
        with pytest.raises(RuntimeError, match="v is a tuple of invalid length: should be 1 but got 2"):
            getattr(functional, name)(lambda x: (x * 2,), (x,), (x, x))


@given(x=VECTORS)
@pytest.mark.catalogue("FN04", priority=3)
def test_both_products_with_the_hessian_agree(torch_like: Any, x: list[float]) -> None:
    functional = torch_like.autograd.functional
    a, v = torch_like.tensor(x), torch_like.ones(len(x))
    left, right = functional.vhp(cube_sum, a, v)[1], functional.hvp(cube_sum, a, v)[1]
    assert_equal(left, [6 * t for t in x])
    assert_equal(right, values(left))
    assert_equal(functional.vhp(cube_sum, a, v)[0], sum(t**3 for t in x))


@pytest.mark.parametrize("name", ["vjp", "jvp", "vhp", "hvp", "jacobian", "hessian"])
@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.catalogue("FN05", priority=3)
def test_the_inputs_are_as_before(torch_like: Any, functional: Any, name: str, create_graph: bool) -> None:
    x, w = torch_like.ones(2, requires_grad=True), torch_like.ones(2)
    before = snapshot(x, w)
    arguments = () if name in ("jacobian", "hessian", "vjp") else ((w, w),)
    found = getattr(functional, name)(lambda x, w: (x * x * w * w).sum(), (x, w), *arguments, create_graph=create_graph)
    assert_untouched(before, x, w)
    while isinstance(found, tuple):
        found = found[-1]
    assert found.requires_grad is create_graph


@pytest.mark.parametrize(
    ("call", "phrase"),
    [
        (lambda f, x: f.jacobian(lambda x: x.detach() * 2, x, strict=True), "does not require gradients"),
        (lambda f, x: f.jacobian(lambda a, b: a * 2, (x, x), strict=True), "is independent of input 1"),
        (lambda f, x: f.vjp(lambda a, b: a.sum(), (x, x), strict=True), "is independent of input 1"),
        (lambda f, x: f.jvp(lambda a, b: a * 2, (x, x), (x, x), strict=True), "is independent of input 1"),
        (lambda f, x: f.hessian(lambda a: (a * 3).sum(), x, strict=True), "independent of the input"),
        (lambda f, x: f.vhp(lambda a: (a * 3).sum(), x, x, strict=True), "independent of the input"),
        (lambda f, x: f.hvp(lambda a: (a * 3).sum(), x, x, strict=True), "independent of the input"),
        (lambda f, x: f.jacobian(lambda a: a * 3, x, strict=True, create_graph=True), "when create_graph=True"),
    ],
)
@pytest.mark.catalogue("FN06", priority=3)
def test_strict_refuses_what_is_independent(torch_like: Any, functional: Any, call: Any, phrase: str) -> None:
    with pytest.raises(RuntimeError, match=phrase):
        call(functional, torch_like.ones(2))


@pytest.mark.catalogue("FN06", priority=3)
def test_inputs_and_outputs_are_tensors_or_tuples_of_them(torch_like: Any, functional: Any) -> None:
    x = torch_like.ones(2)
    for function, inputs in ((lambda x: 3.0, x), (lambda x: (x, "y"), x), (lambda x: x, [x]), (lambda x: x, (x, 2))):
        with pytest.raises(TypeError, match="must be either a Tensor or a tuple of Tensors"):
            functional.jacobian(function, inputs)


@pytest.mark.catalogue("FN07", priority=3)
def test_func_grad_wants_a_scalar_and_nests(torch_like: Any, func: Any) -> None:
    x, s = torch_like.tensor([1.0, 2.0]), torch_like.tensor(2.0)
    assert_equal(func.grad(cube_sum)(x), [3.0, 12.0])
    assert_equal(func.grad(func.grad(func.grad(cube_sum)))(s), 6.0)
    assert not func.grad(cube_sum)(x).requires_grad
    with pytest.raises(RuntimeError, match=r"Expected f\(\*args\) to return a scalar Tensor"):
        func.grad(lambda x: x * 2)(x)
    gradient, (value, aux) = func.grad_and_value(lambda x: (cube_sum(x), x * 2), has_aux=True)(x)
    assert_equal(gradient, [3.0, 12.0])
    assert_equal(value, 9.0)
    assert_equal(aux, [2.0, 4.0])


@pytest.mark.catalogue("FN07", priority=3)
def test_func_takes_argnums_and_nested_arguments(torch_like: Any, func: Any) -> None:
    x, w = torch_like.tensor([1.0, 2.0]), torch_like.tensor([3.0, 4.0])
    both = func.grad(lambda x, w: (x * w).sum(), argnums=(1, 0))(x, w)
    assert [values(g).tolist() for g in both] == [[1.0, 2.0], [3.0, 4.0]]
    found = func.grad(lambda p: (p["a"] * p["b"][0]).sum())({"a": x, "b": [w]})
    assert_equal(found["a"], [3.0, 4.0])
    assert_equal(found["b"][0], [1.0, 2.0])
    with pytest.raises(RuntimeError, match="Got argnum=2, but only 2 positional inputs"):
        func.grad(lambda x, w: (x * w).sum(), argnums=2)(x, w)


@pytest.mark.catalogue("FN07", priority=3)
def test_func_vjp_may_be_called_again_and_jvp_is_its_dual(torch_like: Any, func: Any) -> None:
    x, t = torch_like.tensor([1.0, 2.0]), torch_like.tensor([1.0, -1.0])
    y, pull_back = func.vjp(lambda x: x * x, x)
    for _ in range(2):
        (found,) = pull_back(t)
        assert_equal(found, [2.0, -4.0])
    z, forward = func.jvp(lambda x: x * x, (x,), (t,))
    assert_equal(z, values(y))
    assert_equal(forward, [2.0, -4.0])
    with pytest.raises(RuntimeError, match="Expected primals to be a tuple"):
        func.jvp(lambda x: x * x, x, t)


@pytest.mark.catalogue("FN07", priority=3)
def test_func_jacobians_by_rows_and_columns_agree(torch_like: Any, func: Any) -> None:
    x, w = torch_like.tensor([1.0, 2.0]), torch_like.tensor([3.0, 4.0])
    function = lambda x, w: (x * x * w, {"s": (x * w).sum()})
    rows, columns = (getattr(func, name)(function, argnums=(0, 1))(x, w) for name in ("jacrev", "jacfwd"))
    for i in range(2):
        assert_equal(rows[0][i], values(columns[0][i]))
        assert_equal(rows[1]["s"][i], values(columns[1]["s"][i]))
    assert_equal(rows[0][0], [[6.0, 0.0], [0.0, 16.0]])
    assert_equal(func.hessian(cube_sum)(x), [[6.0, 0.0], [0.0, 12.0]])


@pytest.mark.catalogue("FN07", priority=3)
def test_func_results_stay_connected_to_what_was_outside(torch_like: Any, func: Any) -> None:
    x, w = torch_like.tensor([1.0, 2.0]), torch_like.tensor([3.0, 4.0], requires_grad=True)
    found = func.grad(lambda x: (x * x * w).sum())(x)
    assert_equal(found, [6.0, 16.0])
    assert_equal(torch_like.autograd.grad(found.sum(), w)[0], [2.0, 4.0])
    assert_equal(torch_like.autograd.grad(func.grad(cube_sum)(w).sum(), w)[0], [18.0, 24.0])
    with torch_like.no_grad():
        assert not func.grad(cube_sum)(w).requires_grad


def test_arguments_that_func_refuses(torch_like: Any) -> None:
    func, x = torch_like.func, torch_like.tensor([1.0, 2.0])
    with pytest.raises(RuntimeError, match=r"argnums elements must be unique, got \(0, 0\)"):
        func.grad(lambda a, b: (a * b).sum(), argnums=(0, 0))(x, x)
    with pytest.raises(RuntimeError, match="argnums must be int or Tuple"):
        func.grad(lambda a: a.sum(), argnums="a")(x)
    with pytest.raises(RuntimeError, match="Expected primals to contain at least one Tensor"):
        func.jvp(lambda a: a, (), ())
    with pytest.raises(ValueError, match="`chunk_size` should be greater than 0"):
        func.jacrev(lambda a: a, chunk_size=0)
    assert_equal(func.jacrev(lambda a: a * a, chunk_size=1)(x), [[2.0, 0.0], [0.0, 4.0]])
