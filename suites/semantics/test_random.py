"""Random tensors: shapes, dtypes, ranges, seeds and generators; the numbers themselves are nobody's promise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from .support import assert_equal, values


def test_a_seed_gives_the_same_numbers_again(torch_like: Any) -> None:
    draws = []
    for _ in range(2):
        torch_like.manual_seed(5)
        g = torch_like.Generator().manual_seed(7)
        assert g.initial_seed() == 7
        draws.append(
            [
                torch_like.rand(3),
                torch_like.randn(2, 2),
                torch_like.randint(10, (4,)),
                torch_like.randperm(6),
                torch_like.rand(3, generator=g),
                torch_like.normal(0.0, 1.0, (2,), generator=g),
                torch_like.bernoulli(torch_like.full((5,), 0.5), generator=g),
                torch_like.multinomial(torch_like.ones(4), 2, generator=g),
            ]
        )
    for one, other in zip(*draws, strict=True):
        assert_equal(one, values(other))


def test_a_generator_leaves_the_others_alone(torch_like: Any) -> None:
    torch_like.manual_seed(1)
    expected = values(torch_like.rand(3))
    torch_like.manual_seed(1)
    torch_like.rand(10, generator=torch_like.Generator().manual_seed(1))
    assert_equal(torch_like.rand(3), expected)


def test_what_is_drawn(torch_like: Any) -> None:
    assert sorted(values(torch_like.randperm(50)).tolist()) == list(range(50))
    n = torch_like.randint(3, 6, (200,))
    assert n.dtype is torch_like.int64 and set(values(n).tolist()) == {3, 4, 5}
    assert set(values(torch_like.randint_like(torch_like.zeros(200), 2)).tolist()) == {0.0, 1.0}
    far = torch_like.normal(torch_like.tensor([0.0, 1e6]), torch_like.tensor([0.0, 1.0]))
    assert values(far)[0] == 0 and values(far)[1] > 9e5
    assert torch_like.normal(torch_like.zeros(3, dtype=torch_like.float64), 2.0).dtype is torch_like.float64
    p = torch_like.bernoulli(torch_like.tensor([0.0, 1.0, 1.0]))
    assert_equal(p, [0.0, 1.0, 1.0])
    picks = values(torch_like.multinomial(torch_like.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]]), 50, replacement=True))
    assert picks.shape == (2, 50) and set(picks[0]) == {1, 2} and set(picks[1]) == {0}
    assert set(values(torch_like.multinomial(torch_like.tensor([1.0, 0.0, 2.0]), 2)).tolist()) == {0, 2}
    assert torch_like.rand(2, requires_grad=True).is_leaf and torch_like.randn(3, dtype=torch_like.float64).shape == (
        3,
    )
    assert np.all(values(torch_like.rand(100)) < 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda t: t.multinomial(t.tensor([0.0, 0.0]), 1),
        lambda t: t.multinomial(t.tensor([1.0, -1.0]), 1),
        lambda t: t.multinomial(t.tensor([1.0, 1.0]), 3),
        lambda t: t.multinomial(t.ones(2, 2, 2), 1),
        lambda t: t.bernoulli(t.tensor([1.5])),
        lambda t: t.normal(t.zeros(2), -1.0),
        lambda t: t.randint(3, 3, (2,)),
    ],
)
def test_what_cannot_be_drawn(torch_like: Any, call: Any) -> None:
    with pytest.raises(RuntimeError):
        call(torch_like)
