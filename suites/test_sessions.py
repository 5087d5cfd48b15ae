"""Tape sessions: the reference and PyTorch agree after every action, and planted defects are caught."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from harness.session_strategies import (
    Intention,
    build,
    intentions,
    sessions,
)
from harness.sessions import (
    Action,
    Difference,
    Session,
    Snapshot,
    broken_invariants,
    compare,
    from_json,
    replay,
    to_json,
    to_source,
)

LEAF = Action("leaf", "t0", params={"values": (1.0, 2.0), "requires_grad": True})
SQUARE = Action("binary", "t1", ("t0", "t0"), {"op": "mul"})
SUM = Action("sum", "t2", ("t1",))
BACKWARD = Action("backward", args=("t2",))


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'adjudge[torch]'")


@pytest.fixture(scope="module")
def reference() -> Any:
    return importlib.import_module("reference_impl")


def report(session: Session, differences: list[Difference]) -> str:
    return "\n".join([*map(str, differences), "", str(session)])


def up_to_known_defect(snapshots: list[Snapshot]) -> list[Snapshot]:
    """Cut a replay of PyTorch where it breaks its own rule that two leaves never share a grad buffer.

    `a.reshape(6) + b.reshape(6)` makes it do so (measured on 2.13): the backward of each reshape hands on a view of one
    and the same cotangent, and each leaf keeps that view as its grad. https://github.com/pytorch/pytorch/issues/34082
    """
    broken = [d for d in broken_invariants(snapshots) if d.field == "shared grads"]
    return snapshots[: broken[0].step] if broken else snapshots


# The property ---------------------------------------------------------------------------------------------------------


def differences_from_torch(session: Session, reference: Any, torch: Any) -> list[Difference]:
    theirs = up_to_known_defect(replay(session, torch))
    return compare(replay(session, reference)[: len(theirs)], theirs) if theirs else []


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(session=sessions())
def test_reference_and_torch_agree_after_every_action(reference: Any, torch: Any, session: Session) -> None:
    differences = differences_from_torch(session, reference, torch)
    assert not differences, report(session, differences)


@pytest.mark.parametrize("op", ["abs_", "square_"])
def test_reference_and_torch_agree_on_backward_through_an_op_that_overwrites_what_it_needs(
    reference: Any, torch: Any, op: str
) -> None:
    session = Session((LEAF, SQUARE, Action("in_place", args=("t1",), params={"op": op}), SUM, BACKWARD))
    assert not differences_from_torch(session, reference, torch)


def test_reference_and_torch_agree_on_non_leaf_inputs(reference: Any, torch: Any) -> None:
    session = Session((LEAF, SQUARE, SUM, Action("backward", args=("t2", "t1"))))
    assert not differences_from_torch(session, reference, torch)


def test_reference_and_torch_agree_on_detach_in_place_of_a_saved_value(reference: Any, torch: Any) -> None:
    fourth = Action("binary", "t2", ("t1", "t1"), {"op": "mul"})
    backward = Action("backward", args=("t2",), params={"gradient": (1.0, 1.0)})
    session = Session((LEAF, SQUARE, fourth, Action("detach_", args=("t1",)), backward))
    assert not differences_from_torch(session, reference, torch)


def test_reference_and_torch_agree_on_backward_again_through_a_write_to_a_part(reference: Any, torch: Any) -> None:
    copied = Action("binary", "t1", ("t0", "t0"), {"op": "add"})
    write = Action("setitem", args=("t1",), params={"index": (0,), "number": 5})
    session = Session((LEAF, copied, write, SUM, BACKWARD, BACKWARD))
    assert not differences_from_torch(session, reference, torch)


def test_reference_and_torch_agree_on_create_graph_under_no_grad(reference: Any, torch: Any) -> None:
    backward = Action("backward", args=("t2",), params={"create_graph": True})
    session = Session((LEAF, SQUARE, SUM, Action("enter", params={"mode": "no_grad"}), backward))
    assert not differences_from_torch(session, reference, torch)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(session=sessions())
def test_the_reference_keeps_the_invariants_of_a_tape(reference: Any, session: Session) -> None:
    broken = broken_invariants(replay(session, reference))
    assert not broken, report(session, broken)


@settings(deadline=None)
@given(session=sessions(max_actions=12))
def test_torch_agrees_with_itself(torch: Any, session: Session) -> None:
    first, second = replay(session, torch), replay(session, torch)
    differences = compare(first, second)
    assert not differences, report(session, differences)


@given(session=sessions())
def test_a_session_survives_json(session: Session) -> None:
    assert from_json(to_json(session)) == session


@given(intended=st.lists(intentions(), max_size=25), position=st.integers(0, 24))
def test_leaving_an_intention_out_leaves_a_session(intended: list[Intention], position: int) -> None:
    shorter = intended[:position] + intended[position + 1 :]
    assert len(build(shorter).actions) <= len(shorter)


# Hand-written sessions: what a reader can check -----------------------------------------------------------------------


@pytest.fixture(params=["reference_impl", "torch"])
def framework(request: pytest.FixtureRequest) -> Any:
    if request.param == "torch":
        return pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'adjudge[torch]'")
    return importlib.import_module(request.param)


def test_a_snapshot_holds_values_flags_and_grads(framework: Any) -> None:
    snapshots = replay(Session((LEAF, SQUARE, SUM, BACKWARD)), framework)
    assert [s.error for s in snapshots] == [None] * 4
    leaf, square = snapshots[-1].tensors["t0"], snapshots[-1].tensors["t1"]
    assert leaf.grad == (2.0, 4.0)
    assert leaf.is_leaf
    assert leaf.requires_grad
    assert square.value == (1.0, 4.0)
    assert square.has_grad_fn
    assert square.grad is None


def test_an_error_is_observed_and_the_session_goes_on(framework: Any) -> None:
    snapshots = replay(Session((LEAF, SQUARE, SUM, BACKWARD, BACKWARD, Action("detach", "t3", ("t0",)))), framework)
    error = snapshots[4].error
    assert error is not None
    assert (error.kind, error.phrase) == ("RuntimeError", "freed graph")
    assert snapshots[5].error is None
    assert ("t0", "t3") in snapshots[5].shared


def test_a_write_shows_in_the_version_of_all_that_share_memory(framework: Any) -> None:
    write = Action("in_place", args=("t3",), params={"op": "zero_"})
    snapshots = replay(Session((LEAF, SQUARE, Action("detach", "t3", ("t1",)), write)), framework)
    assert [snapshots[-1].tensors[name].version for name in ("t0", "t1", "t3")] == [0, 1, 1]


def test_grad_mode_is_restored_after_a_session_that_left_it_off(framework: Any) -> None:
    snapshots = replay(Session((LEAF, Action("enter", params={"mode": "no_grad"}), SQUARE)), framework)
    assert snapshots[-1].grad_mode is False
    assert not snapshots[-1].tensors["t1"].requires_grad
    assert framework.is_grad_enabled()


def test_the_script_of_a_session_stands_alone(framework: Any) -> None:
    name = "torch" if framework.__name__ == "torch" else "reference"
    script = to_source(Session((LEAF, SQUARE, SUM, BACKWARD, BACKWARD)), name)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "requires_grad=True version=0 grad=[2.0, 4.0]" in done.stdout
    assert "# RuntimeError: Trying to backward through the graph a second time" in done.stdout


# The judge is judged --------------------------------------------------------------------------------------------------


def clear_grads_of(tensor: Any) -> None:
    """Drop the grad of every leaf that the tensor depends on."""
    stack = [tensor.grad_fn]
    while stack:
        node = stack.pop()
        if node is not None:
            if hasattr(node, "variable"):
                node.variable.grad = None
            stack.extend(parent for parent, _ in node.next_functions)
    if tensor.is_leaf:
        tensor.grad = None


Mutant = Callable[[Any], Any]


def overwriting_backward(original: Any) -> Any:
    def backward(self: Any, *args: Any, **options: Any) -> None:
        clear_grads_of(self)
        original(self, *args, **options)

    return backward


DEFECTS: dict[str, tuple[str, Mutant]] = {
    "detach copies": ("detach", lambda original: lambda self: original(self).clone()),
    "detach_ does nothing": ("detach_", lambda original: lambda self: self),
    "zero_ does nothing": ("zero_", lambda original: lambda self: self),
    "zero_ is not in place": ("zero_", lambda original: lambda self: self * 0),
    "zero_ bumps no version": ("zero_", lambda original: lambda self: original(self.data)),
    "add_ bumps no version": ("add_", lambda original: lambda self, other: original(self.data, other)),
    "backward overwrites": ("backward", overwriting_backward),
    "backward always retains": (
        "backward",
        lambda original: lambda self, *a, **k: original(self, *a, **{**k, "retain_graph": True}),
    ),
    "inputs are ignored": (
        "backward",
        lambda original: (
            lambda self, *a, **k: original(self, *a, **{key: v for key, v in k.items() if key != "inputs"})
        ),
    ),
    "retain_grad does nothing": ("retain_grad", lambda original: lambda self: None),
    "requires_grad_ ignores False": ("requires_grad_", lambda original: lambda self, flag: original(self, True)),
    "copy_ copies detached": ("copy_", lambda original: lambda self, other: original(self, other.data)),
    "hooks are never called": ("register_hook", lambda original: lambda self, hook: original(self, lambda g: None)),
    "what a hook returns is ignored": (
        "register_hook",
        lambda original: lambda self, hook: original(self, lambda g: (hook(g), None)[1]),
    ),
    "sum keeps no dim": ("sum", lambda original: lambda self, dim=None, keepdim=False: original(self, dim)),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_planted_defect_is_caught(torch: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    method, mutate = DEFECTS[name]
    mutant = mutate(getattr(torch.Tensor, method))

    def is_caught(session: Session) -> bool:
        if not session.actions:
            return False
        truth = replay(session, torch)
        with monkeypatch.context() as patch:
            patch.setattr(torch.Tensor, method, mutant)
            planted = replay(session, torch)
        return bool(compare(truth, planted))

    budget = settings(max_examples=3000, database=None, deadline=None, derandomize=True, phases=[Phase.generate])
    found = find(sessions(), is_caught, settings=budget)
    assert is_caught(found)


def test_no_grad_that_does_nothing_is_caught(torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session((LEAF, Action("enter", params={"mode": "no_grad"}), SQUARE))
    truth = replay(session, torch)
    monkeypatch.setattr(torch, "no_grad", torch.enable_grad)
    assert next(d.field for d in compare(truth, replay(session, torch))) == "grad_mode"


def test_a_post_accumulate_hook_that_comes_too_early_is_caught(torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = Action("hook", args=("t0",), params={"on": "accumulated"})
    session = Session((LEAF, hook, SQUARE, SUM, BACKWARD))
    truth = replay(session, torch)
    assert truth[-1].calls == (("accumulated t0", ((2.0, 4.0),)),)
    method = "register_post_accumulate_grad_hook"
    monkeypatch.setattr(torch.Tensor, method, lambda self, hook: self.register_hook(lambda g: hook(self)))
    assert [d.field for d in compare(truth, replay(session, torch))] == ["calls"]


def test_a_failure_shrinks_to_the_actions_that_matter(torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    original = torch.Tensor.backward

    def is_caught(session: Session) -> bool:
        if not session.actions:
            return False
        truth = replay(session, torch)
        with monkeypatch.context() as patch:
            patch.setattr(torch.Tensor, "backward", overwriting_backward(original))
            return bool(compare(truth, replay(session, torch)))

    budget = settings(max_examples=2000, database=None, deadline=None, derandomize=True)
    smallest = find(sessions(), is_caught, settings=budget)
    assert len(smallest.actions) <= 3, str(smallest)


def test_comparing_nothing_is_an_error(torch: Any) -> None:
    with pytest.raises(ValueError, match="not of one session"):
        compare([], [])
    with pytest.raises(ValueError, match="not of one session"):
        compare(replay(Session((LEAF,)), torch), replay(Session((LEAF, SQUARE)), torch))


def test_a_broken_invariant_is_noticed(torch: Any) -> None:
    views = [
        LEAF,
        Action("leaf", "t1", params={"values": (3.0, 4.0), "requires_grad": True}),
        Action("view", "t2", ("t0",), {"op": "reshape", "shape": (2,)}),
        Action("view", "t3", ("t1",), {"op": "reshape", "shape": (2,)}),
        Action("binary", "t4", ("t2", "t3"), {"op": "add"}),
        Action("backward", args=("t4",), params={"gradient": (1.0, 5.0)}),
    ]
    assert [d.field for d in broken_invariants(replay(Session(tuple(views)), torch))] == ["shared grads"]


# Foreign input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("nothing", "not JSON"),
        ("[]", "expected an object"),
        ('{"session": 2, "actions": []}', "expected an object"),
        ('{"session": 1, "actions": [1]}', "action 0: expected kind, out, args and params"),
        (
            '{"session": 1, "actions": [{"kind": "run", "out": "", "args": [], "params": {}}]}',
            "kind: 'run' is not one of",
        ),
        (
            '{"session": 1, "actions": [{"kind": "drop", "out": "", "args": ["t0; x"], "params": {}}]}',
            "name: 't0; x' is not like 't7'",
        ),
        (
            '{"session": 1, "actions": [{"kind": "unary", "out": "t1", "args": ["t0"], "params": {"op": "save"}}]}',
            "op 'save' is not one of",
        ),
        (
            '{"session": 1, "actions": [{"kind": "sum", "out": "t1", "args": ["t0"], "params": {"dim": "f(x)"}}]}',
            "parameter dim is not a literal",
        ),
        ('{"session": 1, "actions": [{"kind": "drop", "out": "", "args": [], "params": {}}]}', "IndexError"),
        ('{"session": 1, "actions": [{"kind": [], "out": "", "args": [], "params": {}}]}', "action 0"),
    ],
)
def test_foreign_text_is_refused_with_the_place(text: str, phrase: str) -> None:
    with pytest.raises(ValueError, match=re.escape(phrase)):
        from_json(text)


def test_an_unknown_framework_is_refused() -> None:
    with pytest.raises(ValueError, match="framework: 'numpy' is not one of torch, reference"):
        to_source(Session((LEAF,)), "numpy")
