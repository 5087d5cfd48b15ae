"""Convolutions, pools and other layers take and give what PyTorch's do, gradients and errors included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from suites.api_twins import differences, whole

CONVOLUTIONS: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("conv1d", [(2, 3, 7), (4, 3, 3), (4,)], {}),
    ("conv1d", [(3, 7), (4, 3, 3)], {"stride": 2}),
    ("conv1d", [(2, 4, 6), (6, 2, 2), (6,)], {"padding": 1, "dilation": 2, "groups": 2}),
    ("conv1d", [(1, 2, 5), (2, 2, 4)], {"padding": "same"}),
    ("conv1d", [(1, 2, 5), (2, 2, 4)], {"padding": "valid"}),
    ("conv1d", [(1, 2, 5), (2, 2, 4)], {"padding": "same", "stride": 2}),
    ("conv1d", [(1, 2, 5), (2, 2, 6)], {}),
    ("conv1d", [(1, 2, 5), (2, 3, 2)], {}),
    ("conv1d", [(2, 5), (2, 3, 2)], {}),
    ("conv1d", [(0, 2, 5), (2, 2, 2)], {}),
    ("conv2d", [(2, 3, 5, 6), (4, 3, 3, 2), (4,)], {}),
    ("conv2d", [(2, 3, 5, 6), (4, 3, 3, 2), (4,)], {"stride": (2, 1), "padding": (1, 2)}),
    ("conv2d", [(2, 4, 7, 6), (4, 1, 2, 3)], {"dilation": (2, 1), "groups": 4, "padding": 1}),
    ("conv2d", [(3, 5, 6), (2, 3, 3, 2), (2,)], {"padding": "same", "dilation": 2}),
    ("conv2d", [(2, 1, 7, 7), (2, 1, 3, 3)], {"stride": 3}),
    ("conv2d", [(1, 1, 7, 7), (2, 1, 3, 3)], {"stride": (1, 2, 3)}),
    ("conv3d", [(1, 2, 4, 3, 4), (2, 2, 2, 2, 3), (2,)], {"stride": (1, 1, 2), "padding": 1}),
    ("conv_transpose1d", [(2, 3, 4), (3, 2, 3), (2,)], {"stride": 2, "padding": 1, "output_padding": 1}),
    ("conv_transpose1d", [(4, 4), (4, 1, 3)], {"groups": 2, "dilation": 2}),
    ("conv_transpose1d", [(2, 3, 4), (3, 2, 3)], {"output_padding": 1}),
    ("conv_transpose2d", [(2, 3, 4, 3), (3, 2, 3, 2), (2,)], {"stride": 2}),
    ("conv_transpose2d", [(1, 2, 2, 3), (2, 2, 3, 2)], {"stride": (3, 2), "output_padding": (2, 1), "groups": 2}),
    ("conv_transpose2d", [(1, 2, 2, 3), (3, 2, 3, 2)], {}),
    ("conv_transpose1d", [(2, 3, 4), (3, 2, 3)], {"dilation": 3, "output_padding": 2}),
    ("conv_transpose1d", [(2, 3, 4), (3, 2, 3)], {"dilation": 4, "output_padding": 3, "padding": 2, "stride": 2}),
    (
        "conv_transpose2d",
        [(1, 2, 2, 3), (2, 2, 3, 2)],
        {"dilation": (1, 4), "output_padding": (0, 3), "padding": (0, 4)},
    ),
]


def functional(module: Any, name: str) -> Any:
    return getattr(module.nn.functional, name)


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # PyTorch's remark on a copy
@pytest.mark.parametrize(("name", "shapes", "keywords"), CONVOLUTIONS)
def test_a_convolution_is_pytorchs(name: str, shapes: list[Any], keywords: dict[str, Any]) -> None:
    for dtype in ("float64", "float32"):
        assert differences(lambda m, *xs: functional(m, name)(*xs, **keywords), whole(shapes), dtype) == []


@pytest.mark.parametrize("name", ["conv2d", "conv_transpose2d"])
def test_the_second_derivatives_of_a_convolution_are_pytorchs(name: str) -> None:
    def hessian_times_ones(module: Any, x: Any, w: Any) -> Any:
        y = functional(module, name)(x, w, stride=2, padding=1)
        grads = module.autograd.grad((y * y).sum(), [x, w], create_graph=True)
        return (grads[0] * grads[0]).sum() + grads[1].sum()

    assert differences(hessian_times_ones, whole([(2, 3, 4, 5), (3, 3, 3, 2)], low=-2, high=2)) == []


POOLS: list[tuple[str, Any, dict[str, Any]]] = [
    ("max_pool1d", (2, 3, 7), {"kernel_size": 3}),
    ("max_pool1d", (2, 7), {"kernel_size": 2, "stride": 1}),
    ("max_pool1d", (2, 3, 8), {"kernel_size": 3, "padding": 1, "ceil_mode": True}),
    ("max_pool1d", (2, 3, 8), {"kernel_size": 2, "dilation": 3}),
    ("max_pool1d", (2, 3, 8), {"kernel_size": 3, "padding": 2}),
    ("max_pool2d", (2, 3, 6, 7), {"kernel_size": 2}),
    ("max_pool2d", (2, 3, 6, 7), {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0)}),
    ("max_pool2d", (3, 5, 5), {"kernel_size": 2, "ceil_mode": True}),
    ("max_pool2d", (1, 1, 2, 2), {"kernel_size": 3}),
    ("max_pool2d", (1, 1, 4, 4), {"kernel_size": 2, "return_indices": False}),
    ("avg_pool1d", (2, 3, 8), {"kernel_size": 2}),
    ("avg_pool1d", (2, 3, 7), {"kernel_size": 4, "stride": 1, "padding": 2}),
    ("avg_pool1d", (2, 3, 7), {"kernel_size": 4, "padding": 2, "count_include_pad": False, "ceil_mode": True}),
    ("avg_pool2d", (2, 3, 6, 6), {"kernel_size": 2}),
    ("avg_pool2d", (2, 3, 6, 5), {"kernel_size": (2, 4), "stride": 2, "padding": (1, 2), "ceil_mode": True}),
    ("avg_pool2d", (2, 6, 5), {"kernel_size": 2, "stride": 3, "divisor_override": 2}),
    ("adaptive_avg_pool1d", (2, 3, 8), {"output_size": 4}),
    ("adaptive_avg_pool1d", (2, 3, 8), {"output_size": 1}),
    ("adaptive_avg_pool2d", (2, 3, 4, 8), {"output_size": (2, None)}),
    ("adaptive_avg_pool2d", (2, 5, 6), {"output_size": (4, 4)}),
    ("interpolate", (1, 2, 5), {"scale_factor": 2}),
    ("interpolate", (1, 2, 3, 5), {"size": (5, 3)}),
    ("interpolate", (1, 2, 3, 5), {"scale_factor": (1.7, 0.6)}),
    ("interpolate", (1, 2, 3, 5), {"scale_factor": (1.7, 0.6), "recompute_scale_factor": True}),
    ("interpolate", (1, 2, 5), {"size": 3, "recompute_scale_factor": True}),
    ("interpolate", (1, 2, 5), {"size": 3, "scale_factor": 2}),
    ("interpolate", (1, 2, 5), {"size": 3, "align_corners": False}),
    ("interpolate", (1, 2, 5), {"size": 7, "mode": "nearest-exact"}),
    ("interpolate", (1, 2, 4), {"scale_factor": 2, "mode": "linear"}),
    ("interpolate", (1, 2, 3), {"size": 5, "mode": "linear", "align_corners": True}),
    ("interpolate", (1, 2, 2, 3), {"scale_factor": 2, "mode": "bilinear"}),
    ("interpolate", (1, 1, 4, 4), {"size": (2, 8), "mode": "bilinear", "align_corners": False}),
    ("interpolate", (1, 1, 2, 2, 2), {"scale_factor": 2, "mode": "trilinear"}),
    ("interpolate", (1, 2, 4, 6), {"size": (2, 3), "mode": "area"}),
    ("interpolate", (1, 2, 2, 3), {"size": (3, 3, 3), "mode": "bilinear"}),
    ("interpolate", (1, 2, 3), {"scale_factor": 2, "mode": "bilinear"}),
    ("interpolate", (1, 2, 3), {"scale_factor": 2, "mode": "other"}),
    ("max_pool3d", (1, 2, 3, 4, 4), {"kernel_size": 2, "stride": 1, "padding": 1}),
    ("max_pool3d", (2, 4, 4, 4), {"kernel_size": (1, 2, 3), "dilation": (1, 2, 1)}),
    ("avg_pool3d", (1, 2, 4, 4, 4), {"kernel_size": 2, "padding": 1}),
    ("avg_pool3d", (1, 2, 4, 4, 4), {"kernel_size": (1, 2, 4), "divisor_override": 2}),
    ("adaptive_avg_pool3d", (1, 2, 4, 2, 5), {"output_size": (2, None, 4)}),
    ("pixel_shuffle", (2, 8, 2, 3), {"upscale_factor": 2}),
    ("pixel_shuffle", (2, 7, 2, 3), {"upscale_factor": 2}),
    ("pixel_unshuffle", (2, 2, 4, 6), {"downscale_factor": 2}),
]


@pytest.mark.parametrize(("name", "shape", "keywords"), POOLS)
def test_a_pool_is_pytorchs_at_ties_too(name: str, shape: Any, keywords: dict[str, Any]) -> None:
    (x,) = whole([shape], low=-1, high=2)  # many ties
    x = x * (4 if name.startswith("a") else 1)
    assert differences(lambda m, x: functional(m, name)(x, **keywords), [x]) == []
    distinct = np.random.default_rng(0).permutation(x.size).reshape(shape) * 64.0
    assert differences(lambda m, x: functional(m, name)(x, **keywords), [distinct], "float32") == []


@pytest.mark.parametrize(
    ("name", "shape", "keywords"),
    [(name, shape, more) for name, shape, more in POOLS if name.startswith("max") and "return_indices" not in more],
)
def test_where_the_largest_stand_is_pytorchs(name: str, shape: Any, keywords: dict[str, Any]) -> None:
    (x,) = whole([shape], low=-1, high=2)
    holes = x.copy()
    holes.flat[::5] = np.nan
    for array in (x, holes):
        for part in (0, 1):
            found = differences(
                lambda m, x, k=part: functional(m, name)(x, return_indices=True, **keywords)[k], [array]
            )
            assert found == []


@pytest.mark.parametrize(
    ("shape", "keywords"),
    [
        ((1, 2, 5), {"size": 3, "mode": "linear"}),
        ((1, 2, 3, 5), {"scale_factor": (1.7, 0.6), "mode": "bilinear"}),
        ((1, 2, 3, 5), {"scale_factor": 1.7, "mode": "bilinear", "recompute_scale_factor": True}),
        ((1, 2, 3, 5), {"size": (1, 7), "mode": "bilinear", "align_corners": True}),
        ((1, 2, 3, 5), {"size": (5, 4), "mode": "bicubic"}),
        ((1, 2, 4, 4), {"scale_factor": 0.7, "mode": "bicubic", "align_corners": True}),
        ((1, 1, 2, 3, 4), {"size": (3, 5, 2), "mode": "trilinear"}),
    ],
)
def test_weights_between_elements_are_pytorchs(shape: Any, keywords: dict[str, Any]) -> None:
    (x,) = whole([shape])
    assert differences(lambda m, x: functional(m, "interpolate")(x, **keywords), [x], rounds=True) == []


@pytest.mark.parametrize("name", ["adaptive_max_pool3d", "max_pool3d"])
def test_where_the_largest_of_a_volume_stand_is_pytorchs(name: str) -> None:
    (x,) = whole([(1, 2, 4, 3, 5)], low=-1, high=2)
    for part in (0, 1):
        found = differences(lambda m, x, k=part: functional(m, name)(x, (2, 1, 3), return_indices=True)[k], [x])
        assert found == []


@pytest.mark.parametrize(
    "index", [np.array([0, 2, 2]), np.array([[1, 0], [2, 1]]), np.array(1), np.array([3]), np.array([-1])]
)
@pytest.mark.parametrize("padding_idx", [None, 2, -2])
def test_an_embedding_is_pytorchs(index: Any, padding_idx: int | None) -> None:
    def rows(module: Any, weight: Any, places: Any) -> Any:
        return module.nn.functional.embedding(places, weight, padding_idx=padding_idx)

    assert differences(rows, [*whole([(3, 2)]), index]) == []


def test_one_hot_is_pytorchs() -> None:
    for index, classes in (
        (np.array([0, 2, 1]), -1),
        (np.array([[1], [0]]), 3),
        (np.array([3]), 2),
        (np.array([-1]), -1),
    ):
        assert differences(lambda m, x, n=classes: m.nn.functional.one_hot(x, n), [index]) == []


def test_the_gradient_of_a_large_weight_is_summed_sample_by_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    def conv(module: Any, x: Any, w: Any) -> Any:
        return module.nn.functional.conv2d(x, w, padding=1, groups=2)

    monkeypatch.setattr("reference_impl.ops.convolution._MANY", 0)
    assert differences(conv, whole([(3, 4, 6, 5), (6, 2, 3, 3)])) == []
