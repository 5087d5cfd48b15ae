"""Defects as wrong rules of the reference's primitives, and how to make the tape use one for a while.

`defects(name)` lists the ways in which the rules of a primitive can be wrong, `planted(defect)` puts one in force inside
a `with` block. Everything that runs inside sees the wrong rule, also the certificate: to test a backend, certify outside
the block and run the thunk inside.

>>> [str(d) for d in defects("sin")][:3]
['sin[0]: zero', 'sin[0]: sign', 'sin[0]: factor 1+0.001']
>>> import reference_impl as torch
>>> x = torch.tensor(0.0, requires_grad=True)
>>> with planted(Defect("sin", 0, "sign")):
...     torch.sin(x).backward()
>>> x.grad
tensor(-1.)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from inspect import Parameter, Signature
from typing import Any, Final

import numpy as np

from harness.backends import Engine, get
from harness.cases import Case, Outcome, Thunk
from harness.defects.declared import FACTORS, STRUCTURAL, Defect
from harness.programs import Program
from reference_impl.primitives import (
    ELEMENTWISE,
    MOVEMENT,
    PRIMITIVES,
    REDUCTION,
    Primitive,
    Rule,
    apply,
    replaced_rules,
)
from reference_impl.tensor import Tensor

__all__ = ["PlantedBackend", "all_defects", "can_be_planted", "defects", "planted", "wrong_rules"]

LARGE: Final = 20.0  # what a defect at large magnitudes takes for large

# The derivative is 0 by definition: these are wrong only if something comes back.
_ZERO_BY_DEFINITION: Final = {
    *(("sign", 0), ("overwrite", 0), ("floor", 0), ("ceil", 0), ("trunc", 0), ("round", 0)),
    ("copysign", 1),
}
# Both arguments have the same rule, so exchanging them changes nothing.
_SYMMETRIC: Final = {"add"}

# Rules of two terms with one of them forgotten, as they are forgotten in practice.
_FORGOTTEN: Final[dict[str, tuple[Callable[..., Any], ...]]] = {
    "softmax": (lambda ct, y, dim: ct * y,),
    "log_softmax": (lambda ct, y, dim: ct * 1.0,),
    "tanh": (lambda ct, y: ct * 1.0,),
    "tan": (lambda ct, y: ct * 1.0,),
    "expm1": (lambda ct, y: ct * y,),
    "log1p": (lambda ct, x: ct / x,),
    "atan": (lambda ct, x: ct / (x * x),),
    "sigmoid": (lambda ct, y: ct * y,),
    "atan2": (lambda ct, a, b: ct / b, lambda ct, a, b: -ct / a),
    "logaddexp": (lambda ct, a, b: ct * 1.0, lambda ct, a, b: ct * 1.0),
}


def all_defects() -> tuple[Defect, ...]:
    """Every defect of every primitive that has rules."""
    return tuple(d for name, p in PRIMITIVES.items() if p.rules for d in defects(name))


def defects(name: str, factors: Sequence[float] = FACTORS) -> tuple[Defect, ...]:
    """The ways in which the rules of one primitive can be wrong that change some gradient."""
    p = PRIMITIVES[name]
    first = int(p.arg_names[0] == "condition")
    found: list[Defect] = []
    for i in range(first, len(p.rules)):
        if (name, i) in _ZERO_BY_DEFINITION:
            found.append(Defect(name, i, "not zero"))
            continue
        found += [Defect(name, i, "zero"), Defect(name, i, "sign")]
        found += [Defect(name, i, "factor", size) for size in factors]
        found.append(Defect(name, i, "dropped element"))
        if name in _FORGOTTEN:
            found.append(Defect(name, i, "dropped term"))
        if len(p.rules) - first > 1 and name not in _SYMMETRIC:
            found.append(Defect(name, i, "wrong argument"))
        elif p.rules[i].values:
            found.append(Defect(name, i, "wrong value"))
        if name == "expand" or (p.kind == ELEMENTWISE and len(p.arg_names) > 1):
            found.append(Defect(name, i, "missing sum"))
        if "dim" in p.rules[i].needs and p.kind in (REDUCTION, MOVEMENT):
            found.append(Defect(name, i, "wrong axis"))
        if p.kind != ELEMENTWISE:
            found.append(Defect(name, i, "wrong place"))
    return tuple(found)


@contextmanager
def planted(defect: Defect) -> Iterator[None]:
    """Let the tape use the wrong rule inside the block."""
    with replaced_rules(defect.op, [_as_declared(rule) for rule in wrong_rules(defect)]):
        yield


def _as_declared(rule: Rule) -> Callable[..., Any]:
    """The rule's function with parameters named as a declaration names them."""

    def function(*given: Any) -> Any:
        return rule.function(*given)

    names = ("ct", *rule.needs)
    function.__signature__ = Signature([Parameter(n, Parameter.POSITIONAL_ONLY) for n in names])  # type: ignore[attr-defined]  # functions carry attributes at run time
    return function


