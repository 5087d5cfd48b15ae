"""Dive into Deep Learning, section 2.5: its PyTorch cells run unchanged and print PyTorch's results.

Each cell below is the text of the lesson, `import torch` apart: there the framework under test takes the name. The
cells run in order in one namespace, as in a notebook, and the value of a cell's last expression is compared as printed.

Source: https://d2l.ai/chapter_preliminaries/autograd.html
"""

from __future__ import annotations

import ast
import importlib
from types import ModuleType
from typing import Any

import numpy as np
import pytest

FUNCTION_OF_CONTROL_FLOW = """
def f(a):
    b = a * 2
    while b.norm() < 1000:
        b = b * 2
    if b.sum() > 0:
        c = b
    else:
        c = 100 * b
    return c
"""

# name, text, what the last expression prints ("" where it ends in a statement)
CELLS = [
    ("T1", "import torch", ""),
    ("T2", "x = torch.arange(4.0)\nx", "tensor([0., 1., 2., 3.])"),
    ("T3", "x.requires_grad_(True)  # Better create `x = torch.arange(4.0, requires_grad=True)`\nx.grad", "None"),
    ("T4", "y = 2 * torch.dot(x, x)\ny", "tensor(28., grad_fn=<MulBackward0>)"),
    ("T5", "y.backward()\nx.grad", "tensor([ 0.,  4.,  8., 12.])"),
    ("T6", "x.grad == 4 * x", "tensor([True, True, True, True])"),
    ("T7", "x.grad.zero_()  # Reset the gradient\ny = x.sum()\ny.backward()\nx.grad", "tensor([1., 1., 1., 1.])"),
    (
        "T8",
        "x.grad.zero_()\ny = x * x\ny.backward(gradient=torch.ones(len(y)))  # Faster: y.sum().backward()\nx.grad",
        "tensor([0., 2., 4., 6.])",
    ),
    (
        "T9",
        "x.grad.zero_()\ny = x * x\nu = y.detach()\nz = u * x\n\nz.sum().backward()\nx.grad == u",
        "tensor([True, True, True, True])",
    ),
    ("T10", "x.grad.zero_()\ny.sum().backward()\nx.grad == 2 * x", "tensor([True, True, True, True])"),
    ("T11", FUNCTION_OF_CONTROL_FLOW, ""),
    ("T12", "a = torch.randn(size=(), requires_grad=True)\nd = f(a)\nd.backward()", "None"),
    ("T13", "a.grad == d / a", "tensor(True)"),
]


@pytest.fixture(params=["reference_impl", "torch"])
def framework(request: pytest.FixtureRequest) -> ModuleType:
    if request.param == "torch":
        return pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'adjudge[torch]'")
    return importlib.import_module(request.param)


def run_cell(source: str, names: dict[str, Any]) -> str:
    """Run a cell as a notebook does; return what its last expression prints, "" if it ends in a statement."""
    body = ast.parse(source).body
    shown = body.pop() if isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, type_ignores=[]), "<cell>", "exec"), names)
    return "" if shown is None else repr(eval(compile(ast.Expression(shown.value), "<cell>", "eval"), names))


def run_lesson(framework: ModuleType, **replaced: str) -> list[tuple[str, str]]:
    """Run all cells, some of them in another spelling; return the name and the printed result of each."""
    names: dict[str, Any] = {}
    printed = []
    for name, source, _ in CELLS:
        text = replaced.get(name, source)
        if name == "T1":
            text = f"import {framework.__name__} as torch"
        printed.append((name, run_cell(text, names)))
    return printed


def expected() -> list[tuple[str, str]]:
    return [(name, result) for name, _, result in CELLS]


