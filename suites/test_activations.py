"""Activations are called as PyTorch's are: names, positions, `inplace`, errors; wrong parameters of programs are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import reference_impl
from harness import backends
from harness.cases import Case
from harness.examine import examine
from harness.inference import ProgramError, infer
from harness.programs import Instr, Program, Spec
from harness.tracing import ops, trace
from suites.test_backends import assert_same

F = reference_impl.nn.functional
CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("leaky_relu", (0.25,), {}),
    ("leaky_relu", (), {"negative_slope": 0.25, "inplace": True}),
    ("elu", (2.0, True), {}),
    ("selu", (), {"inplace": True}),
    ("celu", (), {"alpha": 0.5, "inplace": True}),
    ("silu", (), {"inplace": True}),
    ("mish", (), {"inplace": True}),
    ("relu6", (True,), {}),
    ("hardtanh", (-0.5, 0.75), {}),
    ("hardtanh", (), {"min_val": -0.5, "max_val": 0.75, "inplace": True}),
    ("hardsigmoid", (), {"inplace": True}),
    ("hardswish", (True,), {}),
    ("softplus", (2,), {"threshold": 1}),
    ("softshrink", (0.25,), {}),
    ("hardshrink", (), {"lambd": 0.25}),
    ("threshold", (0.5, -1.0), {"inplace": True}),
    ("rrelu", (0.25, 0.75), {}),
    ("glu", (), {"dim": 0}),
    ("glu", (-1,), {}),
    ("gelu", (), {"approximate": "tanh"}),
]
NUMBERS = np.array([[-2.0, -0.25, 0.0, 0.5], [1.0, 3.0, -3.0, 30.0]])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("name", "args", "keywords"), CALLS)
def test_a_call_gives_what_it_gives_in_pytorch(
    name: str, args: tuple[Any, ...], keywords: dict[str, Any], dtype: str
) -> None:
    found = []
    for module in (reference_impl, torch):
        x = module.tensor(NUMBERS, dtype=getattr(module, dtype), requires_grad=True)
        y = x * 1
        z = getattr(module.nn.functional, name)(y, *args, **keywords)
        assert (z is y) == (keywords.get("inplace", False) or True in args)
        z.sum().backward()
        found.append((z.detach().numpy(), x.grad.numpy()))
    for ours, theirs in zip(*found, strict=True):
        assert ours.dtype == theirs.dtype
        assert_same(ours, theirs, digits=6)  # a parameter in another's place shows; digits are judged elsewhere


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda m, x: m.nn.functional.hardtanh(x, 1.0, -1.0), ValueError, "min_val"),
        (lambda m, x: m.nn.functional.celu(x, 0.0), RuntimeError, "alpha cannot be 0"),
        (lambda m, x: m.nn.functional.softshrink(x, -1.0), RuntimeError, "^lambda must be"),
        (lambda m, x: m.nn.functional.gelu(x, approximate="erf"), RuntimeError, "none or tanh"),
        (lambda m, x: m.nn.functional.glu(x, 0), RuntimeError, "must be even"),
        (lambda m, x: m.nn.functional.prelu(x, m.ones(2)), RuntimeError, "channel size"),
    ],
)
def test_wrong_use_raises_as_in_pytorch(call: Any, error: type[Exception], match: str) -> None:
    for module in (reference_impl, torch):
        with pytest.raises(error, match=match):
            call(module, module.ones(3, 3))


def test_random_slopes_are_refused() -> None:
    with pytest.raises(NotImplementedError, match="training"):
        F.rrelu(reference_impl.ones(2), training=True)


@pytest.mark.parametrize(
    ("op", "params"),
    [
        ("gelu", (("approximate", "erf"),)),
        ("celu", (("alpha", 0.0),)),
        ("softshrink", (("lambd", -1.0),)),
        ("hardtanh", (("max_val", -1.0), ("min_val", 1.0))),
        ("elu", (("alpha", "one"),)),
        ("glu", (("dim", 0),)),
    ],
)
def test_a_program_with_a_wrong_parameter_is_refused(op: str, params: tuple[tuple[str, Any], ...]) -> None:
    with pytest.raises(ProgramError):
        infer(Program((Spec((3,)),), (Instr(op, (0,), params),), (1,)))


@pytest.mark.parametrize("backend", ["reference", "torch"])
def test_a_traced_layer_in_the_words_of_pytorch_is_judged_right(backend: str) -> None:
    def layer(x: Any, w: Any, slope: Any) -> Any:
        h = ops.nn.functional.gelu(x @ w, approximate="tanh")
        return ops.nn.functional.prelu(h, slope).sum(), ops.special.ndtr(h), ops.nn.functional.glu(h, dim=-1)

    program = trace(layer, Spec((2, 3)), Spec((3, 4)), Spec((4,)))
    rng = np.random.default_rng(5)
    primals = tuple(rng.uniform(-2, 2, spec.shape) for spec in program.inputs)
    case = Case(program, primals, (True,) * 3, (np.array(1.0), np.ones((2, 4)), np.ones((2, 2))))
    assert [v.kind for v in examine(case, backends.get(backend))] == ["agree", "agree"]