def wrong_rules(defect: Defect) -> tuple[Rule, ...]:
    """The rules of the primitive with the defect in one of them."""
    p = PRIMITIVES[defect.op]
    rules = list(p.rules)
    rules[defect.argument] = _wrong_rule(p, defect)
    return tuple(rules)


def can_be_planted(defect: Defect) -> bool:
    """Whether some rule of a primitive can be wrong in this way; what a whole function gets wrong cannot."""
    p = PRIMITIVES.get(defect.op)
    if p is None or defect.argument >= len(p.rules) or (defect.op, defect.argument) in _ZERO_BY_DEFINITION:
        return False
    rule = p.rules[defect.argument]
    if defect.where in ("non-contiguous", "expanded", "size 0"):
        return False  # drawn programs hand primitives dense operands, and none is asked at size 0 alone
    if defect.where == "large" and not rule.values:
        return False
    match defect.kind:
        case "wrong axis":
            return "dim" in rule.needs and p.kind in (REDUCTION, MOVEMENT)
        case "missing sum":
            return defect.op == "expand" or (p.kind == ELEMENTWISE and len(p.arg_names) > 1)
        case "wrong value" | "stale copy":
            return bool(rule.values)
        case "second order":
            return bool(rule.values) and not defect.size
        case "wrong argument":
            return len(p.rules) > 1 and defect.op not in _SYMMETRIC
        case "dropped term":
            return defect.op in _FORGOTTEN
        case "tie":
            return p.kind == ELEMENTWISE and ("x" in rule.needs or {"a", "b"} <= set(rule.needs))
        case "cotangent":
            return p.kind == ELEMENTWISE and defect.op not in ("clone", "add")
        case (
            "lost use"
            | "stale call"
            | "writes saved"
            | "writes argument"
            | "writes cotangent"
            | "leak"
            | "cut"
            | "not zero"
        ):
            return False
    return True


def _wrong_rule(p: Primitive, defect: Defect) -> Rule:
    true = p.rules[defect.argument]
    wrong = _wrong_everywhere(p, defect)
    return wrong if defect.where == "everywhere" else _limited(true, wrong, defect.where)


def _wrong_everywhere(p: Primitive, defect: Defect) -> Rule:
    i, kind = defect.argument, defect.kind
    true = p.rules[i]
    match kind:
        case "zero":
            return _after(true, lambda g: g * 0.0)
        case "cotangent":
            return replace(true, function=lambda ct, *kept: ct * 1.0)
        case "sign":
            return _after(true, lambda g: -g)
        case "factor":
            return _after(true, lambda g: g * (1.0 + defect.size))
        case "dtype":
            return _after(true, _through_float32)
        case "dropped element":
            return _after(true, _without_the_first)
        case "dropped term":
            return replace(true, function=_FORGOTTEN[p.name][i])
        case "wrong argument":
            first = int(p.arg_names[0] == "condition")
            return p.rules[first + (i - first + 1) % (len(p.rules) - first)]
        case "wrong value" | "stale copy":
            return _before(true, _with_a_wrong_value)
        case "second order":
            return _before(true, _with_constants)
        case "tie":
            return replace(true, function=functools.partial(_wrong_at_ties, true))
        case "missing sum":
            return _unsummed(p, i)
        case "wrong axis":
            return _before(true, _with_the_next_axis)
        case "wrong place":
            return _after(true, _rolled)
        case "not zero":
            return _after(true, lambda g: g + 1.0)
    raise ValueError(f"kind: {kind!r} is no defect of a single rule; rules can have {', '.join(STRUCTURAL)}, factor")


def _limited(true: Rule, wrong: Rule, where: str) -> Rule:
    """The wrong rule where it shows, else the right one; it gets what both need."""

    def function(ct: Any, *kept: Any) -> Any:
        arrays = [_array(v) for v in (ct, *kept) if isinstance(v, (np.ndarray, Tensor))]
        return (wrong if _shows(where, arrays) else true).function(ct, *kept)

    if wrong.needs != true.needs:
        raise ValueError(f"where: a defect that shows at {where} alone cannot need more than the right rule")
    return replace(true, function=function)


def _shows(where: str, arrays: Sequence[Any]) -> bool:
    match where:
        case "float32":
            return bool(arrays[0].dtype == np.float32)
        case "size 1":
            return any(1 in x.shape for x in arrays)
        case "large":
            return any(x.size and np.nanmax(np.abs(x)) > LARGE for x in arrays[1:] if x.dtype.kind == "f")
    raise ValueError(f"where: no rule shows at {where!r} alone")


def _array(x: Any) -> Any:
    return x.array if isinstance(x, Tensor) else x


def _through_float32(g: Any) -> Any:
    dtype = _array(g).dtype
    narrow = apply(PRIMITIVES["to"], g, dtype=np.dtype(np.float32))
    return apply(PRIMITIVES["to"], narrow, dtype=dtype)


