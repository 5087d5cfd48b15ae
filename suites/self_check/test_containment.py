"""Every enclosure contains the exact result: balls around drawn points against mpmath at 600 bits.

A result that escapes its ball is a lie of the oracle; a ball that is needlessly fat at an exact point makes the oracle
useless; both are failures here. The derivatives of series are held against differences, which know no rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import mpmath
import numpy as np
import pytest
from flint import arb, arb_series
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from harness.oracles.balls import BallArray, Undecidable, filled, undecided, widening
from harness.oracles.enclosures import ENCLOSURES, MOVEMENT, enclose
from harness.oracles.series import SERIES, SeriesArray, series_length
from harness.oracles.worlds import TooManyError, worlds

from .exact_results import (
    COMPARISONS,
    JUMPS,
    TRIES,
    TRUTH,
    TRUTH_BITS,
    VOCABULARY,
    Try,
    as_balls,
    ball_arguments,
    each,
    escapes,
    truth,
)

inf = float("inf")


def ids(attempts: Iterable[Try]) -> list[str]:
    return [str(a) for a in attempts]


few = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
POSITIONS = frozenset("argmax argmin argsort cummax_positions cummin_positions median_position nth_position".split())
CONTINUOUS = [t for t in TRIES if t.name not in JUMPS | POSITIONS]


def test_no_primitive_of_the_vocabulary_is_missing() -> None:
    assert ENCLOSURES.keys() >= VOCABULARY
    assert SERIES.keys() == ENCLOSURES.keys()
    assert {t.name for t in TRIES} == VOCABULARY
    assert ENCLOSURES.keys() >= MOVEMENT


@pytest.mark.parametrize("attempt", CONTINUOUS, ids=ids(CONTINUOUS))
@given(data=st.data())
@few
def test_exact_result_lies_in_the_enclosure_of_fat_balls(attempt: Try, data: st.DataObject) -> None:
    balls, points = data.draw(ball_arguments(attempt, fat=True))
    assert escapes(ENCLOSURES[attempt.name], attempt, balls, points) == []


TIGHT = [t for t in TRIES if t.name not in POSITIONS]


@pytest.mark.parametrize("attempt", TIGHT, ids=ids(TIGHT))
@given(data=st.data())
@few
def test_enclosure_of_exact_points_is_right_and_tight(attempt: Try, data: st.DataObject) -> None:
    balls, points = data.draw(ball_arguments(attempt, fat=False))
    if attempt.domain == "positive" and attempt.name == "pow" and isinstance(attempt.args[1], tuple):
        balls[1] = balls[1] * -1.0  # a negative tensor exponent
        points[1] = -points[1]
    assert escapes(ENCLOSURES[attempt.name], attempt, balls, points) == []
    result = ENCLOSURES[attempt.name](*balls, **attempt.params)
    if isinstance(result, BallArray):
        assert np.all(result.radii() <= 1e-60 * (1 + result.upper_abs()))


UNDECIDED = [t for t in TRIES if t.name in JUMPS]
CHOOSING = [t for t in TRIES if t.name in POSITIONS]


@pytest.mark.parametrize("attempt", UNDECIDED, ids=ids(UNDECIDED))
@given(data=st.data())
@few
def test_decision_on_fat_balls_is_right_or_raises(attempt: Try, data: st.DataObject) -> None:
    balls, points = data.draw(ball_arguments(attempt, fat=True))
    try:
        problems = escapes(ENCLOSURES[attempt.name], attempt, balls, points)
    except Undecidable:
        problems = []
    with undecided("union"):
        problems += escapes(ENCLOSURES[attempt.name], attempt, balls, points)
    assert problems == []


@pytest.mark.parametrize("attempt", CHOOSING, ids=ids(CHOOSING))
@given(data=st.data())
@few
def test_position_in_fat_balls_is_right_or_raises(attempt: Try, data: st.DataObject) -> None:
    """An index has no interval, so that what is not certain raises under either policy, where no choice is asked for."""
    balls, points = data.draw(ball_arguments(attempt, fat=data.draw(st.booleans())))
    for policy in ("raise", "union"):
        with undecided(policy):
            try:
                problems = escapes(ENCLOSURES[attempt.name], attempt, balls, points)
            except Undecidable:
                problems = []
        assert problems == []


@pytest.mark.parametrize("attempt", CHOOSING, ids=ids(CHOOSING))
@given(data=st.data())
@few
def test_position_in_fat_balls_is_right_in_one_world(attempt: Try, data: st.DataObject) -> None:
    """Whatever numbers the balls stand for, their order is one of those that are tried."""
    balls, points = data.draw(ball_arguments(attempt, fat=data.draw(st.booleans())))

    def positions() -> Any:
        return ENCLOSURES[attempt.name](*balls, **attempt.params)

    with undecided("union"):
        try:
            found = [*worlds(positions, 200)]
        except (Undecidable, TooManyError):
            reject()
    expected = truth(attempt, points)
    assert any(BallArray.from_floats(f).overlaps(expected).all() for f in found)


@pytest.mark.parametrize("exponent", range(6))
@pytest.mark.parametrize(("middle", "radius"), [(0.0, 0.5), (0.25, 0.5), (-0.25, 0.5), (0.5, 0.5), (0.0, 1e-30)])
def test_power_of_a_ball_that_holds_0_is_the_range_of_the_power(exponent: int, middle: float, radius: float) -> None:
    """FLINT gives nan where the midpoint is 0; the power rule and whatever squares a small number would be lost with it."""
    x = BallArray(filled((1,), [arb(middle, radius)]))
    ball = ENCLOSURES["pow"](x, BallArray.from_floats(np.array([float(exponent)]))).cells[0]
    values = [v**exponent for v in np.linspace(middle - radius, middle + radius, 65)]
    assert all(ball.contains(v) or abs(float(ball.mid()) - v) <= float(ball.rad()) * (1 + 1e-9) for v in values)
    assert 2 * float(ball.rad()) <= (max(values) - min(values)) * (1 + 1e-7) + 2 * abs(min(values, key=abs))


@pytest.mark.parametrize(("a", "b"), [(0.0, 0.0), (0.0, 3.0), (4.0, 0.0), (0.5, -0.5)])
def test_hypot_of_balls_that_hold_0_is_bounded(a: float, b: float) -> None:
    x, y = (BallArray(filled((1,), [arb(v, 0.75)])) for v in (a, b))
    ball = ENCLOSURES["hypot"](x, y).cells[0]
    corners = [math.hypot(a + s, b + t) for s in (-0.75, 0.0, 0.75) for t in (-0.75, 0.0, 0.75)]
    assert all(abs(float(ball.mid()) - v) <= float(ball.rad()) * (1 + 1e-9) for v in corners)
    assert float(ball.upper()) <= max(corners) * (1 + 1e-7)


def test_choices_among_equal_numbers_are_tried_one_by_one() -> None:
    x = BallArray.from_floats(np.array([2.0, 1.0, 2.0, 1.0]))
    with undecided("union"):
        orders = [tuple(f.tolist()) for f in worlds(lambda: ENCLOSURES["argsort"](x, dim=0, stable=False), 8)]
        firsts = [tuple(f.tolist()) for f in worlds(lambda: ENCLOSURES["argsort"](x, dim=0, stable=False, first=1), 8)]
        middles = [tuple(f.tolist()) for f in worlds(lambda: ENCLOSURES["nth_position"](x, dim=0, n=1), 8)]
    assert sorted(orders) == [(1, 3, 0, 2), (1, 3, 2, 0), (3, 1, 0, 2), (3, 1, 2, 0)]
    assert sorted(firsts) == [(1,), (3,)]
    assert sorted(middles) == [(1,), (3,)]


def test_positions_of_equal_numbers_follow_their_order_or_raise() -> None:
    x = BallArray.from_floats(np.array([2.0, 1.0, 2.0, 1.0]))
    assert ENCLOSURES["argsort"](x, dim=0).tolist() == [1, 3, 0, 2]
    assert ENCLOSURES["argsort"](x, dim=0, descending=True).tolist() == [0, 2, 1, 3]
    assert int(ENCLOSURES["argmax"](x, dim=0)) == 0
    assert ENCLOSURES["cummax_positions"](x, dim=0).tolist() == [0, 0, 2, 2]
    with pytest.raises(Undecidable):
        ENCLOSURES["argsort"](x, dim=0, stable=False)
    with series_length(2), pytest.raises(Undecidable):
        SERIES["argsort"](SeriesArray.from_floats(np.array([1.0, 1.0]), 1.0), dim=0)


FUNCTIONS = sorted({t.name for t in CONTINUOUS if t.args in ((((2, 3)),), ((),)) and not t.params and t.name in SERIES})
WILD = [
    arb("nan"),
    arb(0, math.inf),
    arb(0, 1e3),
    arb("1e300"),
    arb("-1e300"),
    arb(800),
    arb(-800),
    arb("1e-320"),
    arb(0),
]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_series_around_any_number_are_enclosed_or_undecided(name: str) -> None:
    """Whatever came before in a program: numbers far out, of either sign, of which little or nothing is known."""
    with series_length(2):
        for constant in WILD:
            x = SeriesArray.from_floats(np.zeros(1), 1.0).like(filled((1,), [arb_series([constant, 1])]))
            try:
                y = SERIES[name](x)
            except Undecidable:
                continue
            if type(y) is not SeriesArray:
                continue  # isnan: a decision
            assert y.cells.size == 1
            if constant.is_nan() and name not in ("detach", "sign"):
                assert not y.cells.ravel()[0][0].is_finite(), constant


def test_the_middle_of_numbers_of_which_one_is_unknown_is_unknown() -> None:
    """Sorted by their ends, what is unknown would stand where it happens to stand."""
    cells = [arb("nan"), arb(-1.0, 1e-7), arb(1.0, 1e-7)]
    x = BallArray.from_floats(np.zeros(3)).like(filled((3,), cells))
    assert not ENCLOSURES["median"](x).is_finite()[()]


@pytest.mark.parametrize("name", sorted({*FUNCTIONS} - {"isnan"}))
def test_of_an_unknown_number_no_ball_is_finite(name: str) -> None:
    """FLINT's asin of a nan without a radius is -pi / 2, which once made a value outside the domain a certain one."""
    x = BallArray.from_floats(np.zeros(1)).like(filled((1,), [arb("nan")]))
    y = ENCLOSURES[name](x)
    if type(y) is BallArray and name not in ("detach", "sign"):
        assert not y.is_finite().any()


