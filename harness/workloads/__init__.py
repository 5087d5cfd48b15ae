"""Named workloads: functions worth timing, each written once over a namespace `T`, and once by hand in NumPy.

`workloads()` gives the table that `adjudge bench` times, ``workloads(families=("objectives",))`` other families.
`Workload.function(T, *inputs)` is PyTorch's spelling over a namespace `T` (torch, the reference, or JAX behind
`NumpySpelling`), and `by_hand(*inputs)` returns the value and a `pull_back` written in NumPy: the known answer, and the
speed to aim for. One module of this package is one family; `docs/workloads.md` says what each computes and where it
comes from.

>>> import numpy as np
>>> dot = workloads()["d2l_dot"]
>>> value, pull_back = dot.by_hand(np.arange(4.0))
>>> float(value), pull_back(np.array(1.0))[0].tolist()
(28.0, [0.0, 4.0, 8.0, 12.0])
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from harness.workloads import bundle, core, generated, gradbench, hand, lstm, micro, mixture, nested, operators, tape
from harness.workloads.base import (
    PLAIN,
    QUESTIONS,
    Array,
    ByHand,
    Input,
    PullBack,
    Seeds,
    Workload,
    inner_gradient,
    no_direction,
)
from harness.workloads.files import ADBENCH_VARIABLE, adbench_folder
from harness.workloads.mixture import gmm, pack_order, read_gmm
from harness.workloads.spelling import NumpySpelling

__all__ = [
    "ADBENCH_VARIABLE",
    "FAMILIES",
    "PLAIN",
    "QUESTIONS",
    "Array",
    "ByHand",
    "Input",
    "NumpySpelling",
    "PullBack",
    "Seeds",
    "Workload",
    "adbench_folder",
    "gmm",
    "inner_gradient",
    "no_direction",
    "pack_order",
    "read_gmm",
    "select",
    "workloads",
]


def _core(adbench: Path | None) -> list[Workload]:
    return [*core.rows(), *mixture.rows(adbench)]


def _objectives(adbench: Path | None) -> list[Workload]:
    mixtures = [
        gmm(d, k, convention=convention, adbench=adbench, family="objectives", sizes=(1_000,))
        for convention in mixture.CONVENTIONS
        for d, k in ((2, 10), (10, 10), (20, 10))
    ]
    return [
        *mixtures,
        *lstm.rows(adbench),
        *bundle.rows(adbench),
        *hand.rows(adbench),
        *gradbench.rows(),
        *nested.rows(),
    ]


FAMILIES: dict[str, Callable[[Path | None], list[Workload]]] = {
    "core": _core,
    "objectives": _objectives,
    "operators": lambda adbench: operators.rows(),
    "tape": lambda adbench: tape.rows(),
    "micro": lambda adbench: micro.rows(),
    "generated": lambda adbench: generated.rows(),
}
"""The families by name; `core` is what runs unless another is asked for."""


def workloads(
    *, adbench: str | os.PathLike[str] | None = None, families: Iterable[str] = ("core",)
) -> dict[str, Workload]:
    """The table of workloads by name.

    Args:
        adbench: folder of ADBench's input files (the one that holds ``gmm/``); None generates inputs of the same sizes.
        families: names out of `FAMILIES`, or "all".

    Raises:
        ValueError: the folder does not hold them, or no family has that name.
    """
    folder = None if adbench is None else adbench_folder(adbench)
    table: dict[str, Workload] = {}
    for family in families:
        if family != "all" and family not in FAMILIES:
            raise ValueError(f"family {family!r} is not known; the families are {', '.join(FAMILIES)}, all")
        for name in FAMILIES if family == "all" else (family,):
            table |= {workload.name: workload for workload in FAMILIES[name](folder)}
    return table


def select(
    names: Iterable[str] | None = None,
    *,
    adbench: str | os.PathLike[str] | None = None,
    families: Iterable[str] | None = None,
) -> list[Workload]:
    """Workloads by name, in the order asked for; None gives all of the families.

    A name may be a pattern: ``d2l_*`` stands for all that match among the families, and among all families if none of
    them does. ``gmm_adbench_d20_K50`` and ``gmm_gradbench_d20_K50`` name a mixture of any size.

    Args:
        families: where patterns look, and what None gives; by default "core".

    Raises:
        ValueError: no workload has that name.
    """
    own = workloads(adbench=adbench, families=("core",) if families is None else tuple(families))
    if names is None:
        return list(own.values())
    table = workloads(adbench=adbench, families=("all",)) | own
    chosen: dict[str, Workload] = {}
    for name in names:
        mixed = re.fullmatch(rf"gmm_({'|'.join(mixture.CONVENTIONS)})_d([1-9]\d*)_K([1-9]\d*)", name)
        if name in table:
            found = [table[name]]
        elif any(sign in name for sign in "*?["):
            found = [w for known, w in own.items() if fnmatch.fnmatchcase(known, name)] or [
                w for known, w in table.items() if fnmatch.fnmatchcase(known, name)
            ]
        elif mixed is not None:
            folder = None if adbench is None else adbench_folder(adbench)
            found = [gmm(int(mixed[2]), int(mixed[3]), convention=mixed[1], adbench=folder)]
        else:
            found = []
        if not found:
            raise ValueError(f"workload {name!r} is not known; the workloads are {', '.join(own)}")
        chosen |= {w.name: w for w in found}
    return list(chosen.values())
