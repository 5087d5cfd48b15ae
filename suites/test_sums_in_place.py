"""Backward adds cotangents up in place where nobody else holds them; that changes no bit of a gradient and no other array."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import reference_impl as tape
from harness import backends
from harness.backends.reference import OPS
from harness.cases import Case
from harness.generation import random_program
from harness.judgement import agree_exactly
from harness.points import point
from reference_impl import engine
from reference_impl.primitives import PRIMITIVES

REFERENCE = backends.get("reference")
EVALUATE = functools.partial(backends.straighten, ops=OPS)


def cases(seed: int, count: int = 60) -> Iterator[Case]:
    rng = random.Random(seed)
    for k in range(count):
        yield point(random_program(rng, max_instrs=10, max_inputs=2), seed=k)


def differences(monkeypatch: pytest.MonkeyPatch, is_private: Callable[[Any], bool]) -> int:
    """On how many cases gradients depend on whether sums are made in the arrays that `is_private` names."""
    found = 0
    monkeypatch.setattr(engine, "LARGE", 0)
    for case in cases(5):
        monkeypatch.setattr(engine, "is_private", lambda part: False)
        plain = REFERENCE.prepare(case)()
        monkeypatch.setattr(engine, "is_private", is_private)
        found += bool(agree_exactly(plain, REFERENCE.prepare(case)()))
    return found


def test_sums_in_place_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert differences(monkeypatch, engine.is_private) == 0


def test_writing_to_an_array_that_others_hold_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert differences(monkeypatch, lambda part: type(part) is np.ndarray and part.flags.writeable) > 0


@pytest.mark.parametrize("hold", ["a second name", "a dict", "a tuple", "a view"])
def test_an_array_that_something_else_holds_is_not_private(hold: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LARGE", 0)
    array = np.zeros(3)
    if hold == "a second name":
        other = array
        assert other is array
    elif hold == "a dict":
        held = {1: array}
        assert held
    elif hold == "a tuple":
        kept = (array,)
        assert kept
    else:
        array = array[:]
    assert not engine.is_private(array)


def test_an_array_of_one_name_is_private(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LARGE", 0)
    array = np.zeros(3)
    assert engine.is_private(array)


def shared() -> int:
    """How many gradients of leaves of drawn programs share memory with something else."""
    found = 0
    for case in cases(6):
        leaves = [tape.Tensor(x.copy()) for x in case.primals]
        for leaf, wants in zip(leaves, case.requires_grad, strict=True):
            leaf.requires_grad_(wants)
        outputs = EVALUATE(case.program)(leaves)
        pairs = [(y, tape.Tensor(ct.copy())) for y, ct in zip(outputs, case.cotangents, strict=True) if ct is not None]
        pairs = [(y, ct) for y, ct in pairs if y.requires_grad]
        if not pairs:
            continue
        tape.autograd.backward([y for y, _ in pairs], [ct for _, ct in pairs])
        grads = [leaf.grad.array for leaf in leaves if leaf.grad is not None]
        others = [*(leaf.array for leaf in leaves), *(y.array for y in outputs), *(ct.array for _, ct in pairs)]
        for k, g in enumerate(grads):
            found += any(np.shares_memory(g, other) for other in (*others, *grads[:k]))
    return found


def test_gradients_of_leaves_share_no_memory() -> None:
    assert shared() == 0


def test_a_shared_gradient_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    before = engine._accumulate

    def keep(leaf: tape.Tensor, ct: Any, create_graph: bool, *, own: bool) -> None:
        before(leaf, ct, create_graph, own=True)  # whether or not the pass made it

    monkeypatch.setattr(engine, "_accumulate", keep)
    assert shared() > 0


def rows_of_a_matrix() -> tuple[object, object]:
    x = tape.tensor(np.arange(6.0).reshape(3, 2), requires_grad=True)
    v = tape.tensor([1.0, 2.0], dtype=tape.float64)
    (x[0] * v + x[1] * v * 2.0 + x[0] * 3.0 + x[[1, 1, 2]].sum(0)).sum().backward()
    return x.grad.tolist(), v.tolist()


EXPECTED = ([[4.0, 5.0], [4.0, 6.0], [1.0, 1.0]], [1.0, 2.0])


def test_slices_of_one_tensor_add_up() -> None:
    assert rows_of_a_matrix() == EXPECTED


def test_a_wrong_sum_of_slices_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = PRIMITIVES["getitem"].add_into
    assert right is not None

    def twice(total: object, ct: object, *values: object) -> None:
        right(total, ct, *values)
        right(total, ct, *values)

    object.__setattr__(PRIMITIVES["getitem"], "add_into", twice)
    try:
        assert rows_of_a_matrix() != EXPECTED
    finally:
        object.__setattr__(PRIMITIVES["getitem"], "add_into", right)