@given(data=st.data())
@few
def test_where_on_an_undecided_mask_contains_both_choices(data: st.DataObject) -> None:
    balls, points = data.draw(ball_arguments(Try("where", ((3,), (3,), (3,))), fat=True))
    x, a, b = balls
    with undecided("union"):
        mask = ENCLOSURES["gt"](x, 0.0)
        chosen = ENCLOSURES["where"](mask, a, b)
        mixed = a * mask + b * ~mask
    right = as_balls(np.where(points[0] > 0, points[1], points[2]))
    assert chosen.overlaps(right).all()
    assert mixed.overlaps(right).all()


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("log", (-1.0,)),
        ("log", (0.0,)),
        ("log1p", (-1.0,)),
        ("sqrt", (-0.5,)),
        ("rsqrt", (0.0,)),
        ("reciprocal", (0.0,)),
        ("div", (1.0, 0.0)),
        ("div", (0.0, 0.0)),
        ("pow", (-2.0, 0.5)),
        ("pow", (0.0, -1.0)),
        ("pow", (-2.0, 0.3)),
        ("log", (inf,)),
        ("exp", (float("nan"),)),
        ("mean", ([],)),
    ],
)
def test_outside_the_domain_no_ball_is_finite(name: str, args: tuple[Any, ...]) -> None:
    balls = [BallArray.from_floats(np.array(a)) for a in args]
    assert not ENCLOSURES[name](*balls).is_finite().any()
    if name != "mean":
        with series_length(2):
            y = SERIES[name](*[SeriesArray.from_floats(np.array(a), 1.0) for a in args])
            assert not y.tangent.is_finite().any()


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (0.0, 0.0, 1.0),
        (0.0, 2.0, 0.0),
        (0.0, 0.5, 0.0),
        (0.0, 0.3, 0.0),
        (0.0, 2.5, 0.0),
        (-2.0, 3.0, -8.0),
        (-2.0, -2.0, 0.25),
    ],
)
def test_power_is_finite_wherever_a_finite_value_is_certain(a: float, b: float, expected: float) -> None:
    for exponent in (b, BallArray.from_floats(b)):
        assert ENCLOSURES["pow"](BallArray.from_floats(a), exponent).contains(np.array(expected)).all()


