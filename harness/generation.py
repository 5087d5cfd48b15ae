"""Random programs, built from choices and valid by construction; in `harness.strategies` Hypothesis makes the choices.

`generate(choose, ...)` makes a program from a function ``choose(n) -> 0 .. n-1`` and needs nothing else: Hypothesis
supplies one that shrinks (0 is always the simplest choice), `random_program(rng)` one that is cheap. `draw(seed)` keeps the
choices, so that Hypothesis can go on from them.

A program grows op by op. An op takes slots that fit (shape, kind, domain), or a new input that is made to fit. Every
slot carries an interval in which its values lie at ordinary points: a log is put on a slot that is positive, and
nothing is built that exceeds `LIMIT`; one program in `WILD` ignores both. At the end the instructions that
no output needs go.

>>> import random
>>> program = random_program(random.Random(1), ops=("sin", "mul", "sum"), max_instrs=3)
>>> {instr.op for instr in program.instrs} <= {"sin", "mul", "sum"}
True
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeVar

from harness.choices import (
    LIMIT,
    MAX_ELEMENTS,
    Interval,
    Params,
    Shape,
    binary_range,
    calls,
    cat_dims,
    domain_of,
    has_options,
    joint_shape,
    mates,
    matmul_mates,
    matmul_shape,
    new_shapes,
    options,
    power_range,
    product_range,
    range_after,
    square_range,
    takes,
    unary_range,
    values_of,
)
from harness.inference import OPS, infer_op, unknown_op
from harness.points import DOMAIN_RANGES
from harness.programs import Instr, Program, Scalar, Spec

__all__ = ["Draw", "check_ops", "draw", "generate", "random_program"]

Choose = Callable[[int], int]
T = TypeVar("T")

WILD: Final = 32  # one program in so many ignores domains and LIMIT
SCALARS: Final = (2.0, 0.5, -1.0, 3.0, 2, -0.5, 1.0, 0.1, -3, 1e-3, 1.5, 0.0)

_WEIGHTS: Final = {"where": 3, "matmul": 3, "detach": 2, "sum": 2, "mul": 2, "add": 2, "cat": 2, "getitem": 2}


@lru_cache(maxsize=256)
def check_ops(ops: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the op names to draw from, each as often as it weighs; raise ValueError for an unknown or missing one."""
    for name in ops or ():
        if name not in OPS:
            raise ValueError(f"ops: {unknown_op(name)}")
    if ops is not None and not ops:
        raise ValueError("ops: got no op names; leave ops out for all of them")
    order = [name for name in OPS if ops is None or name in ops]
    return tuple(name for name in order for _ in range(_WEIGHTS.get(name, 1)))


