"""`einsum`, `tensordot`, `addmm` and the other products take and give what PyTorch's do, gradients and errors included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from suites.api_twins import differences, whole

EQUATIONS: list[tuple[str, list[Any]]] = [
    ("ij,jk->ik", [(2, 3), (3, 4)]),
    ("ij,jk", [(2, 3), (3, 4)]),
    ("Ba,aC", [(2, 3), (3, 2)]),
    ("i j , j k -> i k", [(2, 3), (3, 4)]),
    ("ii->i", [(3, 3)]),
    ("ii", [(3, 3)]),
    ("iij->ji", [(3, 3, 2)]),
    ("aab,bcc->ac", [(2, 2, 3), (3, 2, 2)]),
    ("ij->", [(2, 3)]),
    ("ij->ji", [(2, 3)]),
    ("i,j->ij", [(2,), (3,)]),
    ("i,i->i", [(3,), (3,)]),
    ("i,i", [(3,), (3,)]),
    (",i->i", [(), (3,)]),
    ("ij,ij->j", [(2, 3), (2, 3)]),
    ("ij,ij->j", [(1, 3), (2, 3)]),
    ("ij,jk->ik", [(2, 1), (3, 4)]),
    ("bij,bjk->bik", [(2, 2, 3), (2, 3, 2)]),
    ("...ij,...jk->...ik", [(2, 1, 2, 3), (4, 3, 2)]),
    ("i...->...", [(2, 3, 4)]),
    ("...i->i...", [(2, 3, 4)]),
    ("...,...->...", [(2, 3), (3,)]),
    ("ij,kj,kl->il", [(2, 3), (4, 3), (4, 2)]),
    ("bi,bj,bk->ijk", [(2, 2), (2, 3), (2, 2)]),
    ("ij,jk->ik", [(2, 0), (0, 3)]),
    ("ij,ij", [(0, 3), (0, 3)]),
    ("ij->k", [(2, 3)]),
    ("ij", [(2,)]),
    ("ij,jk", [(2, 3), (4, 2)]),
    ("ij,jk", [(2, 3)]),
]


@pytest.mark.parametrize(("equation", "shapes"), EQUATIONS)
def test_einsum_is_pytorchs(equation: str, shapes: list[Any]) -> None:
    assert differences(lambda m, *xs: m.einsum(equation, *xs), whole(shapes)) == []
    assert differences(lambda m, *xs: m.einsum(equation, list(xs)), whole(shapes), "float32") == []


def test_einsum_takes_lists_of_dimensions() -> None:
    assert differences(lambda m, a, b: m.einsum(a, [0, 1], b, [1, 2], [0, 2]), whole([(2, 3), (3, 2)])) == []
    assert differences(lambda m, a, b: m.einsum(a, [..., 0, 1], b, [..., 1, 2]), whole([(2, 2, 3), (3, 2)])) == []


CALLS: list[tuple[str, list[Any], tuple[Any, ...], dict[str, Any]]] = [
    *(
        ("tensordot", shapes, (dims,), {})
        for dims, shapes in (
            (2, [(2, 3, 4), (3, 4, 2)]),
            (1, [(2, 3), (3, 2)]),
            (0, [(2,), (3,)]),
            (([0, 2], [1, 0]), [(2, 3, 4), (4, 2)]),
            (([-1], [-1]), [(2, 3), (4, 3)]),
            (([0], [0]), [(3, 2), (1, 2)]),
            (2, [(2, 3), (3, 2)]),
        )
    ),
    *(
        ("inner", shapes, (), {})
        for shapes in ([(3,), (3,)], [(2, 3), (4, 3)], [(), (2, 3)], [(2, 2, 3), (2, 3)], [(2, 3), (2,)])
    ),
    *(
        ("kron", shapes, (), {})
        for shapes in ([(2,), (3,)], [(2, 3), (2, 2)], [(2,), (2, 2)], [(), (2,)], [(2, 1, 2), (3, 2)])
    ),
    *(("bmm", shapes, (), {}) for shapes in ([(2, 2, 3), (2, 3, 2)], [(2, 2, 3), (1, 3, 2)], [(2, 3), (3, 2)])),
    ("cross", [(3, 2), (3, 2)], (), {"dim": 0}),
    ("cross", [(3, 3), (3, 3)], (), {"dim": 1}),
    ("cross", [(2, 2), (2, 2)], (), {}),
    ("linalg.cross", [(2, 1, 3), (2, 4, 3)], (), {}),
    ("linalg.cross", [(2, 3), (3,)], (), {}),
    *(("linalg.vecdot", [(2, 3, 4), (2, 3, 4)], (), {"dim": d}) for d in range(-3, 3)),
    ("linalg.vecdot", [(2, 3, 4), (2, 1, 4)], (), {"dim": 0}),
    ("linalg.vecdot", [(2, 3, 4), (3, 1)], (), {"dim": -2}),
    ("linalg.vecdot", [(2, 3), (2,)], (), {}),
    ("vdot", [(3,), (3,)], (), {}),
    ("cdist", [(2, 3, 2), (4, 2)], (), {"p": 1.0}),
    ("cdist", [np.array([[1.0, 2.0]]), np.array([[1.0, 2.0]])], (), {}),  # 0 at distance 0
    ("cdist", [(2, 3), (4, 2)], (), {}),
    ("cdist", [(2, 3), (4, 3)], (0.0,), {}),
    ("cdist", [(2, 3), (4, 3)], (-1.0,), {}),
    ("cdist", [(2, 3), (4, 3)], (1.0, "donot_use_mm_for_euclid_dist"), {}),
    ("cdist", [(2, 3), (4, 3)], (), {"compute_mode": "quickly"}),
    ("nn.functional.linear", [(2, 3), (4, 3), (4,)], (), {}),
    ("nn.functional.linear", [(3,), (4, 3)], (), {}),
    ("nn.functional.linear", [(2, 2, 3), (3,)], (), {}),
    ("nn.functional.linear", [(2, 3), (4, 2)], (), {}),
    ("nn.functional.bilinear", [(2, 2), (2, 3), (4, 2, 3), (4,)], (), {}),
    ("nn.functional.bilinear", [(2, 2, 2), (2, 2, 3), (1, 2, 3)], (), {}),
]


def named(module: Any, path: str) -> Any:
    for part in path.split("."):
        module = getattr(module, part)
    return module


@pytest.mark.parametrize(("name", "shapes", "args", "keywords"), CALLS)
def test_a_product_is_pytorchs(name: str, shapes: list[Any], args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
    assert differences(lambda m, *xs: named(m, name)(*xs, *args, **keywords), whole(shapes)) == []


@pytest.mark.parametrize("scale", [{}, {"beta": 0, "alpha": 1}, {"beta": 2, "alpha": 3}, {"alpha": 0.5}])
@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("addmm", [(2, 2), (2, 3), (3, 2)]),
        ("addmm", [(2,), (2, 3), (3, 2)]),
        ("addmm", [(), (2, 3), (3, 2)]),
        ("addmm", [(2, 1), (2, 3), (3, 2)]),
        ("addmm", [(3,), (2, 3), (3, 2)]),
        ("addmm", [(1, 2, 2), (2, 3), (3, 2)]),
        ("addmv", [(2,), (2, 3), (3,)]),
        ("addmv", [(1,), (2, 3), (3,)]),
        ("addr", [(3,), (2,), (3,)]),
        ("baddbmm", [(2, 2, 2), (2, 2, 3), (2, 3, 2)]),
        ("baddbmm", [(2,), (2, 2, 3), (2, 3, 2)]),
        ("addbmm", [(2,), (2, 2, 3), (2, 3, 2)]),
    ],
)
def test_what_is_added_to_a_product_is_scaled_and_broadcast(
    name: str, shapes: list[Any], scale: dict[str, Any]
) -> None:
    assert differences(lambda m, *xs: getattr(m, name)(*xs, **scale), whole(shapes)) == []
    assert differences(lambda m, x, *xs: getattr(x, name)(*xs, **scale), whole(shapes), "float32") == []


def test_a_nan_that_is_scaled_by_zero_stays_out_of_the_sum() -> None:
    arrays = [np.full((2, 2), np.nan), *whole([(2, 3), (3, 2)])]
    assert differences(lambda m, *xs: m.addmm(*xs, beta=0), arrays) == []


@pytest.mark.parametrize(
    "shapes",
    [
        [(2, 3), (3, 2)],
        [(3,), (3, 2), (2,)],
        [(2, 3), (3,)],
        [(5, 2), (2, 5), (5, 3), (3, 1)],
        [(2, 3)],
        [(2, 3), (2, 3)],
    ],
)
def test_a_chain_of_matrices_is_pytorchs(shapes: list[Any]) -> None:
    assert differences(lambda m, *xs: m.linalg.multi_dot(xs), whole(shapes)) == []


def test_a_planted_difference_is_seen() -> None:
    def wrong(module: Any, a: Any, b: Any) -> Any:
        return module.einsum("ij,jk->ik" if module.__name__ == "torch" else "ij,kj->ik", a, b)

    assert [line.split(":")[0] for line in differences(wrong, whole([(3, 3), (3, 3)]))] == [
        "value",
        "gradient 0",
        "gradient 1",
    ]
