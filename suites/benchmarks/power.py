"""How many planted wrong gradients each checker catches: Adjudge, torch.autograd.gradcheck, jax.test_util.check_grads.

Every checker gets the same function at the same point, in float64, with its default settings. A function is one op whose
gradient is right (a report is then a false alarm) or wrong in one named way. Run it with::

    python suites/benchmarks/power.py [--points N] [--seed S]

It prints two Markdown tables: the share caught for each kind of defect, and false alarms with the time of one check.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness import backends
from harness.cases import Case
from harness.judgement import judge
from harness.oracles.bound import enclose_backend
from harness.oracles.certificate import certify
from harness.points import point
from harness.programs import Instr, Program, Spec
from suites.framework_twins import RIGHT, Wrong, in_jax, in_torch, jax_twin, torch_twin

SIZES = tuple(10.0**-k for k in range(1, 10))
POSITIVE = {"log", "log1p", "sqrt", "rsqrt", "reciprocal", "div", "pow", "atan2", "prod"}


@dataclass(frozen=True)
class Op:
    """An op at the shapes of its tensors."""

    name: str
    shapes: tuple[tuple[int, ...], ...]
    params: tuple[tuple[str, Any], ...] = ()

    def case(self, seed: int) -> Case:
        domain = "positive" if self.name in POSITIVE else "real"
        specs = tuple(Spec(s, domain=domain) for s in self.shapes)
        n = len(specs)
        return point(Program(specs, (Instr(self.name, tuple(range(n)), self.params),), (n,)), seed=seed)


_UNARY = "neg abs exp expm1 log log1p sqrt rsqrt reciprocal square sin cos tan sinh cosh tanh atan sigmoid relu clone"
_BINARY = "add sub mul div pow maximum minimum logaddexp atan2"
UNARY, BINARY = _UNARY.split(), _BINARY.split()
ALONG = (("dim", 1), ("keepdim", False))
OPS = [
    *(Op(name, ((2, 3),)) for name in UNARY),
    *(Op(name, ((2, 3), (3,))) for name in BINARY),
    *(Op(name, ((2, 3),), ALONG) for name in ("sum", "mean", "amax", "amin", "prod", "logsumexp")),
    *(Op(name, ((2, 3),), (("dim", 1),)) for name in ("softmax", "log_softmax", "cumsum")),
    Op("var", ((2, 3),)),
    Op("vector_norm", ((2, 3),)),
    Op("matmul", ((2, 3), (3, 2))),
    Op("outer", ((3,), (3,))),
    Op("dot", ((3,), (3,))),
]


def wrongs(op: Op) -> list[Wrong]:
    """The defects that change the gradient of this op."""
    found = []
    for i in range(len(op.shapes)):
        found += [Wrong(kind, i) for kind in ("zero", "sign", "dropped element")]
        found += [Wrong("factor", i, size) for size in SIZES]
        if op.name in ("outer", "dot"):
            found.append(Wrong("wrong argument", i))
    if op.name in BINARY:
        found.append(Wrong("missing sum", 1))
    return found


Checker = Callable[[Op, Case, Wrong], bool]


def gradcheck(fast: bool) -> Checker:
    """PyTorch's own: finite differences of every element (slow), or of one random projection (fast)."""
    import torch

    from harness.backends.torch_eager import OPS as TABLE

    def catches(op: Op, case: Case, wrong: Wrong) -> bool:
        twin = torch_twin(lambda *xs: TABLE[op.name](*xs, **dict(op.params)), wrong)
        inputs = [torch.from_numpy(x.copy()).requires_grad_() for x in case.primals]
        return not torch.autograd.gradcheck(twin, inputs, raise_exception=False, fast_mode=fast)

    return catches


