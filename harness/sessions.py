"""A session is a script of tape actions on named tensors; replay it on two frameworks and compare after every action.

What one can do here: write a `Session` by hand, draw one with `harness.session_strategies.sessions()`, `replay` it on a
module with PyTorch's API, `compare` two replays, check one replay against the tape's own invariants with
`broken_invariants`, keep a session as JSON, and turn it into a stand-alone script with `to_source`.

An action becomes one Python statement, and that statement is what a replay executes and what the script contains, so a
script cannot do something else than the replay did. Names and parameters are checked when an action is made, so a
session from a foreign file holds nothing but the statements of the table below.

>>> session = Session((
...     Action("leaf", "t0", params={"values": (1.0, 2.0), "requires_grad": True}),
...     Action("binary", "t1", ("t0", "t0"), {"op": "mul"}),
...     Action("sum", "t2", ("t1",)),
...     Action("backward", args=("t2",)),
... ))
>>> print(session)
t0 = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
t1 = torch.mul(t0, t0)
t2 = t1.sum()
t2.backward()
"""

from __future__ import annotations

import copy
import functools
import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from types import CodeType
from typing import Any

import numpy as np

from harness.programs import Param

__all__ = [
    "ENGINE_ERRORS",
    "KINDS",
    "Action",
    "Difference",
    "ErrorNote",
    "Session",
    "Snapshot",
    "TensorState",
    "broken_invariants",
    "compare",
    "from_json",
    "replay",
    "to_json",
    "to_source",
]

MODULES = {"torch": "torch", "reference": "reference_impl"}


@dataclass(frozen=True)
class Action:
    """One statement: its kind, the name that it binds ("" for none), the names that it reads, and its parameters.

    Raises:
        ValueError: the kind is unknown, a name is not like `t7`, a parameter is missing or not plain data.
    """

    kind: str
    out: str = ""
    args: tuple[str, ...] = ()
    params: Mapping[str, Param] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind: {self.kind!r} is not one of {', '.join(sorted(KINDS))}")
        for name in (*self.args, *([self.out] if self.out else [])):
            if not isinstance(name, str) or not re.fullmatch(r"t\d{1,4}", name):
                raise ValueError(f"name: {name!r} is not like 't7'")
        for key, value in self.params.items():
            if not _is_literal(value):
                raise ValueError(f"{self.kind}: parameter {key} is not a literal: {value!r}")
        try:
            compile(self.source, "<action>", "exec")
        except (AttributeError, KeyError, IndexError, TypeError, SyntaxError) as error:
            raise ValueError(f"{self.kind}: {error!r} from args {self.args}, params {dict(self.params)}") from error

    def __hash__(self) -> int:
        return hash((self.kind, self.out, self.args, repr(sorted(self.params.items()))))

    @property
    def source(self) -> str:
        """The Python statement."""
        return KINDS[self.kind](self)


@dataclass(frozen=True)
class Session:
    """Actions in order."""

    actions: tuple[Action, ...]

    def __str__(self) -> str:
        return "\n".join(action.source for action in self.actions)


# The statements -------------------------------------------------------------------------------------------------------

UNARY = ("abs", "clone", "neg", "relu", "square")
BINARY = ("add", "mul", "sub")
VIEWS = ("expand", "flatten", "permute", "reshape", "transpose", "unsqueeze")
IN_PLACE = ("abs_", "add_", "copy_", "fill_", "mul_", "neg_", "relu_", "square_", "sub_", "zero_")
MODES = ("enable_grad", "no_grad")


def _is_literal(value: object) -> bool:
    """Say whether a parameter is plain data; strings are identifiers or "...", never code."""
    if isinstance(value, tuple):
        return all(_is_literal(v) for v in value)
    if isinstance(value, str):
        return value == "..." or value.isidentifier()
    return value is None or isinstance(value, bool | int | float)


def _one_of(action: Action, allowed: Sequence[str], key: str = "op") -> str:
    op = action.params[key]
    if op not in allowed:
        raise ValueError(f"{action.kind}: {key} {op!r} is not one of {', '.join(allowed)}")
    return str(op)


def _nested(value: Param) -> str:
    return "[" + ", ".join(map(_nested, value)) + "]" if isinstance(value, tuple) else repr(value)