class _Draft:
    """A program under construction: nodes, of which each is an input or an instruction, in the order they were made."""

    def __init__(self, choose: Choose, max_inputs: int, *, int_inputs: bool) -> None:
        self.choose = choose
        self.free_inputs = max_inputs
        self.int_inputs = int_inputs
        self.wild = choose(WILD) == WILD - 1
        self.instrs: list[Instr | None] = []  # None for an input
        self.domains: list[str] = []
        self.shapes: list[Shape] = []
        self.kinds: list[str] = []
        self.ranges: list[Interval] = []
        self.live: list[bool] = []  # its derivative in some input has elements to compare
        self.uses: list[int] = []

    # -- nodes

    def new_input(self, shape: Shape, kind: str = "float", domain: str = "real") -> int:
        self.free_inputs -= 1
        spread = DOMAIN_RANGES[domain] if kind == "float" else (-3.0, 3.0)
        return self._node(None, shape, kind, spread, kind == "float" and 0 not in shape, domain)

    def new_instr(
        self, op: str, args: tuple[int | Scalar, ...], params: Params, shape: Shape, kind: str, y: Interval
    ) -> None:
        positions = OPS[op].differentiable
        live = 0 not in shape and any(
            not isinstance(a, Scalar) and self.live[a]
            for i, a in enumerate(args)
            if positions is None or i in positions
        )
        for a in args:
            if not isinstance(a, Scalar):
                self.uses[a] += 1
        self._node(Instr(op, args, params), shape, kind, y, live)

    def _node(self, instr: Instr | None, shape: Shape, kind: str, y: Interval, live: bool, domain: str = "real") -> int:
        self.instrs.append(instr)
        self.domains.append(domain)
        self.shapes.append(shape)
        self.kinds.append(kind)
        self.ranges.append((-LIMIT, LIMIT) if self.wild and instr is not None else y)
        self.live.append(live)
        self.uses.append(0)
        return len(self.instrs) - 1

    def fits(self, y: Interval | None) -> bool:
        return self.wild or (y is not None and y[0] >= -LIMIT and y[1] <= LIMIT)

    def of_kind(self, kind: str) -> list[int]:
        return [i for i, k in enumerate(self.kinds) if k == kind]

    def pick(self, candidates: list[int], *, new: bool = True) -> int | None:
        """Choose a node among candidates; unused results are five times as likely; None stands for a new input."""
        pool: list[int | None] = [*candidates]
        for i in candidates:
            if not self.uses[i] and self.instrs[i] is not None:
                pool += (i, i, i, i)
        if new and self.free_inputs > 0:
            pool.append(None)
        return pool[self.choose(len(pool))] if len(pool) > 1 else pool[0]

    def one_of(self, options: Sequence[T]) -> T:
        return options[self.choose(len(options))] if len(options) > 1 else options[0]

    # -- growth: each returns whether it added an instruction

    def grow(self, op: str) -> bool:
        """Add one application of op, on new inputs where nothing fits; return False where even those have run out."""
        family = OPS[op].family
        if op == "pow":
            return self._pow()
        if family == "call":
            return self._call(op)
        if has_options(op):
            return self._with_options(op)
        if family == "unary" or OPS[op].tensors == ("x",):
            return self._plain(op)
        if family == "binary":
            return self._binary(op)
        if family == "comparison":
            return self._binary(op)
        if family == "where":
            return self._where()
        return self._join(op) if family == "join" else self._contraction(op)

    def _fresh(self, op: str, domain: str = "real") -> int:
        return self.new_input(self.one_of(new_shapes(op)), "float", domain)

    def _pick_or_new(self, candidates: list[int], op: str, domain: str = "real") -> int | None:
        """A candidate, or a new float input for op; None if there is neither."""
        if not candidates:
            return self._fresh(op, domain) if self.free_inputs > 0 else None
        chosen = self.pick(candidates)
        return self._fresh(op, domain) if chosen is None else chosen

    def _plain(self, op: str) -> bool:
        candidates = [i for i in self.of_kind("float") if self.wild or self.fits(unary_range(op, self.ranges[i]))]
        x = self._pick_or_new(candidates, op, domain_of(op))
        if x is None:
            return False
        y = (-LIMIT, LIMIT) if self.wild else unary_range(op, self.ranges[x])
        self.new_instr(op, (x,), (), self.shapes[x], "float", y or (-LIMIT, LIMIT))
        return True

    def _with_options(self, op: str) -> bool:
        candidates = [i for i in self.of_kind("float") if takes(op, self.shapes[i])]
        x = self._pick_or_new(candidates, op, domain_of(op))
        if x is None:
            return False
        params, out = self.one_of(options(op, self.shapes[x]))
        y = range_after(op, self.ranges[x], self.shapes[x], params, out)
        if not self.fits(y):  # too large a sum or product: the same op on a new input, whose values are small
            if self.free_inputs <= 0:
                return False
            x = self._fresh(op, domain_of(op))
            params, out = options(op, self.shapes[x])[0]
            y = range_after(op, self.ranges[x], self.shapes[x], params, out)
        self.new_instr(op, (x,), params, out, "float", y or (-LIMIT, LIMIT))
        return True

    def _call(self, op: str) -> bool:
        """Apply an op of which the vocabulary lists the calls: a first tensor, the others that go with it, parameters."""
        candidates = [i for i in self.of_kind("float") if takes(op, self.shapes[i])]
        x = self._pick_or_new(candidates, op, domain_of(op))
        if x is None:
            return False
        params, others, out = self.one_of(calls(op, self.shapes[x]))
        args = self._beside(op, x, others, fresh=False)
        y = None if args is None else self._values_of_call(op, args, params, out)
        if not self.fits(y):  # too large, or outside the domain: the same op on new inputs
            if self.free_inputs <= len(others):
                return False
            x = self._fresh(op, domain_of(op))
            params, others, out = calls(op, self.shapes[x])[0]
            args = self._beside(op, x, others, fresh=True)
            y = None if args is None else self._values_of_call(op, args, params, out)
        if args is None or not self.fits(y):
            return False
        kind = infer_op(op, [Spec(self.shapes[i], self.kinds[i]) for i in args], dict(params)).kind
        self.new_instr(op, args, params, out, kind, y or (-LIMIT, LIMIT))
        return True

    def _values_of_call(self, op: str, args: tuple[int, ...], params: Params, out: Shape) -> Interval | None:
        return values_of(op, [self.ranges[i] for i in args], dict(params), self.shapes[args[0]], out)

    def _beside(self, op: str, x: int, others: tuple[Spec, ...], *, fresh: bool) -> tuple[int, ...] | None:
        """x and a node for every other tensor: one of that shape and kind, or a new input; None if those run out."""
        args = [x]
        for spec in others:
            same = [] if fresh else [i for i in self.of_kind(spec.kind) if self.shapes[i] == spec.shape]
            fitting = [i for i in same if (self.wild and not OPS[op].refuses) or self._lies_in(i, spec.domain)]
            chosen = self.pick(fitting) if fitting else None
            if chosen is None:
                if self.free_inputs <= 0:
                    return None
                chosen = self.new_input(spec.shape, spec.kind, spec.domain)
            args.append(chosen)
        return tuple(args)

    def _lies_in(self, i: int, domain: str) -> bool:
        """Whether a slot may stand where an input of the domain is asked for; any may stand for a real one."""
        low, high = self.ranges[i]
        return domain == "real" or (low >= 1e-2 if domain == "positive" else low >= -1.0 and high <= 1.0)

    def _binary(self, op: str) -> bool:
        comparison = OPS[op].family == "comparison"
        a = self._pick_or_new(self.of_kind("float"), op, domain_of(op))
        if a is None:
            return False
        mode = self.choose(12) if OPS[op].scalars else 0  # 9: x op number, 10: number op x, 11: x op ints
        if mode in (9, 10):
            scalar = Scalar(self.one_of(SCALARS[:-1] if op == "div" else SCALARS))
            span = (float(scalar.value), float(scalar.value))
            pair = (self.ranges[a], span) if mode == 9 else (span, self.ranges[a])
            y = (0.0, 1.0) if comparison else binary_range(op, *pair)
            if self.fits(y):
                args = (a, scalar) if mode == 9 else (scalar, a)
                self.new_instr(op, args, (), self.shapes[a], "bool" if comparison else "float", y or (-LIMIT, LIMIT))
                return True
        kind = "int" if mode == 11 and self.int_inputs and op != "div" else "float"
        return self._second(op, a, kind)

    def _second(self, op: str, a: int, kind: str) -> bool:
        """Find the second operand of a binary op: a slot that broadcasts with a, a itself, or a new input."""
        comparison = OPS[op].family == "comparison"
        shape = self.shapes[a]

        def after(b: int) -> Interval | None:
            return (0.0, 1.0) if comparison else binary_range(op, self.ranges[a], self.ranges[b])

        partners = [
            b
            for b in self.of_kind(kind)
            if (out := joint_shape(shape, self.shapes[b])) is not None
            and math.prod(out) <= MAX_ELEMENTS
            and (self.wild or self.fits(after(b)))
        ]
        b = self.pick(partners) if partners else None
        if b is None:
            if self.free_inputs <= 0:
                return False
            b = self.new_input(self.one_of(mates(shape)), kind, "positive" if op == "div" else "real")
        out = joint_shape(shape, self.shapes[b])
        y = after(b) if not self.wild else None
        if out is None or not self.fits(y):
            return False
        # Which of the two comes first decides which axis sizes are broadcast and which rule is used; both must occur.
        args = (b, a) if op not in ("div",) and self.choose(3) == 2 else (a, b)
        if args == (b, a) and not comparison and not self.wild:
            y = binary_range(op, self.ranges[b], self.ranges[a])
        self.new_instr(op, args, (), out, "bool" if comparison else "float", y or (-LIMIT, LIMIT))
        return True

    def _pow(self) -> bool:
        """x ** number, number ** x or x ** y; a base that takes a fraction as exponent is positive."""
        form = self.choose(9)
        exponent = (2, 3, 2.0, 0.5, -1, 1.5, -2.0)[form] if form < 7 else 0.0
        floats = self.of_kind("float")
        if form == 7:  # number ** x
            candidates = [i for i in floats if self.wild or (self.ranges[i][0] >= -10.0 and self.ranges[i][1] <= 10.0)]
            x = self._pick_or_new(candidates, "pow")
            if x is None:
                return False
            base = Scalar(self.one_of((2.0, 0.5, 1.5, 2)))
            y = power_range((float(base.value),) * 2, self.ranges[x]) or (-LIMIT, LIMIT)
            self.new_instr("pow", (base, x), (), self.shapes[x], "float", y)
            return True
        if form == 8:
            a = self._pick_or_new([i for i in floats if self.wild or self.ranges[i][0] >= 1e-2], "pow", "positive")
            return a is not None and self._power_of(a)

        def after(i: int) -> Interval | None:
            lo, hi = self.ranges[i]
            if exponent in (2, 3):
                return square_range(lo, hi) if exponent == 2 else (lo**3, hi**3)
            return power_range((lo, hi), (float(exponent),) * 2)

        x = self._pick_or_new([i for i in floats if self.wild or self.fits(after(i))], "pow", "positive")
        if x is None:
            return False
        y = (-LIMIT, LIMIT) if self.wild else after(x) or (-LIMIT, LIMIT)
        self.new_instr("pow", (x, Scalar(exponent)), (), self.shapes[x], "float", y)
        return True

    def _power_of(self, a: int) -> bool:
        partners = [
            b
            for b in self.of_kind("float")
            if (out := joint_shape(self.shapes[a], self.shapes[b])) is not None
            and math.prod(out) <= MAX_ELEMENTS
            and (self.wild or self.fits(power_range(self.ranges[a], self.ranges[b])))
        ]
        b = self.pick(partners) if partners else None
        if b is None:
            if self.free_inputs <= 0:
                return False
            b = self.new_input(self.one_of(mates(self.shapes[a])))
        out, y = joint_shape(self.shapes[a], self.shapes[b]), power_range(self.ranges[a], self.ranges[b])
        if out is None or not self.fits(y):
            return False
        self.new_instr("pow", (a, b), (), out, "float", y or (-LIMIT, LIMIT))
        return True

    def _where(self) -> bool:
        a = self._pick_or_new(self.of_kind("float"), "where")
        if a is None:
            return False
        conditions = [i for i in self.of_kind("bool") if self._joint(self.shapes[i], self.shapes[a])]
        condition = self.pick(conditions, new=not conditions or self.choose(4) == 3) if conditions else None
        if condition is None:
            if self.free_inputs <= 0:
                return False
            condition = self.new_input(self.one_of(mates(self.shapes[a])), "bool")
        shape = self._joint(self.shapes[condition], self.shapes[a])
        if shape is None:
            return False
        lo, hi = self.ranges[a]
        others = [i for i in self.of_kind("float") if self._joint(shape[0], self.shapes[i])]
        if self.choose(4) == 3:
            scalar = Scalar(self.one_of(SCALARS))
            args: tuple[int | Scalar, ...] = (condition, a, scalar)
            lo, hi, out = min(lo, float(scalar.value)), max(hi, float(scalar.value)), shape[0]
        else:
            b = self.pick(others) if others else None
            if b is None:
                if self.free_inputs <= 0:
                    return False
                b = self.new_input(self.one_of(mates(shape[0])))
            joint = self._joint(shape[0], self.shapes[b])
            if joint is None:
                return False
            args, out = (condition, a, b), joint[0]
            lo, hi = min(lo, self.ranges[b][0]), max(hi, self.ranges[b][1])
        if self.choose(2):
            args = (args[0], args[2], args[1])
        self.new_instr("where", args, (), out, "float", (lo, hi))
        return True

    @staticmethod
    def _joint(a: Shape, b: Shape) -> tuple[Shape] | None:
        """The broadcast shape in a tuple (so that () is true), or None where there is none or it is too large."""
        out = joint_shape(a, b)
        return (out,) if out is not None and math.prod(out) <= MAX_ELEMENTS else None

    def _join(self, op: str) -> bool:
        candidates = [i for i in self.of_kind("float") if op == "stack" or self.shapes[i]]
        candidates = [
            i
            for i in candidates
            if math.prod(self.shapes[i]) <= MAX_ELEMENTS // 2 and len(self.shapes[i]) <= (2 if op == "stack" else 3)
        ]
        a = self._pick_or_new(candidates, op)
        if a is None:
            return False
        shape = self.shapes[a]
        count = (2, 1, 3)[self.choose(3)]
        xs = [a]
        dims = tuple(range(len(shape))) if op == "cat" else tuple(range(len(shape) + 1))
        total = math.prod(shape)
        for _ in range(count - 1):
            room = MAX_ELEMENTS - total
            partners = [
                b
                for b in candidates
                if math.prod(self.shapes[b]) <= room
                and (
                    self.shapes[b] == shape
                    if op == "stack"
                    else any(d in dims for d in cat_dims(shape, self.shapes[b]))
                )
            ]
            b = self.pick(partners) if partners else None
            if b is None:
                if self.free_inputs <= 0 or math.prod(shape) * 2 > room:
                    break
                sizes = (
                    [shape]
                    if op == "stack"
                    else [(*shape[: dims[0]], k, *shape[dims[0] + 1 :]) for k in (shape[dims[0]], 1, 2)]
                )
                b = self.new_input(self.one_of(sizes))
            if op == "cat":
                dims = tuple(d for d in dims if d in cat_dims(shape, self.shapes[b]))
            xs.append(b)
            total += math.prod(self.shapes[b])
        dim = self.one_of(dims)
        if self.choose(3) == 2:
            dim -= len(shape) + (op == "stack")
        spec = infer_op(op, [Spec(self.shapes[i]) for i in xs], {"dim": dim})
        y = (min(self.ranges[i][0] for i in xs), max(self.ranges[i][1] for i in xs))
        self.new_instr(op, tuple(xs), (("dim", dim),), spec.shape, "float", y)
        return True

    def _contraction(self, op: str) -> bool:
        highest = 3 if op == "matmul" else 1
        floats = [i for i in self.of_kind("float") if 1 <= len(self.shapes[i]) <= highest]
        a = self._pick_or_new(floats, op)
        if a is None:
            return False
        shape = self.shapes[a]
        partners = [b for b in dict.fromkeys((*floats, a)) if self._contracts(op, a, b)]
        b = self.pick(partners) if partners else None
        if b is None:
            if self.free_inputs <= 0:
                return False
            sizes = matmul_mates(shape) if op == "matmul" else (shape,) if op == "dot" else ((2,), (1,), (3,), (0,))
            b = self.new_input(self.one_of(sizes))
        y = self._contracts(op, a, b)
        if y is None:
            return False
        out = infer_op(op, (Spec(shape), Spec(self.shapes[b]))).shape
        self.new_instr(op, (a, b), (), out, "float", y)
        return True

    def _contracts(self, op: str, a: int, b: int) -> Interval | None:
        """Where the values of the contraction lie; None where the shapes do not allow it or it is too large."""
        s, t = self.shapes[a], self.shapes[b]
        if (op == "matmul" and matmul_shape(s, t) is None) or (op == "dot" and s != t):
            return None
        if op == "outer" and s[0] * t[0] > MAX_ELEMENTS:
            return None
        lo, hi = product_range(self.ranges[a], self.ranges[b])
        n = 1 if op == "outer" else max(s[-1], 1)
        y = (min(lo, lo * n), max(hi, hi * n))
        return y if self.fits(y) else None

    # -- the end

    def finish(self, allowed: Iterable[str], max_instrs: int) -> Program:
        """Choose outputs, see to it that a gradient can be compared, drop what no output needs and number the slots."""
        made = [i for i, instr in enumerate(self.instrs) if instr is not None]
        sinks = sorted((i for i in reversed(made) if not self.uses[i]), key=self._cone, reverse=True)[:4]
        count = (1, 1, 2, 3)[self.choose(4)]
        outputs: list[int] = []
        while made and len(outputs) < count:
            pool = [i for i in sinks if i not in outputs]
            pool = pool[:1] * 4 + pool * 2 + [i for i in reversed(made) if i not in outputs]
            if not pool:
                break
            outputs.append(self.one_of(pool))
        if not any(self.live[i] for i in outputs):
            del outputs[2:]
            outputs.append(self._live_output(outputs, frozenset(allowed) if len(made) < max_instrs else frozenset()))
        needed = set(outputs)
        for i in range(len(self.instrs) - 1, -1, -1):
            instr = self.instrs[i]
            if instr is not None and i in needed:
                needed.update(instr.slots)
        if self.choose(16) == 15:  # an input that nothing uses has no gradient, and that too must be right
            needed.update(i for i, instr in enumerate(self.instrs) if instr is None)
        inputs = [i for i, instr in enumerate(self.instrs) if instr is None and i in needed]
        kept = [(i, instr) for i, instr in enumerate(self.instrs) if instr is not None and i in needed]
        slot = {i: k for k, i in enumerate([*inputs, *(i for i, _ in kept)])}
        instrs = []
        for _, instr in kept:
            args = tuple(a if isinstance(a, Scalar) else slot[a] for a in instr.args)
            instrs.append(Instr(instr.op, args, instr.params))
        specs = tuple(Spec(self.shapes[i], self.kinds[i], self.domains[i]) for i in inputs)
        return Program(specs, tuple(instrs), tuple(slot[i] for i in outputs))

    def _cone(self, i: int) -> int:
        """How many instructions node i needs, itself included."""
        needed = {i}
        for j in range(i, -1, -1):
            instr = self.instrs[j]
            if j in needed:
                needed.discard(j) if instr is None else needed.update(instr.slots)
        return len(needed)

    def _live_output(self, outputs: list[int], allowed: frozenset[str]) -> int:
        """A node whose gradient has elements: joined with an output that has none, another instruction, or an input."""
        alive = [i for i, instr in enumerate(self.instrs) if instr is None and self.live[i]]
        source = alive[0] if alive else self.new_input(())
        dead = outputs[0] if outputs else None
        if dead is not None:
            joint = self._joint(self.shapes[dead], self.shapes[source])
            if joint is not None and 0 not in joint[0]:
                join = "where" if self.kinds[dead] == "bool" else "mul"
                args: tuple[int | Scalar, ...] = (dead, source, Scalar(0.5)) if join == "where" else (source, dead)
                if join in allowed and self.kinds[dead] != "int":
                    self.new_instr(join, args, (), joint[0], "float", (-LIMIT, LIMIT))
                    outputs.remove(dead)
                    return len(self.instrs) - 1
        others = [i for i, instr in enumerate(self.instrs) if instr is not None and self.live[i]]
        return others[-1] if others else source


