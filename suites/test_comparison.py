"""A comparison calls what is slower slower, what is the same the same, and says what it could not have seen."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.comparison import (
    ALPHA,
    THRESHOLD,
    Decision,
    PairTimes,
    compare_counts,
    decide,
    estimate,
    exact_interval,
    holm,
)


def pairs(
    change: float, *, n: int = 8, rounds: int = 40, between: float = 0.008, within: float = 0.04, seed: int = 0,
    drift: float = 0.0, first: float | None = None,
) -> list[PairTimes]:  # fmt: skip
    """Times of pairs of processes whose after-side takes `change` more time, with noise between and within pairs."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        level = between * rng.standard_normal()
        blocks = np.arange(4 * rounds) * drift
        places = np.tile([0, 1, 1, 0], rounds)
        logs = blocks + within * rng.standard_normal(4 * rounds)
        logs[places == 1] += math.log1p(change) + level
        times = 1e-3 * np.exp(logs)
        if first is not None:
            times[0] += first
        found.append(PairTimes(tuple(times[places == 0]), tuple(times[places == 1])))
    return found


def decided(given: list[PairTimes], series: int = 1, threshold: float = THRESHOLD) -> Decision:
    found = estimate(given, series=series)
    p = holm([found.p] + [1.0] * (series - 1))[0]
    return decide(found, estimate(given, control=True), p, threshold=threshold)


def test_rates_on_simulated_pairs() -> None:
    runs = 60
    seen = sum(decided(pairs(0.05, seed=seed)).verdict == "slower" for seed in range(runs))
    false = sum(decided(pairs(0.0, seed=seed)).verdict in ("slower", "faster") for seed in range(runs))
    assert seen >= 58
    assert false == 0


def test_significance_is_what_it_says_whatever_the_threshold() -> None:
    ps = [estimate(pairs(0.0, seed=seed, rounds=10)).p for seed in range(300)]
    # 5 % expected; the exact interval of the rate reaches up to it with this few.
    assert exact_interval(sum(p <= 0.05 for p in ps), len(ps))[0] <= 0.05
    assert exact_interval(sum(p <= ALPHA for p in ps), len(ps))[0] <= ALPHA


def test_a_faster_side_is_faster() -> None:
    assert decided(pairs(-0.08)).verdict == "faster"


def test_a_change_below_the_threshold_is_none_however_significant() -> None:
    given = pairs(0.01, n=30, between=0.001, rounds=200)
    assert estimate(given).p <= ALPHA
    assert decided(given).verdict == "no change"
    assert decided(given, threshold=0.005).verdict == "slower"


def test_noise_makes_it_undecided_and_the_smallest_effect_says_so() -> None:
    found = decided(pairs(0.0, n=6, between=0.1, seed=3))
    assert found.verdict == "cannot tell" and "vary too much" in found.reason
    assert found.smallest_effect > 0.1
    assert decided(pairs(0.0)).smallest_effect < 0.05


def test_an_effect_of_the_smallest_size_is_called_in_about_8_of_10() -> None:
    smallest = float(np.median([decided(pairs(0.0, seed=s)).smallest_effect for s in range(20)]))
    called = sum(decided(pairs(smallest, seed=100 + s)).verdict == "slower" for s in range(60))
    low, high = exact_interval(called, 60, level=0.999)
    assert low <= 0.8 <= high


def test_few_pairs_decide_nothing() -> None:
    found = decided(pairs(1.0, n=4))
    assert found.verdict == "cannot tell" and "only 4 pairs" in found.reason


def test_a_pair_of_few_rounds_counts_less() -> None:
    given = pairs(0.0, between=0.0)
    spoilt = pairs(0.3, n=1, rounds=3)
    ratio = estimate([*given, *spoilt]).ratio
    assert abs(math.log(ratio)) < math.log(1.3) / 9 / 2


def test_a_drift_of_the_machine_is_no_change() -> None:
    # Blocks become 20 % slower from the first to the last of a pair.
    found = decided(pairs(0.0, drift=0.2 / 160))
    assert found.verdict == "no change"


def test_a_control_that_moved_withholds_the_answer() -> None:
    given = []
    for pair in pairs(0.05):
        before = np.array(pair.before)
        before[0::4] *= 1.1  # every other round's first block of the very same side
        before[3::4] *= 1.1
        given.append(PairTimes(tuple(before), pair.after))
    found = decided(given)
    assert found.verdict == "cannot tell" and "the control moved by" in found.reason


def test_a_slow_first_block_moves_the_ratio_by_less_than_a_percent() -> None:
    ratio, plain = (estimate(pairs(0.0, first=first)).ratio for first in (1.5, None))
    assert abs(ratio / plain - 1) < 0.01


@pytest.mark.parametrize("wrong", [0.0, -1e-3, math.nan, math.inf])
def test_a_clock_that_jumped_costs_its_round_alone(wrong: float) -> None:
    given = pairs(0.05)
    broken = [PairTimes((wrong, *pair.before[1:]), pair.after) for pair in given]
    assert math.isfinite(estimate(broken).ratio)
    assert decided(broken).verdict == "slower"


def test_a_coarse_clock_decides_nothing() -> None:
    same = [PairTimes((1e-3,) * 8, (1.05e-3,) * 8)] * 8
    found = decided(same)
    assert found.verdict == "cannot tell" and "too coarse" in found.reason


def test_holm_never_lowers_a_p_and_keeps_the_order() -> None:
    ps = [0.2, 0.001, 0.04, 0.001]
    corrected = holm(ps)
    assert corrected == [0.2, 0.004, 0.08, 0.004]
    assert holm([]) == []


def test_one_slow_series_among_many_is_still_seen() -> None:
    found = decided(pairs(0.08), series=40)
    assert found.verdict == "slower"


@pytest.mark.parametrize(
    ("after", "word"),
    [
        ({"tape_nodes": 3, "vjp_calls": 5}, "same"),
        ({"tape_nodes": 4, "vjp_calls": 5}, "more"),
        ({"tape_nodes": 2, "vjp_calls": 5}, "fewer"),
        ({"tape_nodes": 4, "vjp_calls": 4}, "other"),
        ({"python_calls": 7}, "not counted"),
    ],
)
def test_counts_are_compared_exactly(after: dict[str, int], word: str) -> None:
    assert compare_counts({"tape_nodes": 3, "vjp_calls": 5}, after, ("tape_nodes", "vjp_calls")) == word


def test_exact_interval_covers_at_its_level() -> None:
    # Over all counts of a binomial with p = 0.95 and n = 40.
    n, p = 40, 0.95
    chance = [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]
    covered = sum(c for k, c in enumerate(chance) if exact_interval(k, n)[0] <= p <= exact_interval(k, n)[1])
    assert covered >= 0.95
    with pytest.raises(ValueError, match="hits is 5 of n = 4"):
        exact_interval(5, 4)
