"""The declared errors of kernels: how far each backend's op may be from the exact result, by dtype.

`load_kernel_errors().lookup("torch", "float64", "exp")` gives the numbers that the bound of a verdict is made of: the
result y of one application lies within ``k u |y| + a u scale + eta`` of the exact result of its exact inputs, where u
is half the distance from 1 to the next number. The figures are measured against 200-bit ball arithmetic and enlarged by
a margin; `adjudge doctor --kernels` measures them again. The file keeps what was measured beside what is declared, and
the versions that it holds for.

An op that adds up n terms has no number of its own but a `kind`: the formula, in which ``gamma_n = n u / (1 - n u)``
holds for every order of summation, with or without fused multiply-add. Source: N. J. Higham, Accuracy and Stability of
Numerical Algorithms, 2nd ed., sections 3.1 and 4.2.

>>> load_kernel_errors().lookup("torch", "float64", "add").k
1.0
>>> load_kernel_errors().lookup("jax", "float32", "matmul").kind
'gamma_n sum|terms|'
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness.floats import about

__all__ = [
    "KINDS",
    "RUN_HALVES",
    "SCHEMA",
    "TABLE",
    "Declared",
    "KernelErrors",
    "gamma",
    "load_kernel_errors",
    "measured_ops",
]

SCHEMA = 1
TABLE = Path(__file__).with_name("kernel_errors.json")

RUN_HALVES = ("torch", "jax", "jax-jit")
"""The backends that are asked for float16 and bfloat16, too."""

ELEMENTWISE = "k u |y| + a u scale + eta"
EXACT = "exact"
SUM = "gamma_n sum|terms|"

# The formula of every op that is not elementwise. Terms of a sum are its addends; of a contraction, its products, whose
# own rounding is one more u, so that n + 1 stands for n; mean divides once more.
KINDS: Mapping[str, str] = {
    **dict.fromkeys(("sum", "cumsum"), SUM),
    **dict.fromkeys(("matmul", "dot", "outer"), SUM),
    "mean": SUM,
    "prod": "gamma_n |y|",
    "cumprod": "gamma_n |y|",
    "add_at": "gamma_m (|x| + sum|added|), m the most that go to one place",
    "std": "(gamma_(n+3) y + 2 gamma_n mean|x| sum|x - mean| / ((n - correction) y)) and one rounding",
    "vector_norm": "gamma_(n+2) |y|",
    "var": "gamma_(n+3) y + 2 gamma_n mean|x| sum|x - mean| / (n - correction)",
    "softmax": "(n + 3 + 2 k_exp + |x - max| + sum_j y_j |x_j - max|) u |y|",
    "logsumexp": "(n + k_exp + sum_j p_j |x_j - max| + (k_log + 1) |log s| + |y|) u",
    "log_softmax": "(n + k_exp + sum_j p_j |x_j - max| + (k_log + 1) |log s| + |x - max| + |max| + |y|) u",
    **dict.fromkeys(("amax", "amin", "clamp", "where", "detach", "clone", "gt", "ge", "lt", "le", "eq", "ne"), EXACT),
    **dict.fromkeys(("reshape", "permute", "transpose", "expand", "unsqueeze", "squeeze", "flip"), EXACT),
    **dict.fromkeys(("cat", "stack", "tril", "triu", "getitem", "index_select", "gather"), EXACT),
    **dict.fromkeys(("zeros_like", "to"), EXACT),
    **dict.fromkeys(("gather_adjoint", "index_select_adjoint", "getitem_adjoint"), SUM),
    "scaled": "gamma_4 |y|",
    **dict.fromkeys(("convolution", "convolution_input", "convolution_weight"), SUM),
    **dict.fromkeys(("first_largest", "max", "min", "median", "diagonal", "unfold", "index_put"), EXACT),
    "matrix_solve": "gamma_3n (2^n - 1) max|A| |A^-1| 1 sum|x|",
    "matrix_inverse": "gamma_6n (2^n - 1) max|A| (|A^-1| 1) (1 |A^-1|)",
    "determinant": "gamma_n (2^n - 1) max|A| sum_i prod_(k != i) sum_j |a_kj| n",
    "log_abs_determinant": "that of the determinant over |det|, + (k_log + n + 1) u sum_i |log u_ii|",
    "cholesky_factor": "2 |L| tril(gamma_(n+2) v v^T), v = |L^-1| sqrt(diag A)",
    "triangular_solve": "gamma_(2n+2) |T^-1| |T| |x|",
}


@dataclass(frozen=True)
class Declared:
    """The declared error of one kernel.

    Attributes:
        k: relative part, in units of u; 0 for a kernel without rounding.
        a: absolute part, in units of u times `scale`.
        scale: what multiplies a: "" (no such part), "1", "max|args|" (the largest magnitude among the arguments of the
            element) or "max|args| |y|" (that times the result: a relative error that grows with the argument).
        eta: what underflow may add: 0, the smallest subnormal number, or the smallest normal one where results are flushed.
        kind: the formula. One that is not elementwise is multiplied by k (1 unless the kernel was seen to exceed it), and
            k_exp and k_log in it stand for the k of those ops; a and scale have no part in it.
    """

    k: float
    a: float = 0.0
    scale: str = ""
    eta: float = 0.0
    kind: str = ELEMENTWISE


@dataclass(frozen=True)
class KernelErrors:
    """The table: declared errors by (backend, dtype, op), what was measured, and for which versions."""

    declared: Mapping[tuple[str, str, str], Declared]
    measured: Mapping[tuple[str, str, str], Mapping[str, Any]]
    versions: Mapping[str, str]
    flushes_subnormals: Mapping[tuple[str, str], bool]

    def lookup(self, backend: str, dtype: str, op: str) -> Declared:
        """The declared error of an op.

        Raises:
            KeyError: the table has no such backend, dtype or op.
        """
        found = self.declared.get((backend, dtype, op))
        if found is not None:
            return found
        if (backend, dtype) not in self.flushes_subnormals:
            known = ", ".join(f"{b} {d}" for b, d in self.flushes_subnormals)
            raise KeyError(f"kernel errors: nothing is known of {backend} {dtype}; known: {known}")
        if op not in KINDS:
            raise KeyError(f"kernel errors: nothing is known of the op {op!r} on {backend} in {dtype}")
        return Declared(k=1.0 if KINDS[op] != EXACT else 0.0, eta=self.eta(backend, dtype), kind=KINDS[op])

    def eta(self, backend: str, dtype: str) -> float:
        """What underflow may add to any rounded result of that backend: the smallest normal or subnormal number."""
        info = about(dtype)
        return info.tiny if self.flushes_subnormals[backend, dtype] else info.smallest_subnormal


@functools.cache
def measured_ops(backend: str, dtype: str) -> frozenset[str]:
    """The ops whose kernels were measured on a backend in a dtype."""
    return frozenset(op for name, kind, op in load_kernel_errors().declared if (name, kind) == (backend, dtype))


def gamma(n: float, u: float) -> float:
    """The bound n u / (1 - n u) on n accumulated roundings; infinite when n u reaches 1.

    >>> gamma(2, 2.0**-53) > 2 * 2.0**-53
    True
    """
    return n * u / (1.0 - n * u) if n * u < 1.0 else float("inf")


@functools.cache
def load_kernel_errors(path: str | Path = TABLE) -> KernelErrors:
    """Read the table, once.

    Raises:
        ValueError: the file is not a table of this schema.
    """
    try:
        table = json.loads(Path(path).read_text())
        schema = table["schema"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"path: {path} is not a table of kernel errors: {error}") from error
    if schema != SCHEMA:
        raise ValueError(f"path: {path} has schema {schema!r}, this version reads {SCHEMA}")
    declared: dict[tuple[str, str, str], Declared] = {}
    measured: dict[tuple[str, str, str], Mapping[str, Any]] = {}
    versions: dict[str, str] = {}
    flushes: dict[tuple[str, str], bool] = {}
    for backend, dtypes in table["backends"].items():
        for dtype, block in dtypes.items():
            versions[backend] = block["version"]
            flushes[backend, dtype] = block["flushes_subnormals"]
            for op, entry in block["ops"].items():
                fields = {key: value for key, value in entry.items() if key != "measured"}
                declared[backend, dtype, op] = Declared(**fields)
                measured[backend, dtype, op] = entry["measured"]
    frozen = MappingProxyType
    return KernelErrors(frozen(declared), frozen(measured), frozen(versions), frozen(flushes))
