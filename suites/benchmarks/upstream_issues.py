"""Defects of derivatives that others reported to PyTorch and JAX in 2024 and 2026, and what `check_gradients` says of each.

    python -m suites.benchmarks.upstream_issues

Each line has the number of the issue, what the report is about, and the claim that shows it: "wrong", "digits lost", a note
of the report (what the framework's own rules lose when one mode is asked inside another), or nothing. A defect that the
installed version has no longer shows nothing, and says so if `torch` or `jax` there answers right.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import torch

from harness import check_gradients
from harness.environment import versions

__all__ = ["ISSUES", "Issue", "seen"]


@dataclass(frozen=True)
class Issue:
    """One report.

    Attributes:
        number: of the issue, with its project.
        about: what is wrong.
        function: what to check.
        args: at which arguments.
    """

    number: str
    about: str
    function: Callable[..., Any]
    args: tuple[Any, ...]


def _t(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def _j(*numbers: float) -> Any:
    return jnp.array(numbers, dtype=jnp.float64)


def _matrix() -> torch.Tensor:
    return torch.tensor([[2.7, 1.0], [1.0, 4.4]], dtype=torch.float64)


def issues() -> Iterator[Issue]:
    """All of them; made when asked for, since JAX needs 64 bits for its numbers."""
    jax.config.update("jax_enable_x64", True)
    special = jax.scipy.special
    yield Issue(
        "jax 22398", "weights of logsumexp that are 0", lambda b: special.logsumexp(jnp.zeros(2), b=b), (_j(1, 0),)
    )
    yield Issue("jax 39794", "expm1 at -40: 0", jnp.expm1, (_j(-40),))
    yield Issue("jax 39797", "i0 at 1e-300: 0", jnp.i0, (_j(1e-300),))
    yield Issue("jax 39799", "sqrt of the smallest number: inf", jnp.sqrt, (_j(5e-324),))
    yield Issue("jax 40342", "sigmoid at 40: 0", jax.nn.sigmoid, (_j(40),))
    yield Issue("jax 40383", "log_sigmoid, second order", jax.nn.log_sigmoid, (_j(-37.42994775023705),))
    yield Issue(
        "jax 40384", "log_softmax: one part is 0", lambda z: jax.nn.log_softmax(z)[0], (_j(37.42994775023705, 0),)
    )
    yield Issue("jax 40387", "softplus, second order", jax.nn.softplus, (_j(37.42994775023705),))
    yield Issue("jax 40627", "jnp.i0 at 0, second order: 0", lambda t: jnp.i0(2 * t - 1), (_j(0.5),))
    yield Issue("jax 40628", "scipy i0 at 0: 1", lambda t: special.i0(2 * t - 1), (_j(0.5),))
    near = 0.49999999999999994
    yield Issue("jax 40629", "sinc beside 0, forward mode", lambda t: jnp.sinc(2 * t - 1), (_j(near),))
    yield Issue("pytorch 195527", "sigmoid at 40: 0", torch.sigmoid, (_t(40),))
    yield Issue("pytorch 195527", "tanh at 20: 0", torch.tanh, (_t(20),))
    yield Issue("pytorch 196696", "det, forward over forward", torch.linalg.det, (_matrix(),))
    yield Issue("pytorch 198017", "slogdet, nested", lambda a: torch.linalg.slogdet(a)[1], (_matrix(),))
    yield Issue("pytorch 198017", "linalg.solve, nested", torch.linalg.solve, (_matrix(), _t(1, 2)))
    yield Issue("pytorch 198017", "batch_norm, nested", _batch_norm, (_t(1, 2, 4, 5, 7, 3).reshape(3, 2),))
    layer = lambda x: torch.nn.functional.layer_norm(x, (3,))
    yield Issue("pytorch 198017", "layer_norm, nested", layer, (_t(1, 2, 4),))
    yield Issue("pytorch 198017", "cumprod with a zero, nested", lambda x: torch.cumprod(x, 0), (_t(1, 0, 2, 3),))
    yield Issue(
        "pytorch 198017", "cholesky_inverse, forward", torch.cholesky_inverse, (torch.linalg.cholesky(_matrix()),)
    )
    house = torch.linalg.householder_product
    tall = torch.eye(3, 2, dtype=torch.float64) + 0.25
    yield Issue("pytorch 198017", "householder_product, nested", house, (tall, _t(0.5, 0.75)))


def _batch_norm(x: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.batch_norm(x, None, None, training=True)


def seen(issue: Issue) -> str:
    """What shows the defect: claims that are wrong or lose digits, or what a note tells of; "" if nothing does."""
    report = check_gradients(issue.function, *issue.args, raises=False)
    claims = [f"{c.name}: {c.verdict}" for c in report.claims if c.verdict in ("wrong", "digits lost")]
    telling = ("the framework's own rules", "differences of the gradient tend to")
    notes = [f"note: {n.partition(':')[0]}" for n in report.notes if any(words in n for words in telling)]
    return "; ".join(claims + notes)


ISSUES = tuple(issues())


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    print(", ".join(f"{k} {v}" for k, v in versions().items()))
    count = 0
    for issue in ISSUES:
        found = seen(issue)
        count += bool(found)
        print(f"{issue.number:<15} {issue.about:<36} {found or '-'}")
    print(f"{count} of {len(ISSUES)} are seen")


if __name__ == "__main__":
    main()