def _literal_tensor(value: Param) -> str:
    return f"torch.tensor({_nested(value)}, dtype=torch.float64)"


def _index(index: Param) -> str:
    def item(i: Param) -> str:
        if i == "...":
            return "..."
        if isinstance(i, tuple):
            tag, start, stop, step = i
            if tag != "slice":
                raise ValueError(f"index: {i!r} is neither an int, None, '...' nor ('slice', start, stop, step)")
            return f"slice({start!r}, {stop!r}, {step!r})"
        return repr(i)

    items = index if isinstance(index, tuple) else (index,)
    return ", ".join(map(item, items)) + ("," if len(items) == 1 else "")


def _operand(action: Action, position: int) -> str:
    """The tensor at the position, or the number that stands in its place."""
    return action.args[position] if len(action.args) > position else repr(action.params["number"])


def _options(action: Action, *keys: str) -> list[str]:
    return [f"{key}={action.params[key]!r}" for key in keys if key in action.params]


def _leaf(a: Action) -> str:
    flag = ", requires_grad=True" if a.params.get("requires_grad") else ""
    return f"{a.out} = torch.tensor({_nested(a.params['values'])}, dtype=torch.float64{flag})"


def _in_place(a: Action) -> str:
    op = _one_of(a, IN_PLACE)
    needs_operand = op in ("add_", "copy_", "fill_", "mul_", "sub_")
    return f"{a.args[0]}.{op}({_operand(a, 1) if needs_operand else ''})"


def _view(a: Action) -> str:
    op = _one_of(a, VIEWS)
    keys: dict[str, tuple[str, ...]] = {
        "reshape": ("shape",),
        "expand": ("shape",),
        "permute": ("dims",),
        "transpose": ("dim0", "dim1"),
        "unsqueeze": ("dim",),
        "flatten": (),
    }
    values = ", ".join(repr(a.params[key]) for key in keys[op])
    return f"{a.out} = {a.args[0]}.{op}({values})"


def _backward(a: Action) -> str:
    """backward() of the first name; the other names are its `inputs`."""
    words = _options(a, "retain_graph", "create_graph")
    if "gradient" in a.params:
        words.insert(0, _literal_tensor(a.params["gradient"]))
    if len(a.args) > 1:
        words.append(f"inputs=[{', '.join(a.args[1:])}]")
    return f"{a.args[0]}.backward({', '.join(words)})"


def _backward_many(a: Action) -> str:
    words = [f"[{', '.join(a.args)}]"]
    gradients = a.params.get("gradients")
    if isinstance(gradients, tuple):
        words.append("[" + ", ".join("None" if g is None else _literal_tensor(g) for g in gradients) + "]")
    return f"torch.autograd.backward({', '.join([*words, *_options(a, 'retain_graph', 'create_graph')])})"


def _grad(a: Action) -> str:
    words = [a.args[0], a.args[1]]
    if "gradient" in a.params:
        words.append(_literal_tensor(a.params["gradient"]))
    words += _options(a, "retain_graph", "create_graph")
    # A copy: whether the result is the cotangent itself is nobody's promise (writing to it is nobody's business).
    return f"{a.out} = torch.autograd.grad({', '.join(words)})[0].clone()"


def _assign_grad(a: Action) -> str:
    return f"{a.args[0]}.grad = {_literal_tensor(a.params['values'])}"


def _hook(a: Action) -> str:
    """Register a function that notes what it was called with; a tensor hook may also scale the gradient."""
    name, on = a.args[0], _one_of(a, HOOKS, "on")
    if on == "tensor":
        factor = a.params.get("factor")
        tail = "" if factor is None else f" or g * {factor!r}"
        return f"hooks.append({name}.register_hook(lambda g: note({name!r}, g){tail}))"
    if on == "accumulated":
        register = f"{name}.register_post_accumulate_grad_hook"
        return f"hooks.append({register}(lambda p: note('accumulated {name}', p.grad)))"
    if on == "before_node":
        return f"hooks.append({name}.grad_fn.register_prehook(lambda g: note('before {name}', *g)))"
    return f"hooks.append({name}.grad_fn.register_hook(lambda given, taken: note('after {name}', *taken)))"


