"""The defects that `adjudge power` counts: every kind, over ops that the seed chooses.

>>> from harness.defects.declared import GROUPS
>>> defects = library(0)
>>> len(defects) >= 300 and {d.group for d in defects} == set(GROUPS)
True
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Final

from harness.defects.declared import Defect
from harness.defects.sites import SITES, Site
from harness.defects.twins import Twin

__all__ = ["SIZES", "every_defect", "library", "unplanted"]

SIZES: Final = tuple(float(f"1e-{k}") for k in range(1, 10))
PER_LINE: Final = 12  # ops that the seed chooses for one line of the plan


def library(seed: int = 0, *, per_line: int = PER_LINE) -> tuple[Defect, ...]:
    """Choose defects: of each line of the plan as many as `per_line`, in an order that mixes the kinds."""
    rng = random.Random(seed)
    lines = [rng.sample(line, min(per_line, len(line))) for line in _plan()]
    found = [line[k] for k in range(per_line) for line in lines if k < len(line)]
    return tuple(dict.fromkeys(found))


def every_defect() -> tuple[Defect, ...]:
    """All defects of the plan, of which a seed chooses."""
    return tuple(dict.fromkeys(d for line in _plan() for d in line))


def unplanted(defects: Iterable[Defect]) -> tuple[Twin, ...]:
    """The functions of the defects with their right gradients, each once."""
    found: dict[tuple[str, str, str], Twin] = {}
    for defect in defects:
        twin = Twin(defect, planted=False)
        found.setdefault((defect.op, twin.form, twin.dtype), twin)
    return tuple(found.values())


def _plan() -> list[list[Defect]]:
    """One list a line: a kind of defect with its size and place, at every op where it makes a gradient wrong."""
    lines = [
        _line("zero", _moving),
        _line("cotangent", lambda s: "unary" in s.traits and s.op != "clone"),
        _line("sign", _moving),
        *(_line("factor", _moving, size=size) for size in SIZES),
        _line("wrong axis", lambda s: bool(s.turned) or ("square" in s.traits and s.op not in _SYMMETRIC)),
        _line("missing sum", _broadcasts, argument=1),
        _line("lost use", lambda s: _is_composed(s) or s.op in _PRODUCTS),
        _line("stale call", _curved),
        _line("stale copy", lambda s: _curved(s) and s.op not in _SCALE_FREE),
        _line("writes cotangent", _moving),
        _line("writes saved", _moving),
        _line("writes argument", _moving),
        _line("leak", _is_composed),
        _line("cut", _is_composed),
        _line("dtype", lambda s: _curved(s) and "unary" in s.traits),
        _line("tie", lambda s: "kink" in s.traits),
        _line("second order", _curved),
        _line("second order", _moving, size=0.1),
        _line("dropped element", lambda s: "flat" not in s.traits),
        _line("wrong place", lambda s: s.op not in _SHIFT_FREE),
        _line("wrong argument", lambda s: len(s.shapes) == 2 and s.shapes[0] == s.shapes[1]),
        _line("sign", _moving, where="float32"),
        *(_line("factor", _moving, size=size, where="float32") for size in (0.5, 1e-3, 1e-4, 1e-5)),
        _line("factor", lambda s: s.op not in _DENSE, size=0.5, where="non-contiguous"),
        _line("wrong place", lambda s: s.op not in (*_DENSE, *_SHIFT_FREE), where="non-contiguous"),
        _line("factor", lambda s: s.op not in _DENSE and _expands(s), size=0.5, where="expanded"),
        _line("not zero", _sums_over_nothing, argument=1, where="size 0"),
        _line("factor", _by_element, size=0.5, where="size 1"),
        _line("zero", _by_element, where="size 1"),
        _line("zero", _far, where="large"),
        _line("factor", _far, size=0.5, where="large"),
    ]
    return [line for line in lines if line]


_PRODUCTS: Final = ("sub", "mul", "div", "pow", "logaddexp", "atan2", "hypot", "dot", "matmul", "outer")
_SYMMETRIC: Final = (
    "det",
    "logabsdet",
)  # a transposed cofactor matrix is one of another shape of mistake: right for some
_SCALE_FREE: Final = ("vector_norm", "atan2", "hypot", "logabsdet", "softmax", "layer_norm")  # 0.5 x has the same
_SHIFT_FREE: Final = ("sum", "mean", "add", "sub", "neg", "clone", "det", "logabsdet", "inv", "solve", "reshape")
_DENSE: Final = ("reshape", "conv1d", "expand", "layer_norm", "dot", "linear", "mse_loss")


def _line(
    kind: str, fits: Callable[[Site], bool], *, argument: int = 0, size: float = 0.0, where: str = "everywhere"
) -> list[Defect]:
    return [Defect(site.op, argument, kind, size, where) for site in SITES.values() if fits(site)]


def _moving(site: Site) -> bool:
    return True


def _curved(site: Site) -> bool:
    """The gradient changes with the first argument."""
    bilinear = {"matmul", "bmm", "outer", "dot", "linear", "addmm", "conv1d", "mul", "lerp", "xlogy", "div"}
    return not site.traits & {"linear", "flat"} and site.op not in bilinear


def _is_composed(site: Site) -> bool:
    return "unary" in site.traits


def _broadcasts(site: Site) -> bool:
    return "binary" in site.traits and site.shapes[0] != site.shapes[1]


def _expands(site: Site) -> bool:
    return len(site.shapes[0]) > 1 and site.shapes[0][0] > 1


def _sums_over_nothing(site: Site) -> bool:
    return _broadcasts(site) or site.op in ("matmul", "outer", "linear")


def _by_element(site: Site) -> bool:
    return bool(site.traits & {"unary", "binary"}) and "flat" not in site.traits


def _far(site: Site) -> bool:
    return "grows" in site.traits and bool(site.traits & {"unary", "binary"})