def generate(
    choose: Choose,
    *,
    max_instrs: int = 15,
    ops: tuple[str, ...] | None = None,
    max_inputs: int = 4,
    int_inputs: bool = True,
) -> Program:
    """Build a program from choices: at least one output has a gradient with elements in some input.

    Args:
        choose: returns one of 0 .. n-1; 0 is the simplest.
        max_instrs: at most so many instructions, before the ones that no output needs are dropped.
        ops: the names to draw from; by default the whole vocabulary.
        int_inputs: int tensors may meet float ones in arithmetic and comparisons.

    Raises:
        ValueError: ops names an op that does not exist, or none.
    """
    names = check_ops(ops)
    draft = _Draft(choose, max_inputs, int_inputs=int_inputs)
    made = 0
    while made < max_instrs:
        if made and choose(20) == 0:  # 0 ends the program
            break
        if not any(draft.grow(name) for name in _some(names, choose(len(names)))):
            break
        made += 1
    return draft.finish(names, max_instrs)


def _some(names: tuple[str, ...], first: int) -> list[str]:
    """The name at a place and those that follow it, around the end, each once: enough that one of them fits."""
    found: list[str] = []
    for k in range(first, first + len(names)):
        name = names[k % len(names)]
        if name not in found:
            found.append(name)
            if len(found) == 8:
                break
    return found