@pytest.mark.parametrize("name", ["exp", "tanh", "sigmoid", "softmax", "log_softmax", "logsumexp", "sin", "logaddexp"])
@pytest.mark.parametrize("size", [1e5, 1e30, 1e300])
def test_huge_arguments_neither_hang_nor_lie(name: str, size: float) -> None:
    x = BallArray.from_floats(np.array([size, -size]))
    params = {"dim": 0} if "softmax" in name or name == "logsumexp" else {}
    result = ENCLOSURES[name](*([x, x] if name == "logaddexp" else [x]), **params)
    limits = {"tanh": [1, -1], "sigmoid": [1, 0], "softmax": [1, 0], "log_softmax": [0, -2 * size], "logsumexp": size}
    if name in limits:
        assert np.all(result.distances(np.array(limits[name], float)) <= 1e-60 * size)


@pytest.mark.parametrize(
    ("outer", "inner", "shape"), [((2, 0), (0, 3), (2, 3)), ((0,), (0,), ()), ((0, 2), (2, 3), (0, 3))]
)
def test_matmul_over_nothing_is_zero(outer: tuple[int, ...], inner: tuple[int, ...], shape: tuple[int, ...]) -> None:
    result = BallArray.from_floats(np.zeros(outer)) @ BallArray.from_floats(np.zeros(inner))
    assert result.shape == shape
    assert result.contains(np.zeros(shape)).all()


