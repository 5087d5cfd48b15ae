"""Hypothesis strategies for sessions of tape actions, valid by construction apart from mistakes made on purpose.

`sessions()` draws a list of intentions: a kind of action and four small numbers. `build` turns any such list into a
session: a light model of the tape (shapes, who requires grad, which graphs are freed, which saved values were written
to) decides which name a number stands for, and an intention that cannot be carried out is left out. Because each
intention means something by itself, deleting any of them leaves a session: that is what makes failures shrink well.

Values are small integers and halves, and the model bounds the bits that a result or a gradient can need, so that
arithmetic is exact in float64 and two frameworks must agree in every bit.

Kept out: writes through `.data` and `numpy()`, node hooks of an output of unbind (PyTorch gives such a node a gradient
for each output), flags set on tensors that were saved, zero_ of an expanded tensor (which PyTorch alone lets through), and
detach_ of one that retains its grad (a recorded write to it then fails an internal assertion of PyTorch 2.13).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from harness.programs import Param
from harness.sessions import HOOKS, Action, Session

__all__ = [
    "DETACH_SAVED",
    "NON_LEAF_INPUTS",
    "OVERWRITTEN",
    "PART_WRITES_ARE_FREED",
    "SECOND_ORDER_UNDER_NO_GRAD",
    "Intention",
    "build",
    "intentions",
    "sessions",
]

Shape = tuple[int, ...]
SHAPES: tuple[Shape, ...] = ((), (2,), (3,), (2, 3), (1,), (2, 1), (1, 3), (2, 2), (0,))
FULL = ("slice", None, None, None)
NON_LEAF_INPUTS = "non-leaf inputs"
OVERWRITTEN = "in-place ops that need what they overwrite"
DETACH_SAVED = "detach_ of a saved value"
PART_WRITES_ARE_FREED = "backward again through a write to a part"
SECOND_ORDER_UNDER_NO_GRAD = "create_graph under no_grad"
MAX_BITS = 30
MAX_NAMES = 8

# How often each kind is intended.
WEIGHTS = {
    "leaf": 4,
    "unary": 4,
    "binary": 6,
    "sum": 4,
    "view": 3,
    "getitem": 2,
    "in_place": 4,
    "setitem": 2,
    "detach": 3,
    "detach_": 1,
    "requires_grad_": 1,
    "retain_grad": 1,
    "assign_grad": 1,
    "zero_grad": 2,
    "clear_grad": 2,
    "take_grad": 1,
    "backward": 8,
    "backward_many": 1,
    "grad": 2,
    "sgd_step": 2,
    "hook": 2,
    "unhook": 1,
    "unbind": 1,
    "deepcopy": 1,
    "enter": 1,
    "exit": 1,
    "alias": 1,
    "drop": 1,
}


@dataclass(frozen=True)
class Intention:
    """What to do next; the numbers pick names, shapes and values from whatever is there when it is carried out."""

    kind: str
    a: int = 0
    b: int = 0
    c: int = 0
    d: int = 0


@dataclass(eq=False)
class _Node:
    """A recorded op: what it leads to, and the (storage, version) pairs that it saved."""

    parents: tuple[_Node, ...] = ()
    saved: tuple[tuple[_Storage, int], ...] = ()
    freed: bool = False
    writes_a_part: bool = False


@dataclass(eq=False)
class _Storage:
    version: int = 0


@dataclass(eq=False)
class _Family:
    """A tensor and its views: they share one history.

    Attributes:
        protected: the root is a leaf that requires grad, or was one: writes need grad mode off.
    """

    protected: bool = False


@dataclass(eq=False)
class _Tensor:
    """What the model knows of a tensor.

    Attributes:
        whole, part: its values need at most so many bits before the point and after it.
        plain: it is surely laid out in the order of its indices, so that a reshape is a view in every framework.
    """

    shape: Shape
    whole: int
    part: int
    requires_grad: bool = False
    node: _Node | None = None
    storage: _Storage = field(default_factory=_Storage)
    family: _Family = field(default_factory=_Family)
    is_view: bool = False
    expanded: bool = False
    plain: bool = True
    is_leaf: bool = True
    grad: tuple[int, int] | None = None
    one_of_several: bool = False
    retains_grad: bool = False

    @property
    def saved(self) -> tuple[_Storage, int]:
        return self.storage, self.storage.version

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def has_literal(self) -> bool:
        """Say whether nested lists can spell its shape."""
        return 0 not in self.shape[:-1]


def _values(shape: Shape, seed: int) -> Param:
    """Nested tuples of integers from -3 to 3, and 0.5; the seed 0 gives ones."""
    count = iter(range(10_000))

    def make(rest: Shape) -> Param:
        if rest:
            return tuple(make(rest[1:]) for _ in range(rest[0]))
        k = next(count)
        return 1.0 if seed == 0 else (2.0, -1.0, 0.0, 3.0, 1.0, -2.0, 0.5, -3.0)[(seed + k * (1 + seed % 3)) % 8]

    return make(shape)


def _broadcast(a: Shape, b: Shape) -> Shape | None:
    out = []
    for k in range(1, max(len(a), len(b)) + 1):
        m, n = (s[-k] if k <= len(s) else 1 for s in (a, b))
        if m != n and 1 not in (m, n):
            return None
        out.append(n if m == 1 else m)
    return tuple(reversed(out))


class _Model:
    """The tape as far as it takes to intend what is possible. Each method returns an action or None."""

    def __init__(self, without: frozenset[str]) -> None:
        self.without = without
        self.tensors: dict[str, _Tensor] = {}
        self.made = 0
        self.modes: list[bool] = [True]
        # relu and abs do not go with create_graph: whether a derivative that is 0 has a graph is nobody's promise.
        self.has_kinks = False
        self.has_second_order = False
        self.ever_saved: list[_Storage] = []
        self.hooks = 0
        self.doublings = 0  # by hooks: each costs the gradients one bit

    # Names and choices

    def pick(self, number: int, *, where: Callable[[_Tensor], object] | None = None) -> tuple[str, _Tensor] | None:
        """The name that the number stands for, counted from the newest, among those that `where` admits."""
        names = [name for name in reversed(self.tensors) if where is None or where(self.tensors[name])]
        if not names:
            return None
        name = names[number % len(names)]
        return name, self.tensors[name]

    def bind(self, tensor: _Tensor, choice: int) -> str:
        """Bind a new name, or (seldom, and always when there are many) an old one."""
        if self.tensors and (choice % 8 == 7 or len(self.tensors) >= MAX_NAMES):
            name = list(self.tensors)[choice % len(self.tensors)]
        else:
            name = f"t{self.made}"
            self.made += 1
        self.tensors.pop(name, None)
        self.tensors[name] = tensor
        return name

    def record(self, result: _Tensor, inputs: Sequence[_Tensor], saved: Sequence[_Tensor]) -> _Tensor:
        result.plain &= all(t.plain for t in inputs)
        if self.modes[-1] and any(t.requires_grad for t in inputs):
            result.requires_grad, result.is_leaf = True, False
            parents = tuple(t.node for t in inputs if t.node is not None)
            result.node = _Node(parents, tuple(t.saved for t in saved))
            self.ever_saved += [t.storage for t in saved]
        return result

    def is_saved(self, t: _Tensor) -> bool:
        return any(storage is t.storage for storage in self.ever_saved)

    def reach(self, roots: Sequence[_Node]) -> list[_Node]:
        seen: dict[int, _Node] = {}
        stack = list(roots)
        while stack:
            node = stack.pop()
            if id(node) not in seen:
                seen[id(node)] = node
                stack.extend(node.parents)
        return list(seen.values())

    def runs(self, tensor: _Tensor) -> bool:
        """Say whether a backward from the tensor meets neither freed nor overwritten values."""
        if tensor.node is None:
            return False
        return all(
            not (node.freed and node.saved) and all(storage.version == version for storage, version in node.saved)
            for node in self.reach([tensor.node])
        )

    def admits(self, op: str) -> bool:
        if op in ("abs_", "square_") and OVERWRITTEN in self.without:
            return False
        kink = op in ("relu", "abs", "relu_", "abs_")
        self.has_kinks |= kink and not self.has_second_order
        return not (kink and self.has_second_order)

    # Making tensors

    def leaf(self, i: Intention) -> Action | None:
        shape = SHAPES[i.a % len(SHAPES)]
        wants = i.b % 4 != 3
        tensor = _Tensor(shape, 2, 1, wants, _Node() if wants else None, family=_Family(wants))
        values = _values(shape, i.c)
        return Action("leaf", self.bind(tensor, i.d), params={"values": values, "requires_grad": wants})

    def unary(self, i: Intention) -> Action | None:
        picked = self.pick(i.a)
        if picked is None:
            return None
        name, x = picked
        op = ("neg", "square", "relu", "clone", "abs")[i.b % 5]
        if not self.admits(op):
            return None
        factor = 2 if op == "square" else 1
        y = _Tensor(x.shape, x.whole * factor, x.part * factor)
        if y.whole + y.part > MAX_BITS:
            return None
        self.record(y, [x], {"square": [x], "abs": [x], "relu": [y]}.get(op, []))
        return Action("unary", self.bind(y, i.d), (name,), {"op": op})

    def binary(self, i: Intention) -> Action | None:
        picked = self.pick(i.a)
        if picked is None:
            return None
        name, x = picked
        op = ("mul", "add", "sub")[i.c % 3]
        careless = i.d % 16 == 15
        other = self.pick(i.b, where=lambda t: careless or _broadcast(x.shape, t.shape) is not None)
        if other is None or i.b % 5 == 4:
            number = (2, 0.5, -1, 0)[i.b // 5 % 4]
            y = _Tensor(x.shape, x.whole + 2, x.part + 1)
            if y.whole + y.part > MAX_BITS:
                return None
            self.record(y, [x], [])
            return Action("binary", self.bind(y, i.d), (name,), {"op": op, "number": number})
        other_name, w = other
        shape = _broadcast(x.shape, w.shape)
        if shape is None:
            return Action("binary", f"t{self.made}", (name, other_name), {"op": op})
        if op == "mul":
            y = _Tensor(shape, x.whole + w.whole, x.part + w.part)
        else:
            y = _Tensor(shape, max(x.whole, w.whole) + 1, max(x.part, w.part))
        if y.whole + y.part > MAX_BITS:
            return None
        saved = [*([x] if w.requires_grad else []), *([w] if x.requires_grad else [])] if op == "mul" else []
        self.record(y, [x, w], saved)
        return Action("binary", self.bind(y, i.d), (name, other_name), {"op": op})

    def sum(self, i: Intention) -> Action | None:
        picked = self.pick(i.a)
        if picked is None:
            return None
        name, x = picked
        params: dict[str, Param] = {}
        shape: Shape = ()
        if x.shape and i.b % 3 == 2:
            dim = i.c % len(x.shape)
            keepdim = bool(i.c // 4 % 2)
            params = {"dim": dim, "keepdim": keepdim}
            shape = (*x.shape[:dim], *([1] if keepdim else []), *x.shape[dim + 1 :])
        y = _Tensor(shape, x.whole + 3, x.part)
        if y.whole + y.part > MAX_BITS:
            return None
        self.record(y, [x], [])
        return Action("sum", self.bind(y, i.d), (name,), params)

    def viewed(self, x: _Tensor, shape: Shape, *, expanded: bool = False) -> _Tensor | None:
        y = _Tensor(shape, x.whole, x.part, storage=x.storage, family=x.family, is_view=True)
        y.expanded = expanded or x.expanded
        return self.record(y, [x], [])

    def view(self, i: Intention) -> Action | None:
        picked = self.pick(i.a)
        if picked is None:
            return None
        name, x = picked
        rank = len(x.shape)
        op = ("reshape", "transpose", "unsqueeze", "expand", "flatten", "permute")[i.b % 6]
        params: dict[str, Param] = {}
        if op in ("reshape", "flatten") and not x.plain:
            return None
        if op == "reshape":
            shape = ((x.size,), (1, x.size), (*x.shape, 1), tuple(reversed(x.shape)))[i.c % 4]
            params = {"shape": shape}
        elif op == "transpose" and rank >= 2:
            shape = (x.shape[1], x.shape[0], *x.shape[2:])
            params = {"dim0": 0, "dim1": 1}
        elif op == "unsqueeze" and rank < 3:
            dim = i.c % (rank + 1)
            shape = (*x.shape[:dim], 1, *x.shape[dim:])
            params = {"dim": dim}
        elif op == "expand" and rank < 3:
            shape = (2, *(3 if n == 1 and i.c % 2 else n for n in x.shape))
            params = {"shape": shape}
        elif op == "permute" and rank >= 2:
            shape = tuple(reversed(x.shape))
            params = {"dims": tuple(reversed(range(rank)))}
        elif op == "flatten" and rank != 1:
            shape = (x.size,)
        else:
            return None
        y = self.viewed(x, shape, expanded=op == "expand")
        if y is not None:
            y.plain = x.plain and op in ("reshape", "flatten", "unsqueeze")
        return None if y is None else Action("view", self.bind(y, i.d), (name,), {"op": op, **params})

    def index(self, shape: Shape, b: int, c: int) -> tuple[tuple[Param, ...], Shape]:
        """A basic index into a tensor of rank 1 or more with elements, and the shape of what it selects.

        Slices that select everything are left out: PyTorch calls a write through one a write to the tensor itself.
        """
        n = shape[0]
        if b % 3 == 0:
            return (c % n,), shape[1:]
        if b % 3 == 1:
            start = 1 + c % n
            return (("slice", start, None, None),), (n - start, *shape[1:])
        return ("...", ("slice", None, None, 2)), (*shape[:-1], -(-shape[-1] // 2))

    def getitem(self, i: Intention) -> Action | None:
        picked = self.pick(i.a, where=lambda t: t.shape and t.size)
        if picked is None:
            return None
        name, x = picked
        index, shape = self.index(x.shape, i.b, i.c)
        y = self.viewed(x, shape)
        if y is not None:
            y.plain = False
        return None if y is None else Action("getitem", self.bind(y, i.d), (name,), {"index": index})

    def detach(self, i: Intention) -> Action | None:
        picked = self.pick(i.a)
        if picked is None:
            return None
        name, x = picked
        y = _Tensor(x.shape, x.whole, x.part, storage=x.storage, expanded=x.expanded, plain=x.plain)
        return Action("detach", self.bind(y, i.d), (name,))

    def alias(self, i: Intention) -> Action | None:
        picked = self.pick(i.a)
        if picked is None or len(self.tensors) >= MAX_NAMES:
            return None
        return Action("alias", self.bind(picked[1], 0), (picked[0],))

    def drop(self, i: Intention) -> Action | None:
        picked = self.pick(i.a)
        if picked is None or len(self.tensors) < 2:
            return None
        del self.tensors[picked[0]]
        return Action("drop", args=(picked[0],))

    # Writing

    def writable(self, t: _Tensor, *, careless: bool = False) -> bool:
        """Say whether t may be written to: a leaf that requires grad only with grad mode off, or carelessly."""
        if t.expanded and not careless:
            return False
        return (careless and t.requires_grad) or not (self.modes[-1] and t.family.protected)

    def written(
        self,
        x: _Tensor,
        other: _Tensor | None,
        whole: int,
        part: int,
        saved: Sequence[_Tensor] = (),
        *,
        saves_a_copy: bool = False,
    ) -> None:
        """Note a write to x: version, bits of all that share the storage, and the history of the whole family."""
        before = [t.saved for t in saved]
        self.ever_saved += [t.storage for t in saved]
        x.storage.version += 1
        node = None
        inputs = [t for t in (x, other) if t is not None]
        if self.modes[-1] and any(t.requires_grad for t in inputs):
            node = _Node(tuple(t.node for t in inputs if t.node is not None), tuple(before))
            if saves_a_copy or x.is_view:
                # A copy that nobody can write to; PyTorch frees the node of a write to a part whatever it saved.
                node.saved = (*node.saved, (_Storage(), 0))
                node.writes_a_part = True
        for t in self.tensors.values():
            if t.storage is x.storage:
                t.whole, t.part = max(t.whole, whole), max(t.part, part)
                if node is not None and t.family is x.family:
                    t.requires_grad, t.is_leaf = True, False
                    t.node = _Node((node, *([t.node] if t.node is not None and t is not x else [])))

    def in_place(self, i: Intention) -> Action | None:
        careless = i.d % 16 == 15
        picked = self.pick(i.a, where=lambda t: self.writable(t, careless=careless))
        if picked is None:
            return None
        name, x = picked
        op = ("add_", "mul_", "copy_", "zero_", "sub_", "copy_", "neg_", "fill_", "relu_", "square_", "abs_")[i.b % 11]
        if op in ("zero_", "neg_", "relu_", "abs_", "square_", "fill_"):
            factor = 2 if op == "square_" else 1
            if (
                (x.whole + x.part) * factor > MAX_BITS
                or not self.admits(op)
                or (x.expanded and op in ("zero_", "fill_"))
            ):
                return None
            number: dict[str, Param] = {"number": (1, 2.5, 0)[i.c % 3]} if op == "fill_" else {}
            if not (careless and not self.writable(x)):
                whole, part = max(3, x.whole * factor), max(1, x.part * factor)
                # square_ and abs_ save a copy of what they overwrite.
                self.written(x, None, whole, part, saves_a_copy=op in ("square_", "abs_"))
            return Action("in_place", args=(name,), params={"op": op, **number})
        other = self.pick(i.c, where=lambda t: _broadcast(x.shape, t.shape) == x.shape and t.storage is not x.storage)
        if other is None or i.c % 3 == 2:
            if op == "copy_":
                return None
            whole, part = x.whole + 2, x.part + 1
            if whole + part > MAX_BITS:
                return None
            if not (careless and not self.writable(x)):
                self.written(x, None, whole, part)
            return Action("in_place", args=(name,), params={"op": op, "number": (2, -1, 0.5, 0)[i.c // 3 % 4]})
        other_name, w = other
        whole, part = max(x.whole, w.whole) + 1, max(x.part, w.part)
        if op == "mul_":
            whole, part = x.whole + w.whole, x.part + w.part
        if whole + part > MAX_BITS:
            return None
        if not (careless and not self.writable(x)):
            by_w = op == "mul_" and w.requires_grad
            if by_w and OVERWRITTEN in self.without:
                return None
            saved = [w] if op == "mul_" and x.requires_grad else []
            self.written(x, w, whole, part, saved, saves_a_copy=by_w)
        return Action("in_place", args=(name, other_name), params={"op": op})

    def setitem(self, i: Intention) -> Action | None:
        careless = i.d % 16 == 15
        picked = self.pick(i.a, where=lambda t: t.shape and t.size and self.writable(t, careless=careless))
        if picked is None:
            return None
        name, x = picked
        index, shape = self.index(x.shape, i.b, i.b // 3)
        other = self.pick(i.c, where=lambda t: _broadcast(shape, t.shape) == shape and t.storage is not x.storage)
        fails = careless and not self.writable(x)
        if other is None or i.c % 3 == 2:
            if not fails:
                self.written(x, None, max(3, x.whole), max(1, x.part), saves_a_copy=True)
            return Action("setitem", args=(name,), params={"index": index, "number": (5, 0, 0.5)[i.c // 3 % 3]})
        other_name, w = other
        if not fails:
            self.written(x, w, max(x.whole, w.whole), max(x.part, w.part), saves_a_copy=True)
        return Action("setitem", args=(name, other_name), params={"index": index})

    # Flags and gradients

    def detach_(self, i: Intention) -> Action | None:
        picked = self.pick(i.a, where=lambda t: (not t.is_view or i.d % 16 == 15) and not t.retains_grad)
        if picked is None:
            return None
        name, x = picked
        if DETACH_SAVED in self.without and self.is_saved(x):
            return None
        x.requires_grad, x.is_leaf, x.node = False, True, None
        return Action("detach_", args=(name,))

    def requires_grad_(self, i: Intention) -> Action | None:
        careless = i.d % 16 == 15
        picked = self.pick(i.a, where=lambda t: t.is_leaf or careless)
        if picked is None:
            return None
        name, x = picked
        flag = i.b % 4 != 3
        if flag and not x.requires_grad and self.is_saved(x):
            # PyTorch saves the tensor itself, and sees the flag in a backward that is recorded.
            return None
        if x.is_leaf:
            x.requires_grad = flag
            x.node = (x.node or _Node()) if flag else None
            x.family.protected |= flag
        return Action("requires_grad_", args=(name,), params={"flag": flag})

    def has_views(self, x: _Tensor) -> bool:
        return any(t.family is x.family and t is not x for t in self.tensors.values())

    def retain_grad(self, i: Intention) -> Action | None:
        picked = self.pick(i.a, where=lambda t: t.requires_grad or i.d % 16 == 15)
        if picked is None:
            return None
        picked[1].retains_grad = True
        return Action("retain_grad", args=(picked[0],))

    def assign_grad(self, i: Intention) -> Action | None:
        picked = self.pick(i.a, where=lambda t: t.is_leaf and t.has_literal)
        if picked is None:
            return None
        name, x = picked
        shape = (2, *x.shape) if i.d % 16 == 15 else x.shape
        if shape == x.shape:
            x.grad = (2, 1)
        return Action("assign_grad", args=(name,), params={"values": _values(shape, i.c)})

    def with_grad(self, i: Intention) -> tuple[str, _Tensor] | None:
        return self.pick(i.a, where=lambda t: t.is_leaf and (t.grad is not None or i.d % 16 == 15))

    def zero_grad(self, i: Intention) -> Action | None:
        picked = self.with_grad(i)
        return None if picked is None else Action("zero_grad", args=(picked[0],))

    def clear_grad(self, i: Intention) -> Action | None:
        picked = self.with_grad(i)
        if picked is None:
            return None
        picked[1].grad = None
        return Action("clear_grad", args=(picked[0],))

    def take_grad(self, i: Intention) -> Action | None:
        picked = self.with_grad(i)
        if picked is None or picked[1].grad is None:
            return None if picked is None else Action("take_grad", f"t{self.made}", (picked[0],))
        name, x = picked
        whole, part = picked[1].grad
        # Writes to the buffer would have to be tracked in the bits of x.grad: it is only read.
        g = _Tensor(x.shape, whole, part, expanded=True)
        return Action("take_grad", self.bind(g, i.d), (name,))

    def may_step(self, t: _Tensor) -> bool:
        return t.is_leaf and t.requires_grad and not t.expanded and t.grad is not None

    def sgd_step(self, i: Intention) -> Action | None:
        picked = self.pick(i.a, where=self.may_step)
        if picked is None or picked[1].grad is None:
            return None
        name, x = picked
        whole, part = max(x.whole, picked[1].grad[0]) + 2, max(x.part, picked[1].grad[1]) + 1
        if whole + part > MAX_BITS:
            return None
        x.storage.version += 1
        for t in self.tensors.values():
            if t.storage is x.storage:
                t.whole, t.part = whole, part
        return Action("sgd_step", args=(name,), params={"rate": (1, 0.5, 2)[i.b % 3]})

    # Backward

    def ran(self, roots: Sequence[_Tensor], *, keep: bool, inputs: Sequence[_Tensor] = ()) -> None:
        whole = max(t.whole for t in roots) + 8 + self.doublings
        part = max(t.part for t in roots) + 1 + self.doublings
        reached = self.reach([t.node for t in roots if t.node is not None])
        if not keep:
            for node in reached:
                node.freed = True
        ids = {id(node) for node in reached}
        for t in self.tensors.values():
            if t.is_leaf and t.requires_grad and id(t.node) in ids and (not inputs or t in inputs):
                old = t.grad or (0, 0)
                t.grad = (max(old[0], whole) + 1, max(old[1], part))

    def flags(self, i: Intention) -> dict[str, Param]:
        choice = i.c % 6
        allowed = self.modes[-1] or SECOND_ORDER_UNDER_NO_GRAD not in self.without
        if choice == 3 and allowed and not self.has_kinks:
            self.has_second_order = True
            return {"create_graph": True}
        return {"retain_graph": True} if choice in (1, 5) else {}

    def root(self, number: int, *, careless: bool) -> tuple[str, _Tensor] | None:
        def admits(t: _Tensor) -> bool:
            if careless:
                return t.has_literal and (t.node is None or self.may_be_stale(t))
            return t.has_literal and t.requires_grad and self.runs(t)

        return self.pick(number, where=admits)

    def backward(self, i: Intention) -> Action | None:
        # Mistakes: a root whose graph may be freed or written to; any root; a gradient of a wrong shape, or none.
        mistake = {7: "stale", 15: "stale", 14: "root", 13: "shape", 12: "no gradient"}.get(i.d % 16, "")
        if mistake == "stale":
            picked = self.pick(i.a, where=self.may_be_stale)
        else:
            picked = self.root(i.a, careless=mistake == "root")
        if picked is None:
            return None
        name, y = picked
        flags = self.flags(i)
        params: dict[str, Param] = dict(flags)
        if (y.size != 1 or i.b % 4 == 3) and mistake != "no gradient":
            shape = (1, *y.shape) if mistake == "shape" else y.shape
            params["gradient"] = _values(shape, i.b)
        inputs: tuple[str, ...] = ()
        if i.b % 5 == 4:
            chosen = self.pick(i.d, where=lambda t: self.may_be_input(t, mistake=mistake))
            inputs = () if chosen is None else (chosen[0],)
        accepted = mistake != "shape" if "gradient" in params else y.size == 1
        if self.runs(y) and accepted:
            into = [self.tensors[n] for n in inputs]
            self.ran([y], keep=bool(flags), inputs=into)
            for t in into:
                t.retains_grad = True
        return Action("backward", args=(name, *inputs), params=params)

    def may_be_stale(self, t: _Tensor) -> bool:
        if t.node is None or not t.requires_grad or not t.has_literal:
            return False
        again = any(node.freed and node.writes_a_part for node in self.reach([t.node]))
        return not again or PART_WRITES_ARE_FREED not in self.without

    def may_be_input(self, t: _Tensor, *, mistake: str) -> bool:
        if not t.requires_grad:
            return mistake == "root" and NON_LEAF_INPUTS not in self.without
        return t.is_leaf or NON_LEAF_INPUTS not in self.without

    def backward_many(self, i: Intention) -> Action | None:
        first, second = (self.root(k, careless=False) for k in (i.a, i.b))
        if first is None or second is None:
            return None
        names, roots = (first[0], second[0]), (first[1], second[1])
        gradients = tuple(None if t.size == 1 else _values(t.shape, i.d) for t in roots)
        flags = self.flags(i)
        self.ran(roots, keep=bool(flags))
        return Action("backward_many", args=names, params={"gradients": gradients, **flags})

    def grad(self, i: Intention) -> Action | None:
        picked = self.root(i.a, careless=False)
        if picked is None:
            return None
        name, y = picked
        assert y.node is not None
        ids = {id(node) for node in self.reach([y.node])}
        careless = i.d % 16 == 15
        wanted = self.pick(i.b, where=lambda t: careless or (t.node is not None and id(t.node) in ids))
        if wanted is None or y.whole + y.part + 10 > MAX_BITS:
            return None
        x_name, x = wanted
        params = self.flags(i)
        if y.size != 1:
            params = {**params, "gradient": _values(y.shape, i.d)}
        if x.node is None or id(x.node) not in ids:
            return Action("grad", f"t{self.made}", (name, x_name), params)
        if "retain_graph" not in params and "create_graph" not in params:
            for node in self.reach([y.node]):
                node.freed = True
        g = _Tensor(x.shape, y.whole + 9, y.part + 1)
        if "create_graph" in params:
            # Which leaves the gradient depends on is not modelled: nobody goes backward from it on purpose.
            g.is_leaf = False
        return Action("grad", self.bind(g, i.d), (name, x_name), params)

    # Hooks and copies

    def hook(self, i: Intention) -> Action | None:
        on = HOOKS[i.b % 8 % 5 % 4]
        careless = i.d % 16 == 15
        # PyTorch hands the hooks of a node with several outputs one gradient for each.
        picked = self.pick(
            i.a, where=lambda t: (careless or self.may_hook(t, on)) and (on == "tensor" or not t.one_of_several)
        )
        if picked is None:
            return None
        params: dict[str, Param] = {"on": on}
        if on == "tensor" and i.c % 2 and self.doublings < 3 and not self.has_second_order:
            params["factor"] = (2.0, -1.0, 0.5)[i.c % 3]
            self.doublings += 1
        self.hooks += self.may_hook(picked[1], on)
        return Action("hook", args=(picked[0],), params=params)

    def may_hook(self, t: _Tensor, on: str) -> bool:
        if on == "accumulated":
            return t.requires_grad and t.is_leaf
        return t.requires_grad and (on == "tensor" or not t.is_leaf)

    def unhook(self, i: Intention) -> Action | None:
        if not self.hooks:
            return None
        self.hooks -= 1
        return Action("unhook", params={"place": i.a % (self.hooks + 1)})

    def unbind(self, i: Intention) -> Action | None:
        picked = self.pick(i.a, where=lambda t: t.shape and t.size)
        if picked is None:
            return None
        name, x = picked
        y = self.viewed(x, x.shape[1:])
        if y is None:
            return None
        y.plain, y.one_of_several = False, True
        return Action("unbind", self.bind(y, i.d), (name,), {"place": i.c % x.shape[0]})

    def deepcopy(self, i: Intention) -> Action | None:
        careless = i.d % 16 == 15
        picked = self.pick(i.a, where=lambda t: t.plain and not (t.is_view or t.expanded) and (t.is_leaf or careless))
        if picked is None:
            return None
        name, x = picked
        if not x.is_leaf:
            return Action("deepcopy", f"t{self.made}", (name,))
        y = _Tensor(x.shape, x.whole, x.part, x.requires_grad, _Node() if x.requires_grad else None, grad=x.grad)
        y.family.protected = x.requires_grad
        return Action("deepcopy", self.bind(y, i.d), (name,))

    # Modes

    def enter(self, i: Intention) -> Action | None:
        if len(self.modes) > 3:
            return None
        self.modes.append(bool(i.a % 2))
        return Action("enter", params={"mode": ("no_grad", "enable_grad")[i.a % 2]})

    def exit(self, i: Intention) -> Action | None:
        if len(self.modes) == 1:
            return None
        self.modes.pop()
        return Action("exit")


def build(intended: Sequence[Intention], *, without: frozenset[str] = frozenset()) -> Session:
    """Carry out the intentions in order on the model; return the session of those that were possible.

    Args:
        without: what to leave out, by the constants of this module.
    """
    model = _Model(without)
    actions: list[Action] = []
    for intention in intended:
        if not model.tensors:
            intention = Intention("leaf", intention.a, intention.b, intention.c, 0)
        action = getattr(model, intention.kind)(intention)
        if action is not None:
            actions.append(action)
    return Session(tuple(actions))


def intentions() -> st.SearchStrategy[Intention]:
    """One kind of action and four numbers; they shrink towards a leaf of ones, the newest names and no mistakes."""
    kinds = [kind for kind, weight in WEIGHTS.items() for _ in range(weight)]
    number = st.integers(0, 47)
    # c and d come from one draw: the shrinker deletes runs of at most five draws, and a list adds one an element.
    both = st.integers(0, 16 * 48 - 1)
    return st.builds(
        lambda kind, a, b, cd: Intention(kind, a, b, cd % 48, cd // 48), st.sampled_from(kinds), number, number, both
    )


def sessions(*, max_actions: int = 25, without: frozenset[str] = frozenset()) -> st.SearchStrategy[Session]:
    """Draw a session of at most `max_actions` actions, without what `build` is told to leave out."""
    return st.lists(intentions(), min_size=1, max_size=max_actions).map(lambda i: build(i, without=without))