@pytest.fixture
def positive_randn(framework: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw a from the positive reals: for a negative one d = 100 * b is rounded, and T13 may print False by one ulp."""
    draw = framework.randn

    def randn(*args: Any, **options: Any) -> Any:
        requires_grad = options.pop("requires_grad", False)
        return draw(*args, **options).abs().add(0.125).requires_grad_(requires_grad)

    monkeypatch.setattr(framework, "randn", randn)


@pytest.mark.usefixtures("positive_randn")
def test_every_cell_prints_what_the_lesson_prints(framework: ModuleType) -> None:
    assert run_lesson(framework) == expected()


@pytest.mark.usefixtures("positive_randn")
@pytest.mark.parametrize(
    ("cell", "source"),
    [
        ("T3", "x = torch.arange(4.0, requires_grad=True)\nx.grad"),
        ("T8", "x.grad.zero_()\ny = x * x\ny.sum().backward()\nx.grad"),
    ],
)
def test_the_spelling_in_the_comment_prints_the_same(framework: ModuleType, cell: str, source: str) -> None:
    assert run_lesson(framework, **{cell: source}) == expected()


@pytest.mark.parametrize("seed", range(5))
def test_the_gradient_of_control_flow_is_d_over_a_for_any_normal_draw(framework: ModuleType, seed: int) -> None:
    # In float64 the rounding of 100 * b is 2**-53 of d: compare the float32 numbers that both sides round to.
    names: dict[str, Any] = {}
    exec(FUNCTION_OF_CONTROL_FLOW, names)
    framework.manual_seed(seed)
    a = framework.randn(size=(), requires_grad=True, dtype=framework.float64)
    d = names["f"](a)
    d.backward()
    assert np.float32(float(a.grad)) == np.float32(float(d.detach()) / float(a.detach()))


def test_gradient_buffers_are_not_reset_by_backward(framework: ModuleType) -> None:
    x = framework.arange(4.0, requires_grad=True)
    for total in ("[0., 2., 4., 6.]", "[ 0.,  4.,  8., 12.]"):
        (x * x).sum().backward()
        assert repr(x.grad) == f"tensor({total})"


def test_u_has_no_ancestors_in_the_graph(framework: ModuleType) -> None:
    x = framework.arange(4.0, requires_grad=True)
    y = x * x
    u = y.detach()
    assert u.grad_fn is None
    assert y.grad_fn is not None


def test_exercise_1_second_derivatives_come_from_create_graph(framework: ModuleType) -> None:
    x = framework.tensor(3.0, requires_grad=True)
    (first,) = framework.autograd.grad(x**3, x, create_graph=True)
    (second,) = framework.autograd.grad(first, x, create_graph=True)
    (third,) = framework.autograd.grad(second, x)
    assert [float(g.detach()) for g in (first, second, third)] == [27.0, 18.0, 6.0]


def test_exercise_2_backward_again_at_once_is_refused(framework: ModuleType) -> None:
    x = framework.arange(4.0, requires_grad=True)
    y = 2 * framework.dot(x, x)
    y.backward()
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.backward()


def test_exercise_2_backward_of_a_sum_again_adds_once_more(framework: ModuleType) -> None:
    x = framework.arange(4.0, requires_grad=True)
    y = x.sum()
    y.backward()
    y.backward()
    assert repr(x.grad) == "tensor([2., 2., 2., 2.])"


@pytest.mark.parametrize("shape", [(3,), (2, 2)])
def test_exercise_3_f_of_a_vector_or_matrix_needs_a_reduction(framework: ModuleType, shape: tuple[int, ...]) -> None:
    names: dict[str, Any] = {}
    exec(FUNCTION_OF_CONTROL_FLOW, names)
    a = framework.ones(shape, requires_grad=True)
    with pytest.raises(RuntimeError, match="grad can be implicitly created only for scalar outputs"):
        names["f"](a).backward()
    d = names["f"](a)
    d.sum().backward()
    assert bool((a.grad == d / a).all())


def test_exercise_4_the_derivative_of_sin_is_cos(framework: ModuleType) -> None:
    x = framework.linspace(-3.0, 3.0, 61, requires_grad=True)
    y = framework.sin(x)
    y.backward(framework.ones_like(x))
    assert np.array_equal(x.grad.numpy(), framework.cos(x).detach().numpy())


@pytest.mark.parametrize("point", [-2.0, -1.0, -0.5, 0.5, 1.0, 3.0])
def test_exercise_5_the_chain_rule_gives_the_derivative(framework: ModuleType, point: float) -> None:
    x = framework.tensor(point, dtype=framework.float64, requires_grad=True)
    (framework.log(x * x) * framework.sin(x) + 1 / x).backward()
    log, sin, cos = np.log(point**2), np.sin(point), np.cos(point)
    # Written in the order of the chain rule, rounding can differ in the last bits of the largest term.
    unit = np.spacing(max(abs(2 * sin / point), abs(log * cos), 1 / point**2))
    assert abs(float(x.grad) - (2 * sin / point + log * cos - 1 / point**2)) <= 4 * unit


def test_exercise_8_rows_of_the_jacobian_are_products_with_unit_vectors(framework: ModuleType) -> None:
    x = framework.tensor([1.0, 2.0], requires_grad=True)
    y = x.unsqueeze(1) * framework.tensor([1.0, 10.0, 100.0]) * x.sum()
    rows = []
    for k in range(6):
        unit = framework.zeros(6)
        unit[k] = 1.0
        (row,) = framework.autograd.grad(y, x, unit.reshape(2, 3), retain_graph=True)
        rows.append(row.numpy())
    scale = np.array([1.0, 10.0, 100.0])
    wanted = [[(a == j) * s * 3 + (a + 1) * s for j in range(2)] for a in range(2) for s in scale]
    assert np.array_equal(np.stack(rows), np.array(wanted))