def _place(a: Action) -> int:
    place = a.params["place"]
    if type(place) is not int:
        raise ValueError(f"{a.kind}: place {place!r} is not an int")
    return place


HOOKS = ("tensor", "accumulated", "before_node", "after_node")

KINDS: dict[str, Callable[[Action], str]] = {
    "leaf": _leaf,
    "unary": lambda a: f"{a.out} = torch.{_one_of(a, UNARY)}({a.args[0]})",
    "binary": lambda a: f"{a.out} = torch.{_one_of(a, BINARY)}({a.args[0]}, {_operand(a, 1)})",
    "sum": lambda a: f"{a.out} = {a.args[0]}.sum({', '.join(_options(a, 'dim', 'keepdim'))})",
    "view": _view,
    "getitem": lambda a: f"{a.out} = {a.args[0]}[{_index(a.params['index'])}]",
    "in_place": _in_place,
    "setitem": lambda a: f"{a.args[0]}[{_index(a.params['index'])}] = {_operand(a, 1)}",
    "detach": lambda a: f"{a.out} = {a.args[0]}.detach()",
    "detach_": lambda a: f"{a.args[0]}.detach_()",
    "requires_grad_": lambda a: f"{a.args[0]}.requires_grad_({bool(a.params['flag'])})",
    "retain_grad": lambda a: f"{a.args[0]}.retain_grad()",
    "assign_grad": _assign_grad,
    "zero_grad": lambda a: f"{a.args[0]}.grad.zero_()",
    "clear_grad": lambda a: f"{a.args[0]}.grad = None",
    "take_grad": lambda a: f"{a.out} = {a.args[0]}.grad.detach()",
    "backward": _backward,
    "backward_many": _backward_many,
    "grad": _grad,
    "sgd_step": lambda a: f"with torch.no_grad(): {a.args[0]}.sub_({a.params['rate']!r} * {a.args[0]}.grad)",
    "enter": lambda a: f"modes.append(torch.{_one_of(a, MODES, 'mode')}()); modes[-1].__enter__()",
    "exit": lambda a: "modes.pop().__exit__(None, None, None)",
    "hook": _hook,
    "unhook": lambda a: f"hooks.pop({_place(a)}).remove()",
    "unbind": lambda a: f"{a.out} = {a.args[0]}.unbind()[{_place(a)}]",
    "deepcopy": lambda a: f"{a.out} = deepcopy({a.args[0]})",
    "alias": lambda a: f"{a.out} = {a.args[0]}",
    "drop": lambda a: f"del {a.args[0]}",
}

# Errors ---------------------------------------------------------------------------------------------------------------

PHRASES = {
    "freed graph": r"backward through the graph a second time",
    "saved value modified": r"modified by an inplace operation",
    "saved value detached": r"saved tensor that has been detached",
    "leaf inside": r"leaf variable has been moved into the graph interior",
    "not a scalar": r"implicitly created only for scalar outputs",
    "root without graph": r"does not require grad and does not have a grad_fn",
    "gradient shape": r"Mismatch in shape",
    "view of a leaf": r"a view of a leaf Variable that requires grad",
    "leaf in place": r"a leaf Variable that requires grad is being used in an in-place",
    "flag of a non-leaf": r"only change requires_grad flags of leaf variables",
    "retain_grad without grad": r"can't retain_grad on Tensor",
    "grad of another size": r"attempting to assign a gradient",
    "unused input": r"appears to not have been used in the graph",
    "input without grad": r"One of the differentiated Tensors does not require grad",
    "detach_ of a view": r"Can't detach views in-place",
    "write to an expanded tensor": r"more than one element of the written-to tensor",
    "shapes do not broadcast": r"must match the size of tensor b|match the broadcast shape|number of sizes provided",
    "view without recording": r"created in no_grad mode and (is being|its base)",
    "one of several views": r"function that returns multiple views",
    "hook without grad": r"cannot register a hook",
    "hook of a non-leaf": r"post accumulate grad hooks cannot be registered on non-leaf",
    "copy of a non-leaf": r"support the deepcopy protocol",
    "no grad yet": r"'?NoneType'?",
}
# Raised by a backward that has already run part of the graph, or (an unused input) all of it.
ENGINE_ERRORS = frozenset(
    {"freed graph", "saved value modified", "saved value detached", "unused input", "leaf inside"}
)