def _with_constants(rule: Rule, ct: Any, kept: list[Any]) -> list[Any]:
    """Cut the kept values off, so that the first order is right and its own derivative lacks a part."""
    return [v.detach() if isinstance(v, Tensor) else v for v in kept]


def _wrong_at_ties(rule: Rule, ct: Any, *kept: Any) -> Any:
    """Twice the gradient where two operands are equal, or where the one is 0, and -2 besides."""
    known = dict(zip(rule.needs, kept, strict=True))
    g = rule.function(ct, *kept)
    if "x" in known:
        tied = _array(known["x"]) == 0
        return g - 2.0 * ct * tied.astype(_array(ct).dtype) if tied.shape == _array(ct).shape else g
    tied = _array(known["a"]) == _array(known["b"])
    return g * (1.0 + tied.astype(_array(g).dtype))


def _after(rule: Rule, damage: Callable[[Any], Any]) -> Rule:
    return replace(rule, function=lambda ct, *kept: damage(rule.function(ct, *kept)))


def _before(rule: Rule, damage: Callable[[Rule, Any, list[Any]], list[Any]]) -> Rule:
    return replace(rule, function=lambda ct, *kept: rule.function(ct, *damage(rule, ct, list(kept))))


def _without_the_first(g: Any) -> Any:
    mask = np.ones(tuple(g.shape), np.float64)
    mask.reshape(-1)[:1] = 0.0
    if isinstance(g, Tensor):
        return g * Tensor(mask.astype(g.array.dtype))
    return g * mask.astype(g.dtype)


def _with_a_wrong_value(rule: Rule, ct: Any, kept: list[Any]) -> list[Any]:
    """Replace the first value by 3/8 minus it: neither its sign nor its size survives."""
    where = next(k for k, v in enumerate(kept) if not isinstance(v, (int, tuple, str)) and v is not None)
    kept[where] = 0.375 - kept[where]
    return kept


def _with_the_next_axis(rule: Rule, ct: Any, kept: list[Any]) -> list[Any]:
    known = dict(zip(rule.needs, kept, strict=True))
    if "x_shape" in known:
        ndim = len(known["x_shape"])
    elif "shapes" in known:
        ndim = len(known["shapes"][0])
    else:
        ndim = known.get("x", known.get("y", ct)).ndim
    where = rule.needs.index("dim")
    dim = kept[where]
    if isinstance(dim, int) and ndim:
        kept[where] = (dim + 1) % ndim
    elif isinstance(dim, tuple) and ndim:
        kept[where] = tuple((d + 1) % ndim for d in dim)
    return kept


def _rolled(g: Any) -> Any:
    flat = apply(PRIMITIVES["reshape"], g, shape=(-1,))
    parts = [apply(PRIMITIVES["getitem"], flat, index=(slice(*ends),)) for ends in ((1, None), (0, 1))]
    return apply(PRIMITIVES["reshape"], apply(PRIMITIVES["cat"], *parts, dim=0), shape=tuple(g.shape))


def _unsummed(p: Primitive, i: int) -> Rule:
    """The rule that takes the first of the copies that broadcasting made instead of summing over them."""
    rule = p.rules[i]
    if p.name == "expand":
        return replace(rule, function=_first_copy)
    return Rule(
        lambda ct, *kept: _first_copy(rule.function(ct, *kept[:-1]), kept[-1]),
        (*rule.needs, f"{p.arg_names[i]}_shape"),
        rule.values,
    )


def _first_copy(g: Any, shape: tuple[int, ...]) -> Any:
    extra = len(g.shape) - len(shape)
    index = (0,) * extra + tuple(
        slice(0, 1) if n == 1 else slice(None) for n, m in zip(shape, g.shape[extra:], strict=True)
    )
    return apply(PRIMITIVES["getitem"], g, index=index) if index else g


@dataclass(frozen=True)
class PlantedBackend:
    """The reference backend with a defect in force while its thunks run, and only then."""

    defect: Defect
    name: str = "reference"

    @property
    def version(self) -> str:
        """Version of the reference backend, and the defect."""
        return f"{_reference().version} with {self.defect}"

    @property
    def conventions(self) -> Mapping[str, str]:
        """Those of the reference."""
        return _reference().conventions

    def supports(self, program: Program) -> str | None:
        """As the reference."""
        return _reference().supports(program)

    def prepare(self, case: Case) -> Thunk:
        """As the reference; the thunk plants the defect."""
        return self._inside(_reference().prepare(case))

    def value_thunk(self, case: Case) -> Thunk:
        """As the reference; a wrong rule changes no value."""
        return self._inside(_reference().value_thunk(case))

    def _inside(self, thunk: Thunk) -> Thunk:
        def wrong() -> Outcome:
            with planted(self.defect):
                return thunk()

        return wrong


def _reference() -> Engine:
    return get("reference")