def test_flint_matmul_of_large_matrices_agrees_with_the_loop() -> None:
    values = np.random.default_rng(0).standard_normal((2, 12, 12))
    a, b = (BallArray.from_midpoints(v, 1e-3) for v in values)
    product = a @ b
    rows = ENCLOSURES["sum"](ENCLOSURES["mul"](a.like(a.cells[:, :, None]), b.like(b.cells[None])), dim=1)
    assert product.overlaps(rows).all()
    assert np.all(product.radii() >= 0.99 * rows.radii())
    assert np.all(product.radii() <= 1.5 * rows.radii())


def test_flint_matmul_of_large_series_agrees_with_the_loop() -> None:
    values = np.random.default_rng(1).standard_normal((4, 10, 10))
    with series_length(3):
        a, b = SeriesArray.from_floats(values[0], values[1]), SeriesArray.from_floats(values[2], values[3])
        product = a @ b
        rows = SERIES["sum"](SERIES["mul"](a.like(a.cells[:, :, None]), b.like(b.cells[None])), dim=1)
        for k in range(3):
            assert product.coefficient(k).overlaps(rows.coefficient(k)).all()
            assert product.coefficient(k).radii().max() < 1e-70


def test_selected_cell_equals_itself_although_its_ball_is_fat() -> None:
    x = ENCLOSURES["exp"](BallArray.from_floats(np.array([0.1, 0.7, 0.3])))
    top = ENCLOSURES["amax"](x, dim=0, keepdim=True)
    assert ENCLOSURES["eq"](x, ENCLOSURES["expand"](top, shape=(3,))).tolist() == [False, True, False]