@dataclass(frozen=True)
class Draw:
    """A program with what made it, so that `harness.strategies.simplest` can look for a simpler one.

    Attributes:
        choices: what was chosen, in order, wherever there was more than one thing to choose from.
        max_instrs: the longest that the program could have become.
        ops: the names that it was drawn from; None for all.
    """

    program: Program
    choices: tuple[int, ...] = ()
    max_instrs: int = 15
    ops: tuple[str, ...] | None = None


def draw(seed: int, *, max_instrs: int = 15, ops: tuple[str, ...] | None = None) -> Draw:
    """Draw the program of a seed: most are short, where a defect shows best; one in LONG may become as long as it likes.

    >>> draw(7).program == draw(7).program
    True
    """
    rng = random.Random(seed)
    if rng.random() * LONG >= 1:
        max_instrs = min(max_instrs, 1 + int(rng.expovariate(1 / SHORT)))
    choices: list[int] = []

    def choose(n: int) -> int:
        if n == 1:
            return 0
        choices.append(int(rng.random() * n))
        return choices[-1]

    program = generate(choose, max_instrs=max_instrs, ops=ops)
    return Draw(program, tuple(choices), max_instrs, ops)


LONG: Final = 8
SHORT: Final = 7  # the mean of how long the others may become; what no output needs goes, so that they are half as long


def random_program(
    rng: random.Random,
    *,
    max_instrs: int = 15,
    ops: tuple[str, ...] | None = None,
    max_inputs: int = 4,
    int_inputs: bool = True,
) -> Program:
    """Build a program from a seeded source, with `generate`'s options; several times as fast as through Hypothesis."""

    def choose(n: int) -> int:
        return int(rng.random() * n)

    return generate(choose, max_instrs=max_instrs, ops=ops, max_inputs=max_inputs, int_inputs=int_inputs)
