"""The derivative of a function that takes complex numbers, from its values on a circle around the point.

The complex step, Im f(x + ih) / h, takes on trust that the function is analytic; for abs or real it gives nonsense. The
first Fourier coefficient of the values on a circle is the same derivative, as free of cancellation, and the coefficients
that an analytic function does not have say how far it may be trusted: that of -1 is the derivative by the conjugate.

>>> estimate = on_circle(lambda z: z**3, lambda t: (t**3, abs(t**3)), centre=2.0, radii=(0.5,))
>>> abs(estimate.value - 12) <= estimate.error < 1e-12
True
>>> on_circle(lambda z: abs(z), lambda t: (abs(t), abs(t)), centre=2.0, radii=(0.5,)).note
'not analytic'

Source: J. N. Lyness and C. B. Moler, Numerical differentiation of analytic functions, SIAM J. Numer. Anal. 4 (1967)
202-210; W. Squire and G. Trapp, Using complex variables to estimate derivatives of real functions, SIAM Rev. 40 (1998).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from harness.oracles.finite_differences import EPS, SAFETY, Estimate, Sample

__all__ = ["on_circle"]

POINTS = 16
STRAY = 3  # coefficients of an analytic function that vanish, but for one of order POINTS - STRAY
ANALYTIC = 2.0**10  # units in the last place that rounding may leave of them


def on_circle(
    sample: Callable[[complex], complex], real: Sample, *, centre: float = 0.0, radii: Sequence[float]
) -> Estimate:
    """Estimate the derivative at `centre` of a function of one number.

    Args:
        sample: its values at complex numbers.
        real: t -> (value, magnitude) at real numbers, computed in real arithmetic; rounding errors of the value are
            expected to be a few ulp of the magnitude. The two must agree where they meet.
        centre: where.
        radii: of the circles, tried in this order until one is as good as rounding lets it be.

    Returns:
        The estimate of least error. Its note is "" or "not analytic" (`error` covers that), or "not finite".
    """
    best = Estimate(math.nan, math.inf, "not finite")
    for radius in radii:
        new, noise = _on_one(sample, real, centre, radius)
        if new.error < best.error:
            best = new
        if best.error <= ANALYTIC * noise:
            break
    return best


def _on_one(sample: Callable[[complex], complex], real: Sample, centre: float, radius: float) -> tuple[Estimate, float]:
    """The estimate from one circle, and the error that rounding alone would leave."""
    turns = np.exp(2j * np.pi * np.arange(POINTS) / POINTS)
    values = np.array([sample(complex(centre + radius * w)) for w in turns])
    here, right, left = (real(centre + t) for t in (0.0, radius, -radius))
    reals = np.array([here[0], right[0], left[0]])
    if not (np.isfinite(values).all() and np.isfinite(reals).all()):
        return Estimate(math.nan, math.inf, "not finite"), 0.0
    c = np.fft.fft(values) / POINTS
    # What an analytic extension of the real function cannot have.
    stray: float = max(
        *(abs(c[-k]) for k in range(1, STRAY + 1)),
        abs(c[1].imag),
        abs(c[0] - reals[0]),
        abs(values[0] - reals[1]),
        abs(values[POINTS // 2] - reals[2]),
    )
    noise = EPS * max(here[1], right[1], left[1], float(np.abs(values).max()))
    note = "" if stray <= ANALYTIC * noise else "not analytic"
    return Estimate(float(c[1].real) / radius, float(SAFETY * (stray + noise) / radius), note), noise / radius