@dataclass(frozen=True)
class ErrorNote:
    """What an action raised: the class, the phrase that its message contains ("other" for none), the message."""

    kind: str
    phrase: str
    message: str


def _note(error: Exception) -> ErrorNote:
    message = str(error)
    phrase = next((name for name, pattern in PHRASES.items() if re.search(pattern, message)), "other")
    return ErrorNote(type(error).__name__, phrase, message)


# Replay ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TensorState:
    """Everything that is observed of one named tensor after an action.

    Attributes:
        is_leaf, has_grad_fn: whether it has a node; the class of the error if asking for it is refused.
        version: writes to its storage since the name was bound.
        value, grad: nested tuples of Python numbers; `grad` is None where there is none.
    """

    value: Any
    shape: tuple[int, ...]
    dtype: str
    requires_grad: bool
    is_leaf: bool | str
    has_grad_fn: bool | str
    retains_grad: bool
    version: int
    grad: Any
    grad_requires_grad: bool


@dataclass(frozen=True)
class Snapshot:
    """The state of all names after an action.

    Attributes:
        step: position of the action in the session.
        statement: its source.
        error: what it raised, or None.
        tensors: name -> state.
        shared: pairs of buffers ("t0", "t1.grad") that overlap in memory.
        same: pairs of names that are bound to one object.
        grad_mode: whether ops are recorded.
        calls: what hooks noted while the action ran, in order: a name and the gradients that they saw.
    """

    step: int
    statement: str
    error: ErrorNote | None
    tensors: Mapping[str, TensorState]
    shared: frozenset[tuple[str, str]]
    same: frozenset[tuple[str, str]]
    grad_mode: bool
    calls: tuple[tuple[str, Any], ...] = ()


def _tuples(array: Any) -> Any:
    def freeze(value: Any) -> Any:
        return tuple(map(freeze, value)) if isinstance(value, list) else value

    return freeze(array.tolist())


@functools.lru_cache(maxsize=4096)
def _code(source: str) -> CodeType:
    return compile(source, "<session>", "exec")


def _named_tensors(names: Mapping[str, Any]) -> dict[str, Any]:
    return {name: names[name] for name in names if name[0] == "t" and name[1:].isdigit()}


def _has_grad_fn(tensor: Any) -> bool | str:
    try:
        return tensor.grad_fn is not None
    except RuntimeError as error:  # the history of a view could not be brought up to date
        return type(error).__name__


def _is_leaf(tensor: Any) -> bool | str:
    try:
        return bool(tensor.is_leaf)
    except RuntimeError as error:
        return type(error).__name__


def _grad_of(tensor: Any) -> Any:
    try:
        return tensor.grad
    except RuntimeError:  # of a view without history there is none
        return None


def _observe(
    step: int, statement: str, error: ErrorNote | None, names: Mapping[str, Any], births: dict[str, tuple[Any, int]]
) -> Snapshot:
    tensors = _named_tensors(names)
    states, buffers = {}, {}
    for name, tensor in tensors.items():
        if name not in births or births[name][0] is not tensor:
            births[name] = (tensor, tensor._version)
        grad = _grad_of(tensor)
        buffers[name] = tensor.detach().numpy()
        if grad is not None:
            buffers[f"{name}.grad"] = grad.detach().numpy()
        states[name] = TensorState(
            value=_tuples(buffers[name]),
            shape=tuple(tensor.shape),
            dtype=str(tensor.dtype).removeprefix("torch."),
            requires_grad=tensor.requires_grad,
            # In this order: reading grad_fn may bring the history of a view up to date.
            has_grad_fn=_has_grad_fn(tensor),
            is_leaf=_is_leaf(tensor),
            retains_grad=bool(tensor.retains_grad),
            version=tensor._version - births[name][1],
            grad=None if grad is None else _tuples(buffers[f"{name}.grad"]),
            grad_requires_grad=grad is not None and grad.requires_grad,
        )
    shared = (pair for pair in combinations(sorted(buffers), 2) if np.shares_memory(*(buffers[b] for b in pair)))
    same = (pair for pair in combinations(sorted(tensors), 2) if tensors[pair[0]] is tensors[pair[1]])
    grad_mode = names["torch"].is_grad_enabled()
    calls = tuple(names["calls"])
    names["calls"].clear()
    return Snapshot(step, statement, error, states, frozenset(shared), frozenset(same), grad_mode, calls)