def test_equal_fat_balls_are_not_taken_for_equal_numbers() -> None:
    x, y = (BallArray.from_midpoints(1.0, 0.5) for _ in range(2))
    with pytest.raises(Undecidable):
        ENCLOSURES["eq"](x, y)


@pytest.mark.parametrize("misuse", [bool, iter, len, float, np.asarray, lambda x: x == x, lambda x: x != x])
def test_a_ball_array_refuses_what_would_drop_its_radius(misuse: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError):
        misuse(BallArray.from_floats(np.ones(1)))


def test_operators_are_widened_like_the_primitive_and_movement_is_not() -> None:
    seen: list[str] = []

    def widen(name: str, args: Any, params: Any, result: BallArray) -> BallArray:
        seen.append(name)
        return result

    x = BallArray.from_floats(np.ones((2, 2)))
    with widening(widen):
        _ = 2.0 * (-x + x / 3.0 - 1.0) ** 2 @ x
        enclose("exp", (x,), {})
        enclose("transpose", (x,), {"dim0": 0, "dim1": 1})
        enclose("gt", (x, 0.0), {})
    assert seen == ["div", "add", "sub", "pow", "mul", "matmul", "exp"]


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 900))
@few
def test_radii_are_rounded_up(mid: float, exponent: int) -> None:
    cell = arb(mid, arb(3) ** -exponent)
    ball = BallArray(filled((), [cell]))
    assert arb(float(ball.radii())) >= cell.rad()
    assert arb(float(ball.upper_abs())) >= cell.abs_upper()


# -- series: derivatives against differences of the truth, which knows no rule


def directions(shape: tuple[int, ...]) -> st.SearchStrategy[Any]:
    size = int(np.prod(shape))
    return st.lists(st.integers(-3, 3), min_size=size, max_size=size).map(lambda d: np.array(d, float).reshape(shape))


def shifted(points: Any, direction: Any, step: Any) -> Any:
    return points if direction is None else each(lambda p, d: p + d * step)(points, direction)


def is_smooth(attempt: Try) -> bool:
    """Whether differences converge fast: a norm of order 2.5 or 3 has no third derivative where a component is 0."""
    rough = attempt.params.get("ord") in (2.5, 3.0) and attempt.domain != "nonzero"
    return attempt.name not in COMPARISONS | POSITIONS | {"sign", "to", "detach", "isnan"} and not rough


SMOOTH = [t for t in TRIES if is_smooth(t)]


@pytest.mark.parametrize("attempt", SMOOTH, ids=ids(SMOOTH))
@given(data=st.data())
@settings(parent=few, max_examples=5)
def test_series_coefficients_are_the_derivatives(attempt: Try, data: st.DataObject) -> None:
    balls, points = data.draw(ball_arguments(attempt, fat=False))
    slopes = [data.draw(directions(b.shape)) if isinstance(b, BallArray) else None for b in balls]
    with series_length(3):
        args = [
            b if d is None else SeriesArray.from_floats(b.midpoints(), d) for b, d in zip(balls, slopes, strict=True)
        ]
        try:
            result = SERIES[attempt.name](*args, **attempt.params)
        except Undecidable:
            reject()  # drawn onto a kink
        got = [result.coefficient(k) for k in range(3)]
    h = mpmath.mpf(2) ** -120
    with mpmath.workprec(TRUTH_BITS):
        below, here, above = (
            TRUTH[attempt.name](*[shifted(p, d, step) for p, d in zip(points, slopes, strict=True)], **attempt.params)
            for step in (-h, 0, h)
        )
        expected = [here, (above - below) / (2 * h), (above - 2 * here + below) / (2 * h * h)]
    for k in range(3):
        right = [arb(v, arb(2) ** -180 * (1 + abs(arb(v)))) for v in np.ravel(expected[k]).tolist()]
        assert got[k].is_finite().all()
        assert got[k].overlaps(BallArray(filled(result.shape, right))).all(), f"coefficient {k}"


