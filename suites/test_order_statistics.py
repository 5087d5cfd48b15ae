"""Quantiles take and give what PyTorch's do, gradients in the elements and in the place included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from suites.api_twins import differences

ROWS = np.array([[3.0, -1.0, 4.0, 8.0, -6.0], [2.0, 7.0, np.nan, -8.0, 5.0]])


@pytest.mark.parametrize("name", ["quantile", "nanquantile"])
@pytest.mark.parametrize("interpolation", ["linear", "lower", "higher", "midpoint", "nearest"])
@pytest.mark.parametrize("q", [np.array(0.5), np.array(0.3125), np.array([0.0, 0.875, 1.0])])
@pytest.mark.parametrize("keywords", [{}, {"dim": 1}, {"dim": 0, "keepdim": True}])
def test_a_quantile_and_its_gradients_are_pytorchs(
    name: str, interpolation: str, q: Any, keywords: dict[str, Any]
) -> None:
    def call(module: Any, x: Any, q: Any) -> Any:
        return getattr(module, name)(x, q, interpolation=interpolation, **keywords)

    assert differences(call, [ROWS, q]) == []
    assert differences(call, [ROWS[:1], q], "float32") == []


def test_a_planted_gradient_is_seen() -> None:
    def call(module: Any, x: Any, q: Any) -> Any:
        return module.quantile(x, q.detach() if module.__name__ == "torch" else q)

    assert any(text.startswith("gradient 1") for text in differences(call, [ROWS[0], np.array(0.3)], rounds=True))