def check_grads(op: Op, case: Case, wrong: Wrong) -> bool:
    """JAX's own, reverse mode: one random projection, by finite differences."""
    import jax
    from jax.test_util import check_grads as jax_check

    from harness.backends.jax_backend import OPS as TABLE

    twin = jax_twin(lambda *xs: TABLE[op.name](*xs, **dict(op.params)), wrong)
    try:
        jax_check(twin, [jax.numpy.array(x) for x in case.primals], order=1, modes=["rev"])
    except AssertionError:
        return True
    return False


def adjudge(backend: str, plant: Callable[[str, Wrong], AbstractContextManager[None]]) -> Checker:
    """Certificate, bound and judgement of the op as a program of one instruction."""
    engine = backends.get(backend)

    def catches(op: Op, case: Case, wrong: Wrong) -> bool:
        with plant(op.name, wrong):
            outcome = engine.prepare(case)()
        vjp = judge(case, outcome, certify(case), enclose_backend(case, backend))[1]
        return vjp.kind == "disagree"

    return catches


def measure(points: int, seed: int) -> None:
    checkers: dict[str, Checker] = {
        "Adjudge (torch)": adjudge("torch", in_torch),
        "Adjudge (jax)": adjudge("jax", in_jax),
        "gradcheck slow": gradcheck(fast=False),
        "gradcheck fast": gradcheck(fast=True),
        "check_grads": check_grads,
    }
    for check in checkers.values():  # imports and first calls are no part of the time
        check(OPS[0], OPS[0].case(1), RIGHT)
    caught: dict[tuple[str, str], int] = defaultdict(int)
    asked: dict[str, int] = defaultdict(int)
    alarms: dict[str, int] = defaultdict(int)
    seconds: dict[str, list[float]] = defaultdict(list)
    right = 0
    for op in OPS:
        for k in range(points):
            case = op.case(seed + k)
            gradient = certify(case).grads
            for wrong in [RIGHT, *wrongs(op)]:
                if wrong.kind != "right" and not _moves(gradient[wrong.argument], wrong):
                    continue
                right += wrong is RIGHT
                asked[str(wrong)] += 1
                for name, check in checkers.items():
                    start = time.perf_counter()
                    found = check(op, case, wrong)
                    seconds[name].append(time.perf_counter() - start)
                    if wrong is RIGHT:
                        alarms[name] += found
                    else:
                        caught[str(wrong), name] += found
    _print(checkers, caught, asked, alarms, seconds, right, points)


def _moves(gradient: Any, wrong: Wrong) -> bool:
    """Whether the defect changes the gradient at this point at all (dropping a zero does not)."""
    values = gradient.midpoints().ravel()
    return bool(values[0] != 0.0) if wrong.kind == "dropped element" else bool(np.any(values))


def _print(
    checkers: dict[str, Checker],
    caught: dict[tuple[str, str], int],
    asked: dict[str, int],
    alarms: dict[str, int],
    seconds: dict[str, list[float]],
    right: int,
    points: int,
) -> None:
    import jax
    import torch

    print(
        f"Python {platform.python_version()}, NumPy {np.__version__}, PyTorch {torch.__version__}, JAX {jax.__version__};"
        f" {platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads; float64;"
        f" {len(OPS)} ops at {points} points each.\n"
    )
    print("| planted | n |", " | ".join(checkers), "|")
    print("|---|---:|" + "---:|" * len(checkers))
    for kind, n in asked.items():
        if kind != "right":
            shares = [f"{100 * caught[kind, name] / n:.1f} %" for name in checkers]
            print(f"| {kind} | {n} |", " | ".join(shares), "|")
    print()
    print("| checker | false alarms on right gradients | median of a check | mean of a check |")
    print("|---|---:|---:|---:|")
    for name in checkers:
        times = 1e3 * np.array(seconds[name])
        print(f"| {name} | {alarms[name]} of {right} | {np.median(times):.2f} ms | {times.mean():.2f} ms |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=3, help="points of every op (default 3)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first point (default 1)")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    measure(options.points, options.seed)


if __name__ == "__main__":
    main()