@pytest.mark.parametrize(
    ("name", "args", "params"),
    [
        ("abs", (0.0,), {}),
        ("relu", (0.0,), {}),
        ("sign", (0.0,), {}),
        ("clamp", (1.0,), {"max": 1.0}),
        ("clamp", (1.0,), {"min": 1.0}),
        ("maximum", (2.0, 2.0), {}),
        ("minimum", (2.0, 2.0), {}),
        ("amax", ([1.0, 2.0, 2.0],), {"dim": 0}),
        ("amin", ([1.0, 1.0, 2.0],), {"dim": 0}),
        ("vector_norm", ([0.0, 0.0],), {}),
        ("vector_norm", ([0.0, 1.0],), {"ord": 1.0}),
        ("vector_norm", ([1.0, -1.0],), {"ord": inf}),
    ],
)
def test_series_raises_at_a_kink(name: str, args: tuple[Any, ...], params: dict[str, Any]) -> None:
    with series_length(2), pytest.raises(Undecidable):
        SERIES[name](*[SeriesArray.from_floats(np.array(a), 1.0) for a in args], **params)


def test_detached_series_has_no_derivative() -> None:
    with series_length(2):
        x = SeriesArray.from_floats(np.array([1.0, 2.0]), 1.0)
        y = x * SERIES["detach"](x)
        assert y.tangent.contains(np.array([1.0, 2.0])).all()


def test_a_series_that_is_not_finite_stays_so_when_multiplied_by_zero() -> None:
    with series_length(2):
        zero = SeriesArray.from_floats(np.zeros(1), 0.0)
        broken = SERIES["log"](SeriesArray.from_floats(-np.ones(1), 1.0))
        for y in (zero * broken, zero @ broken, broken @ zero):
            assert not y.value.is_finite().any()


def test_a_quotient_of_series_does_not_take_a_limit() -> None:
    with series_length(2):
        x = SeriesArray.from_floats(np.array(0.0), 1.0)
        assert not (x / x).value.is_finite()


def test_a_bare_series_is_never_broadcast_over_its_coefficients() -> None:
    with series_length(3):
        x = SeriesArray.from_floats(np.ones(3), 1.0)
        total = SERIES["sum"](x, dim=None)
        assert (x * total).shape == (3,)
        assert isinstance(total.cells[()], arb_series)


def test_norm_that_picks_an_entry_equals_the_magnitude_it_picked() -> None:
    x = ENCLOSURES["sin"](BallArray.from_floats(np.array([0.5, -1.5, 1.0])))
    top = enclose("vector_norm", (x,), {"ord": inf, "dim": 0, "keepdim": True})
    assert ENCLOSURES["eq"](ENCLOSURES["abs"](x), ENCLOSURES["expand"](top, shape=(3,))).tolist() == [
        False,
        True,
        False,
    ]


def test_any_of_a_mask_is_decided_or_raises() -> None:
    x = BallArray.from_midpoints(np.array([0.0, 3.0]), 1.0)
    with undecided("union"):
        assert np.any(ENCLOSURES["gt"](x, 0.0))
        with pytest.raises(Undecidable):
            np.any(ENCLOSURES["gt"](x, 2.5))
        assert not np.any(ENCLOSURES["gt"](x, 5.0))


def test_values_written_in_place_replace_the_cells() -> None:
    x = BallArray.from_floats(np.arange(6.0).reshape(2, 3))
    put = ENCLOSURES["index_put"](x, -1.0, index=(np.array([0, 1]), np.array([2, 0])))
    assert put.contains(np.array([[0.0, 1.0, -1.0], [-1.0, 4.0, 5.0]])).all()
    over = ENCLOSURES["overwrite"](x, BallArray.from_floats(np.array([7.0, 8.0, 9.0])))
    assert over.contains(np.array([[7.0, 8.0, 9.0]] * 2)).all()
