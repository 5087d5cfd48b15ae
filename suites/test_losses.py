"""Losses, normalisations and attention take and give what PyTorch's do, gradients and errors included.

Logarithms and roots round, so that two right results may differ by what rounding leaves; that each
is right to its bound is judged on drawn programs like any op.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import reference_impl
from harness.judgement import same_to_rounding
from suites.api_twins import differences

RNG = np.random.default_rng(5)


def drawn(*shape: int, low: float = -2.0, high: float = 2.0) -> Any:
    return RNG.uniform(low, high, shape)


def chance(*shape: int) -> Any:
    return drawn(*shape, low=0.05, high=0.95)


def signs(*shape: int) -> Any:
    return RNG.choice([-1, 1], shape)


X, Y = drawn(3, 4), drawn(3, 4)
CLASSES = np.array([1, 0, 3])
FROM_CLASSES = [
    (X, CLASSES, {}),
    (X, CLASSES, {"reduction": "sum"}),
    (X, np.array([1, -100, 3]), {"reduction": "none"}),
    (X, np.array([1, 2, 3]), {"ignore_index": 2}),
    (X, np.array([2, 2, 2]), {"ignore_index": 2}),
    (X[0], np.array(2), {}),
    (drawn(2, 3, 2, 2), RNG.integers(0, 3, (2, 2, 2)), {}),
    (X, CLASSES, {"reduction": "middle"}),
    (X, np.array([1, 4, 0]), {}),
    (X, np.array([1, 0]), {}),
]
LOSSES: list[tuple[str, list[Any], dict[str, Any]]] = [
    *((name, [X, Y], {"reduction": r}) for name in ("mse_loss", "l1_loss") for r in ("none", "mean", "sum", "middle")),
    *((name, [X, Y], {"weight": "rows"}) for name in ("mse_loss", "l1_loss", "huber_loss")),
    ("smooth_l1_loss", [X, Y], {"beta": 0.5}),
    ("smooth_l1_loss", [X, Y], {"beta": 0.0, "reduction": "sum"}),
    ("smooth_l1_loss", [X, Y], {"beta": -1.0}),
    ("huber_loss", [X, Y], {"delta": 0.75}),
    ("huber_loss", [X, Y], {"delta": 0.0}),
    *(("nll_loss", [x, t], keywords) for x, t, keywords in FROM_CLASSES),
    *(("cross_entropy", [x, t], keywords) for x, t, keywords in FROM_CLASSES),
    *(("cross_entropy", [x, t], {**keywords, "label_smoothing": 0.1}) for x, t, keywords in FROM_CLASSES[:6]),
    *(("cross_entropy", [X, CLASSES], {"weight": "classes", **more}) for more in ({}, {"label_smoothing": 0.2})),
    ("nll_loss", [X, CLASSES], {"weight": "classes", "ignore_index": 0}),
    *(("cross_entropy", [X, chance(3, 4)], {"reduction": r}) for r in ("none", "mean", "sum")),
    ("cross_entropy", [drawn(2, 3, 2), chance(2, 3, 2)], {"label_smoothing": 0.1}),
    ("cross_entropy", [X, CLASSES], {"label_smoothing": 1.5}),
    ("binary_cross_entropy", [chance(3), chance(3)], {}),
    ("binary_cross_entropy", [np.array([0.0, 1.0, 0.0, 1.0]), np.array([1, 1, 0, 0])], {"reduction": "sum"}),
    ("binary_cross_entropy", [chance(3), chance(2)], {}),
    ("binary_cross_entropy", [chance(3), chance(3) + 1], {}),
    ("binary_cross_entropy_with_logits", [X, chance(3, 4)], {"weight": "rows"}),
    ("binary_cross_entropy_with_logits", [X, chance(3, 4)], {"pos_weight": "classes", "reduction": "sum"}),
    ("kl_div", [X, chance(3, 4)], {"reduction": "batchmean"}),
    ("kl_div", [X, Y], {"reduction": "sum", "log_target": True}),
    ("kl_div", [X[0], np.array([0.0, 0.5, 0.25, 0.0])], {"reduction": "sum"}),
    ("poisson_nll_loss", [X, np.abs(Y) * 3], {"full": True}),
    ("poisson_nll_loss", [np.abs(X), np.abs(Y)], {"log_input": False}),
    ("gaussian_nll_loss", [X, Y, np.abs(drawn(3, 4))], {"full": True}),
    ("gaussian_nll_loss", [X, Y, np.abs(drawn(3, 1))], {}),
    ("gaussian_nll_loss", [X, Y, -np.ones((3, 4))], {}),
    ("hinge_embedding_loss", [X, signs(3, 4)], {"margin": 0.5}),
    ("margin_ranking_loss", [X, Y, signs(3, 4)], {"margin": 0.5}),
    ("soft_margin_loss", [X, signs(3, 4)], {}),
    ("cosine_embedding_loss", [X, Y, signs(3)], {"margin": 0.25}),
    ("triplet_margin_loss", [X, Y, drawn(3, 4)], {"swap": True}),
    ("pairwise_distance", [X, Y], {"p": 3.0, "keepdim": True}),
    ("cosine_similarity", [X, Y], {"dim": 0}),
    ("normalize", [X], {"p": 1.0, "dim": 0}),
    ("layer_norm", [X], {"normalized_shape": (4,), "weight": "classes"}),
    ("layer_norm", [drawn(2, 3, 4)], {"normalized_shape": (3, 4), "eps": 0.1}),
    ("layer_norm", [X], {"normalized_shape": (3,)}),
    ("rms_norm", [X], {"normalized_shape": (4,), "weight": "classes"}),
    ("group_norm", [drawn(2, 4, 3)], {"num_groups": 2, "weight": "classes", "bias": "classes"}),
    ("group_norm", [drawn(2, 4, 3)], {"num_groups": 3}),
    ("instance_norm", [drawn(2, 4, 3)], {"weight": "classes"}),
    ("instance_norm", [drawn(2, 4, 1)], {}),
    ("local_response_norm", [drawn(2, 5, 3)], {"size": 3}),
    ("local_response_norm", [drawn(2, 5, 3, 2)], {"size": 2, "alpha": 0.5}),
    ("scaled_dot_product_attention", [drawn(2, 3, 4), drawn(2, 5, 4), drawn(2, 5, 2)], {}),
    ("scaled_dot_product_attention", [drawn(1, 2, 3, 4), drawn(1, 2, 3, 4), drawn(1, 2, 3, 4)], {"is_causal": True}),
    ("scaled_dot_product_attention", [drawn(3, 4), drawn(5, 4), drawn(5, 4)], {"attn_mask": "bools", "scale": 0.25}),
    ("scaled_dot_product_attention", [drawn(3, 4), drawn(5, 4), drawn(5, 4)], {"attn_mask": "floats"}),
    (
        "scaled_dot_product_attention",
        [drawn(1, 4, 3, 4), drawn(1, 2, 5, 4), drawn(1, 2, 5, 4)],
        {"enable_gqa": True},
    ),
    ("dropout", [X], {"p": 0.0}),
    ("dropout", [X], {"p": 0.5, "training": False}),
    ("dropout", [X], {"p": 1.0}),
    ("dropout", [X], {"p": 1.5}),
]
TENSORS = {
    "rows": np.array([[1.0], [2.0], [0.5]]) * np.ones((3, 4)),
    "classes": np.array([0.5, 2.0, 1.0, 0.25]),
    "bools": np.array([[True] * 5, [False] * 5, [True, False, True, False, False]]),
    "floats": np.linspace(-1, 1, 15).reshape(3, 5),
}


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
@pytest.mark.parametrize(("name", "arrays", "keywords"), LOSSES)
def test_a_loss_is_pytorchs(name: str, arrays: list[Any], keywords: dict[str, Any]) -> None:
    def loss(module: Any, *tensors: Any) -> Any:
        tensors = tuple(t.double() for t in tensors) if name == "binary_cross_entropy" else tensors
        given = {k: module.tensor(TENSORS[v]) if v in TENSORS else v for k, v in keywords.items() if v is not None}
        return getattr(module.nn.functional, name)(*tensors, **given)

    assert differences(loss, arrays, rounds=True) == []


def test_a_cosine_is_of_vectors_of_the_common_shape() -> None:
    """PyTorch broadcasts along the dimension of the vectors too: one number stands for all components."""
    x = drawn(1, 2, 3)

    def call(module: Any, x: Any) -> Any:
        return module.nn.functional.cosine_similarity(x, module.tensor([[[3.0]], [[-2.0]]], dtype=x.dtype), dim=-2)

    assert differences(call, [x], rounds=True) == []


def test_batch_norm_in_training_moves_the_running_statistics() -> None:
    x = drawn(4, 3, 2)
    found = []
    for module in (reference_impl, torch):
        mean, var = module.zeros(3, dtype=module.float64), module.ones(3, dtype=module.float64)
        y = module.nn.functional.batch_norm(module.tensor(x), mean, var, training=True, momentum=0.25)
        z = module.nn.functional.batch_norm(module.tensor(x), mean, var, training=False)
        found.append([np.asarray(t.numpy()) for t in (mean, var, y, z)])
    for ours, theirs in zip(*found, strict=True):
        assert same_to_rounding(ours, theirs, 1.0)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        reference_impl.nn.functional.batch_norm(reference_impl.zeros(1, 3), None, None, training=True)


def test_batch_norm_in_use_has_the_gradients_of_its_affine_map() -> None:
    def normed(module: Any, x: Any, w: Any, b: Any) -> Any:
        mean, var = module.tensor([1.0, -2.0]), module.tensor([4.0, 0.25])
        return module.nn.functional.batch_norm(x, mean, var, w, b, eps=0.0)

    assert differences(normed, [drawn(3, 2), drawn(2), drawn(2)], "float32", rounds=True) == []


def test_dropout_keeps_the_share_it_should_and_scales_it() -> None:
    reference_impl.manual_seed(3)
    x = reference_impl.ones(10_000, requires_grad=True)
    y = reference_impl.nn.functional.dropout(x, 0.25)
    y.sum().backward()
    values = set(np.unique(y.detach().numpy()).tolist())
    assert values == {0.0, float(np.float32(1 / 0.75))}
    assert 0.72 < float((y.detach().numpy() != 0).mean()) < 0.78
    assert np.array_equal(x.grad.numpy(), y.detach().numpy())
