"""Functions that are put together of ops, and those without a derivative, take and give what PyTorch's do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from suites.api_twins import differences, whole

X = np.array([3.0, -1.0, 4.0, 8.0, -6.0])
ROWS = np.array([[3.0, -1.0, 4.0, 8.0], [2.0, 7.0, 0.0, -8.0], [1.0, 1.0, 5.0, 2.0]])
Call = Callable[..., Any]

# What is called, and the shapes or arrays that it is called with.
CALLS: dict[str, tuple[Call, list[Any]]] = {
    "diff": (lambda m, x: m.diff(x), [(3, 4)]),
    "diff twice": (lambda m, x: x.diff(2, 0), [(3, 4)]),
    "diff more often than there are": (lambda m, x: m.diff(x, 6), [(3, 4)]),
    "diff of order 0": (lambda m, x: m.diff(x, 0), [(3,)]),
    "diff with ends": (lambda m, x, a, b: m.diff(x, dim=0, prepend=a, append=b), [(3, 2), (1, 2), (2, 2)]),
    "diff of a number": (lambda m, x: m.diff(x), [()]),
    "diff of a negative order": (lambda m, x: m.diff(x, -1), [(3,)]),
    "trapezoid": (lambda m, y: m.trapezoid(y), [(3, 4)]),
    "trapezoid of one sample": (lambda m, y: m.trapezoid(y), [(3, 1)]),
    "trapz at places": (lambda m, y, x: m.trapz(y, x, dim=0), [(3, 4), (3, 4)]),
    "trapezoid at places of a vector": (lambda m, y, x: m.trapezoid(y, x, dim=0), [(3, 4), (3,)]),
    "trapezoid at too few places": (lambda m, y, x: m.trapezoid(y, x, dim=0), [(3, 4), (2,)]),
    "trapezoid of a step": (lambda m, y: m.trapezoid(y, dx=0.5), [(5,)]),
    "cumulative_trapezoid": (lambda m, y, x: m.cumulative_trapezoid(y, x), [(2, 4), (4,)]),
    "cov": (lambda m, x: m.cov(x), [ROWS]),
    "cov of a vector": (lambda m, x: x.cov(correction=0), [X]),
    "cov with frequencies": (lambda m, x, f: m.cov(x, fweights=f), [ROWS, np.array([1, 0, 2, 1])]),
    "cov with weights": (lambda m, x, a: m.cov(x, aweights=a, correction=0), [ROWS, np.array([1.0, 0.5, 2.0, 0.5])]),
    "cov of both": (
        lambda m, x, f, a: m.cov(x, fweights=f, aweights=a),
        [ROWS, np.array([1, 1, 2, 1]), np.array([1.0, 0.5, 2.0, 0.5])],
    ),
    "cov of three dimensions": (lambda m, x: m.cov(x), [(2, 2, 2)]),
    "corrcoef": (lambda m, x: m.corrcoef(x)[0, 1], [ROWS]),
    "vander": (lambda m, x: m.vander(x.detach()), [(3,)]),  # whose backward PyTorch refuses
    "vander of rising powers": (lambda m, x: m.linalg.vander(x, N=4), [(3,)]),
    "combinations": (lambda m, x: m.combinations(x), [(4,)]),
    "combinations with repeats": (lambda m, x: m.combinations(x, 3, with_replacement=True), [(3,)]),
    "ger": (lambda m, x, y: x.ger(y), [(2,), (3,)]),
    "narrow_copy": (lambda m, x: x.narrow_copy(1, 1, 2), [(2, 4)]),
    "sum_to_size": (lambda m, x: x.sum_to_size(3, 1), [(2, 3, 4)]),
    "sum_to_size of a tuple": (lambda m, x: x.sum_to_size((4,)), [(3, 4)]),
    "sum_to_size of what is no size": (lambda m, x: x.sum_to_size(2), [(3, 4)]),
    "select_scatter": (lambda m, x, y: m.select_scatter(x, y, 1, -1), [(2, 3), (2,)]),
    "slice_scatter": (lambda m, x, y: x.slice_scatter(y, 1, 1, None, 2), [(2, 5), (2, 2)]),
    "slice_scatter of a view": (lambda m, x, y: m.slice_scatter(x.t(), y, 0, 0, 1), [(2, 3), (1, 2)]),
    "diagonal_scatter": (lambda m, x, y: m.diagonal_scatter(x, y, 1), [(3, 3), (2,)]),
    "select_scatter of another shape": (lambda m, x, y: m.select_scatter(x, y, 1, 0), [(2, 3), (3,)]),
    "gradient": (lambda m, x: m.gradient(x)[0] + m.gradient(x, edge_order=2)[1], [(4, 5)]),
    "gradient of a step": (lambda m, x: m.gradient(x, spacing=0.5, dim=0)[0], [(2, 3)]),
    "gradient of too few": (lambda m, x: m.gradient(x, edge_order=2)[0], [(2, 3)]),
    "renorm of a vector": (lambda m, x: m.renorm(x, 2, 0, 1.0), [(3,)]),
    "fill": (lambda m, x, v: m.fill(x, v) * x, [(2, 3), ()]),
    "fill with a vector": (lambda m, x, v: m.fill(x, v), [(2, 3), (2,)]),
    "real": (lambda m, x: m.real(x) * 2, [(2,)]),
    "copies": (
        lambda m, x: (
            m.permute_copy(x, (1, 0)).mul_(2) + m.t_copy(x) + m.transpose_copy(x, 0, 1) + m.view_copy(x, (2, 3)).T
        ),
        [(2, 3)],
    ),
    "copies of parts": (
        lambda m, x: m.split_copy(x, 2, 1)[0].mul_(3) + m.unbind_copy(x, 0)[1][:2] + m.select_copy(x, 0, 1)[:2],
        [(2, 3)],
    ),
    "pdist of a vector": (lambda m, x: m.pdist(x), [(4,)]),
    "unfold": (
        lambda m, x: m.nn.functional.unfold(x, (2, 3), dilation=2, padding=(1, 2), stride=(1, 2)),
        [(2, 2, 5, 6)],
    ),
    "unfold of one image": (lambda m, x: m.nn.functional.unfold(x, 2), [(2, 3, 3)]),
    "unfold of too little": (lambda m, x: m.nn.functional.unfold(x, 4), [(1, 1, 3, 3)]),
    "fold": (
        lambda m, x: m.nn.functional.fold(x, (4, 5), (2, 3), dilation=1, padding=1, stride=(2, 1)),
        [(2, 12, 15)],
    ),
    "fold of one image": (lambda m, x: m.nn.functional.fold(x, 3, 2), [(8, 4)]),
    "fold of another number of columns": (lambda m, x: m.nn.functional.fold(x, 3, 2), [(1, 4, 5)]),
    "adaptive_max_pool1d": (lambda m, x: m.nn.functional.adaptive_max_pool1d(x, 3), [(2, 2, 7)]),
    "adaptive_max_pool1d of ties": (
        lambda m, x: m.nn.functional.adaptive_max_pool1d(x, 3),
        [np.array([[[1.0, 1.0, 1.0, 0.0, 0.0, 2.0, 2.0]]])],
    ),
    "adaptive_max_pool2d": (
        lambda m, x: m.nn.functional.adaptive_max_pool2d(x, (2, None), return_indices=True)[0],
        [(2, 5, 3)],
    ),
    "lp_pool1d": (lambda m, x: m.nn.functional.lp_pool1d(x.abs() + 1, 1, 2, 1), [(1, 2, 5)]),
    "lp_pool2d": (lambda m, x: m.nn.functional.lp_pool2d(x, 1, (2, 1), ceil_mode=True), [(1, 2, 5, 6)]),
    "channel_shuffle": (lambda m, x: m.channel_shuffle(x, 2), [(2, 4, 3)]),
    "channel_shuffle of an odd number": (lambda m, x: m.nn.functional.channel_shuffle(x, 2), [(2, 3, 3)]),
    "linalg.diagonal": (lambda m, x: m.linalg.diagonal(x, offset=1), [(2, 3, 4)]),
    "triplet_margin_with_distance_loss": (
        lambda m, a, p, n: m.nn.functional.triplet_margin_with_distance_loss(
            a, p, n, distance_function=lambda x, y: (x - y).abs().sum(-1), swap=True
        ),
        [(3, 2), (3, 2), (3, 2)],
    ),
    "multi_margin_loss": (
        lambda m, x, t, w: m.nn.functional.multi_margin_loss(x, t, p=2, weight=w.detach(), reduction="none"),
        [(3, 4), np.array([0, 3, 1]), (4,)],
    ),
    "multilabel_margin_loss": (
        lambda m, x, t: m.nn.functional.multilabel_margin_loss(x, t),
        [(2, 4), np.array([[3, 0, -1, 1], [-1, 0, 1, 2]])],
    ),
    "conv1d by its other name": (lambda m, x, w: m.conv1d(x, w), [(1, 2, 5), (3, 2, 2)]),
    "relu_": (lambda m, x: m.nn.functional.relu_(x * 1), [(2, 3)]),
    "leaky_relu_": (lambda m, x: m.nn.functional.leaky_relu_(x * 1, 0.5), [(2, 3)]),
    "hardtanh_": (lambda m, x: m.nn.functional.hardtanh_(x * 1), [(2, 3)]),
    "threshold_": (lambda m, x: m.threshold_(x * 1, 0.5, 2.0), [(2, 3)]),
}

# Calls without a gradient; integers and bools pass through unchanged.
WHOLE = np.array([6, 5, -3, 12])
COUNTS = np.array([1, 3, 3, 0, 1])
BOOLS = np.array([True, False, True, True])
PLAIN: dict[str, tuple[Call, list[Any]]] = {
    "and": (lambda m, a: a & 3, [WHOLE]),
    "or, reflected": (lambda m, a: 8 | a, [WHOLE]),
    "xor": (lambda m, a, b: a ^ b, [WHOLE, WHOLE[::-1].copy()]),
    "not": (lambda m, a: ~a, [WHOLE]),
    "of bools": (lambda m, a: (~a & a) | (a ^ True), [BOOLS]),
    "of bools and integers": (lambda m, a, b: a & b, [BOOLS, WHOLE]),
    "of floats": (lambda m, a: a & 1, [X]),
    "not of floats": (lambda m, a: ~a, [X]),
    "shifts": (lambda m, a: (a << 2) + (a >> 1), [WHOLE]),
    "in place": (lambda m, a: a.clone().bitwise_and_(6).bitwise_xor_(1), [WHOLE]),
    "others in place": (
        lambda m, a: (
            a.clone().gcd_(m.tensor(4)).lcm_(m.tensor(3)).bitwise_or_(8).bitwise_left_shift_(2).logical_xor_(a)
        ),
        [WHOLE],
    ),
    "augmented": (lambda m, a: m.add(a.__iand__(7), 0), [WHOLE.copy()]),
    "shapes that do not fit": (lambda m, a: a & a[:3], [WHOLE]),
    "gcd": (lambda m, a: m.gcd(a, m.tensor(4)), [WHOLE]),
    "lcm": (lambda m, a: a.lcm(m.tensor(4)), [WHOLE]),
    "logical_xor": (lambda m, a, b: m.logical_xor(a, b), [BOOLS, WHOLE]),
    "bincount": (lambda m, a: m.bincount(a, minlength=6), [COUNTS]),
    "bincount with weights": (
        lambda m, a: m.bincount(a, m.tensor([1.0, 2.0, 4.0, 8.0, 16.0], dtype=m.float64)),
        [COUNTS],
    ),
    "bincount of negative numbers": (lambda m, a: m.bincount(a), [WHOLE]),
    "searchsorted": (lambda m, a: m.searchsorted(a, m.tensor([[3, 0], [2, 9]])), [np.sort(COUNTS)]),
    "searchsorted on the right": (lambda m, a: m.searchsorted(a, 3, right=True), [np.sort(COUNTS)]),
    "searchsorted of rows": (
        lambda m, a: m.searchsorted(a, m.tensor([[3], [2]]), out_int32=True),
        [np.array([[1, 3, 3], [2, 4, 6]])],
    ),
    "bucketize": (lambda m, a: m.bucketize(m.tensor([0, 1, 2, 4]), a), [np.sort(COUNTS)]),
    "isin": (lambda m, a: m.isin(a, m.tensor([3, 7])), [COUNTS]),
    "isreal": (lambda m, a: m.isreal(a), [COUNTS]),
    "unique": (lambda m, a: a.unique(), [COUNTS]),
    "places of the unique": (lambda m, a: m.unique(a, return_inverse=True)[1], [COUNTS.reshape(5, 1)]),
    "counts of the unique": (lambda m, a: m.unique(a, return_counts=True)[1], [COUNTS]),
    "unique rows": (lambda m, a: m.unique(a, dim=0), [np.array([[2, 1], [0, 5], [2, 1]])]),
    "unique columns": (lambda m, a: m.unique(a, dim=1, return_inverse=True)[1], [np.array([[2, 1, 2], [0, 5, 0]])]),
    "unique_consecutive": (lambda m, a: m.unique_consecutive(a), [COUNTS]),
    "runs": (lambda m, a: m.unique_consecutive(a, return_counts=True)[1], [COUNTS]),
    "nextafter": (lambda m, a: m.nextafter(m.tensor([1.0, 0.0]), m.tensor([2.0, -1.0])), [COUNTS]),
    "logspace": (lambda m, a: m.logspace(0, 3, 4, base=2.0, dtype=m.float64), [COUNTS]),
}


@pytest.mark.parametrize("name", CALLS)
def test_value_and_gradients_are_pytorchs(name: str) -> None:
    call, given = CALLS[name]
    for dtype in ("float64", "float32"):
        assert differences(call, whole(given), dtype, rounds="co" in name) == []


@pytest.mark.parametrize("name", PLAIN)
def test_value_without_gradient_is_pytorchs(name: str) -> None:
    call, given = PLAIN[name]
    assert differences(call, given) == []


@pytest.mark.parametrize(
    ("name", "pair"), [("promote_types", ("float32", "int64")), ("promote_types", ("uint8", "int8"))]
)
def test_types_are_promoted_as_in_pytorch(name: str, pair: tuple[str, str]) -> None:
    import torch

    import reference_impl

    ours, theirs = (getattr(m, name)(*(getattr(m, t) for t in pair)) for m in (reference_impl, torch))
    assert repr(ours) == repr(theirs)


def test_kinds_of_numbers_are_told() -> None:
    import reference_impl as m

    x = m.tensor([1.5])
    assert m.is_floating_point(x)
    assert not m.is_complex(x)
    assert x.is_signed()
    assert not m.is_signed(m.tensor([True]))
    assert m.is_nonzero(x)
    with pytest.raises(RuntimeError, match="more than one"):
        m.is_nonzero(m.ones(2))


def test_limits_of_types_are_pytorchs() -> None:
    import torch

    import reference_impl

    for name in ("float64", "float32", "float16"):
        ours, theirs = (m.finfo(getattr(m, name)) for m in (reference_impl, torch))
        for field in "bits eps max min tiny smallest_normal resolution dtype".split():
            assert getattr(ours, field) == getattr(theirs, field), (name, field)
        assert repr(ours) == repr(theirs)
    for name in ("int64", "int32", "int16", "int8", "uint8"):
        ours, theirs = (m.iinfo(getattr(m, name)) for m in (reference_impl, torch))
        assert (ours.bits, ours.max, ours.min, ours.dtype) == (theirs.bits, theirs.max, theirs.min, theirs.dtype)
        assert repr(ours) == repr(theirs)
    assert reference_impl.finfo().dtype == torch.finfo().dtype == "float32"
    for m in (reference_impl, torch):
        with pytest.raises(TypeError, match="requires a floating point input type"):
            m.finfo(m.int64)
        with pytest.raises(TypeError, match="requires an integer input type"):
            m.iinfo(m.float32)


def test_noise_keeps_what_it_promises() -> None:
    """The share that falls out, mean and variance, whole channels, and the hard sample's soft gradient."""
    import reference_impl as torch

    F = torch.nn.functional
    torch.manual_seed(0)
    x = torch.randn(200, 50)
    y = F.alpha_dropout(x, 0.3, training=True)
    assert abs(y.mean().item()) < 0.05
    assert abs(y.std().item() - 1) < 0.05
    for dropped, ones in (
        (F.dropout2d(torch.ones(8, 6, 3, 4), 0.5), (8, 6)),
        (F.dropout1d(torch.ones(8, 5), 0.5), (8,)),
        (F.dropout3d(torch.ones(8, 6, 2, 2, 2), 0.5), (8, 6)),
    ):
        flat = dropped.reshape(*ones, -1)
        assert ((flat == 0).all(-1) | (flat == 2).all(-1)).all()
        assert (flat == 0).any() and (flat == 2).any()
    logits = torch.zeros(400, 3, requires_grad=True)
    with torch.no_grad():
        logits[:, 1] = 1.0
    hard = F.gumbel_softmax(logits, hard=True)
    assert (hard.sum(-1) - 1).abs().max().item() < 1e-6
    assert abs(hard[:, 1].mean().item() - np.exp(1) / (np.exp(1) + 2)) < 0.08
    (hard * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert logits.grad is not None and (logits.grad != 0).any()
    assert F.gumbel_softmax(logits, tau=0.5).requires_grad
    for function in (F.dropout, F.alpha_dropout, F.dropout1d, F.feature_alpha_dropout):
        with pytest.raises(ValueError, match="dropout probability has to be between 0 and 1, but got 2"):
            function(x, 2)


def test_a_dot_product_refuses_two_types_where_one_is_half() -> None:
    import torch

    import reference_impl

    for m in (reference_impl, torch):
        with pytest.raises(RuntimeError, match="expected both vectors to have same dtype"):
            m.dot(m.ones(3), m.ones(3, dtype=m.float16))