def _helpers() -> dict[str, Any]:
    """Return what statements call besides the framework."""
    calls: list[tuple[str, Any]] = []

    def note(name: str, *gradients: Any) -> None:
        calls.append((name, tuple(None if g is None else _tuples(g.detach().numpy()) for g in gradients)))

    return {"modes": [], "hooks": [], "calls": calls, "note": note, "deepcopy": copy.deepcopy}


def replay(session: Session, torch_module: Any) -> list[Snapshot]:
    """Execute the session on a module with PyTorch's API; return one snapshot an action.

    An action that raises is part of what is observed: the session goes on. Grad mode is restored at the end. Warnings
    (a non-leaf's `.grad` is read, a graph holds itself) are not observed.
    """
    names: dict[str, Any] = {"torch": torch_module, **_helpers()}
    births: dict[str, tuple[Any, int]] = {}
    snapshots = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for step, action in enumerate(session.actions):
                error = None
                try:
                    exec(_code(action.source), names)
                except Exception as raised:  # what a framework raises is an observation, whatever its class
                    error = _note(raised)
                snapshots.append(_observe(step, action.source, error, names, births))
        finally:
            while names["modes"]:
                names["modes"].pop().__exit__(None, None, None)
    return snapshots


# Comparison -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """Where two replays part: the step, its statement, the name ("" for the whole tape), the field, both values."""

    step: int
    statement: str
    name: str
    field: str
    a: Any
    b: Any

    def __str__(self) -> str:
        return f"step {self.step} ({self.statement}): {self.name or 'tape'}.{self.field}: {self.a!r} against {self.b!r}"


STATE_FIELDS = tuple(TensorState.__dataclass_fields__)


def _after_engine_error(snapshot: Snapshot) -> bool:
    return snapshot.error is not None and snapshot.error.phrase in ENGINE_ERRORS


def _differences(a: Snapshot, b: Snapshot) -> Iterator[Difference]:
    def difference(name: str, what: str, left: Any, right: Any) -> Difference:
        return Difference(a.step, a.statement, name, what, left, right)

    errors = [None if s.error is None else (s.error.kind, s.error.phrase) for s in (a, b)]
    if errors[0] != errors[1]:
        yield difference("", "error", a.error, b.error)
    for what in ("grad_mode", "same", "calls"):
        if getattr(a, what) != getattr(b, what):
            yield difference("", what, getattr(a, what), getattr(b, what))
    if a.tensors.keys() != b.tensors.keys():
        yield difference("", "names", sorted(a.tensors), sorted(b.tensors))
    # A backward that fails midway leaves the grads of the leaves that it reached unspecified.
    unspecified = ("grad", "grad_requires_grad") if _after_engine_error(a) or _after_engine_error(b) else ()
    if not unspecified and a.shared != b.shared:
        yield difference("", "shared", sorted(a.shared - b.shared), sorted(b.shared - a.shared))
    for name in sorted(a.tensors.keys() & b.tensors.keys()):
        for what in STATE_FIELDS:
            left, right = getattr(a.tensors[name], what), getattr(b.tensors[name], what)
            if what not in unspecified and left != right:
                yield difference(name, what, left, right)


def compare(snapshots_a: Sequence[Snapshot], snapshots_b: Sequence[Snapshot]) -> list[Difference]:
    """Return what differs at the first step where the two replays differ; an empty list where none does.

    Equality is exact (0.0 equals -0.0: the sign of a zero gradient is a matter of the formula), so the session has to
    keep to values on which arithmetic is exact. The comparison ends with a backward that failed midway in both: what it
    left in the leaves and which nodes it freed is unspecified.

    Raises:
        ValueError: nothing to compare, or the replays are not of one session.
    """
    if not snapshots_a or [s.statement for s in snapshots_a] != [s.statement for s in snapshots_b]:
        raise ValueError(f"replays of {len(snapshots_a)} and {len(snapshots_b)} steps are not of one session")
    for a, b in zip(snapshots_a, snapshots_b, strict=True):
        found = list(_differences(a, b))
        if found or _after_engine_error(a):
            return found
    return []


def broken_invariants(snapshots: Sequence[Snapshot]) -> list[Difference]:
    """Check one replay against what holds for every tape; return the violations at the first step that has any.

    A leaf is a tensor without a node; only tensors that require grad have one; a refused action leaves values, grads
    and versions alone; no two tensors share a grad buffer.
    """
    before: Snapshot | None = None
    for now in snapshots:
        found = []
        for name, state in now.tensors.items():
            if state.is_leaf == state.has_grad_fn or (state.has_grad_fn and not state.requires_grad):
                found.append(Difference(now.step, now.statement, name, "is_leaf", state.is_leaf, state.has_grad_fn))
        for pair in now.shared:
            if all(buffer.endswith(".grad") for buffer in pair):
                names = tuple(buffer.removesuffix(".grad") for buffer in pair)
                if names not in now.same:
                    found.append(Difference(now.step, now.statement, "", "shared grads", pair, ()))
        if now.error is not None and before is not None and not _after_engine_error(now):
            changed = [n for n in before.tensors if before.tensors[n] != now.tensors.get(n)]
            found += [
                Difference(now.step, now.statement, n, "refused", before.tensors[n], now.tensors.get(n))
                for n in changed
            ]
        if found or _after_engine_error(now):
            return found
        before = now
    return []


# Text -----------------------------------------------------------------------------------------------------------------


def to_json(session: Session) -> str:
    """Return the session as JSON text."""
    rows = [{"kind": a.kind, "out": a.out, "args": a.args, "params": dict(a.params)} for a in session.actions]
    return json.dumps({"session": 1, "actions": rows})


def from_json(text: str) -> Session:
    """Read a session from JSON text, which may come from anywhere.

    Raises:
        ValueError: the text is not the JSON of a session; the message says where.
    """

    def frozen(value: Any) -> Any:
        return tuple(map(frozen, value)) if isinstance(value, list) else value

    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"session: not JSON: {error}") from error
    if not isinstance(data, dict) or data.get("session") != 1 or not isinstance(data.get("actions"), list):
        raise ValueError('session: expected an object {"session": 1, "actions": [...]}')
    actions = []
    for k, row in enumerate(data["actions"]):
        if not isinstance(row, dict) or set(row) != {"kind", "out", "args", "params"}:
            raise ValueError(f"action {k}: expected kind, out, args and params, got {row!r:.200}")
        if not isinstance(row["args"], list) or not isinstance(row["params"], dict):
            raise ValueError(f"action {k}: args must be a list and params an object, got {row!r:.200}")
        params = {key: frozen(value) for key, value in row["params"].items()}
        try:
            actions.append(Action(row["kind"], row["out"], tuple(row["args"]), params))
        except (TypeError, ValueError) as error:
            raise ValueError(f"action {k}: {error}") from error
    return Session(tuple(actions))


def to_source(session: Session, framework: str) -> str:
    """Return a script that needs only the framework ("torch" or "reference") and prints the state after each statement.

    Raises:
        ValueError: the framework is unknown.
    """
    if framework not in MODULES:
        raise ValueError(f"framework: {framework!r} is not one of {', '.join(MODULES)}")
    statements = "\n".join(f"    {action.source!r}," for action in session.actions)
    return f"""import copy
import warnings

import {MODULES[framework]} as torch

warnings.simplefilter("ignore")
STATEMENTS = [
{statements}
]
calls = []
names = {{"torch": torch, "modes": [], "hooks": [], "deepcopy": copy.deepcopy}}
names["note"] = lambda name, *gradients: calls.append((name, *(None if g is None else g.tolist() for g in gradients)))
for statement in STATEMENTS:
    note = ""
    try:
        exec(statement, names)
    except Exception as error:
        note = f"  # {{type(error).__name__}}: {{error}}"
    print(statement + note)
    for call in calls:
        print("    hook:", *call)
    calls.clear()
    for name in [n for n in names if n[0] == "t" and n[1:].isdigit()]:
        t = names[name]
        grad = None if t.grad is None else t.grad.tolist()
        print(f"    {{name}} = {{t.tolist()}}  requires_grad={{t.requires_grad}} version={{t._version}} grad={{grad}}")
"""
