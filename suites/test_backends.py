"""Every backend runs every op of the vocabulary, returns copies, and turns the framework's exceptions into outcomes."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

from harness import backends
from harness.backends import Engine
from harness.cases import Case
from harness.programs import Instr, Program, Scalar, Spec

FRAMEWORKS = [name for name, reason in backends.available().items() if reason is None and name != "finite-differences"]
A = np.array([[0.3, 1.7, 0.9], [2.2, 0.4, 1.1]])
B = np.array([[1.2, 0.6, 2.0], [0.5, 1.3, 0.8]])
V = np.array([0.7, 1.9, 0.4])

UNARY = (
    "neg abs sign exp expm1 log log1p sqrt rsqrt reciprocal square sin cos tan sinh cosh tanh atan sigmoid relu clone"
)
BINARY = "add sub mul div pow maximum minimum logaddexp atan2"
# (op, inputs, parameters, value by NumPy)
SHAPED: list[tuple[str, tuple[Any, ...], dict[str, Any], Any]] = [
    ("clamp", (A,), {"min": 0.5, "max": 1.5}, np.clip(A, 0.5, 1.5)),
    ("clamp", (A,), {"min": 0.5}, np.maximum(A, 0.5)),
    ("sum", (A,), {}, A.sum()),
    ("sum", (A,), {"dim": None, "keepdim": False}, A.sum()),
    ("sum", (A,), {"dim": (0, -1), "keepdim": True}, A.sum((0, 1), keepdims=True)),
    ("sum", (V[0],), {"dim": -1}, V[0]),
    ("mean", (A,), {"dim": 1}, A.mean(1)),
    ("mean", (A,), {}, A.mean()),
    ("amax", (A,), {"dim": (0, 1)}, A.max()),
    ("amax", (A,), {"dim": None}, A.max()),
    ("amin", (A,), {"dim": -2, "keepdim": True}, A.min(0, keepdims=True)),
    ("prod", (A,), {"dim": 1}, A.prod(1)),
    ("prod", (A,), {}, A.prod()),
    ("prod", (V[0],), {"dim": 0, "keepdim": True}, V[0]),
    ("logsumexp", (A,), {"dim": (0, 1)}, np.log(np.exp(A).sum())),
    (
        "logsumexp",
        (A,),
        {"dim": 0, "keepdim": True},
        np.log(np.exp(A).sum(0, keepdims=True)),
    ),
    ("vector_norm", (A,), {}, np.sqrt((A * A).sum())),
    ("vector_norm", (A,), {"ord": 1.0, "dim": 1}, A.sum(1)),
    (
        "vector_norm",
        (A,),
        {"dim": (0, 1), "keepdim": True},
        np.sqrt((A * A).sum(keepdims=True)),
    ),
    ("var", (A,), {"dim": 1, "correction": 0}, A.var(1)),
    ("var", (A,), {}, A.var(ddof=1)),
    ("cumsum", (A,), {"dim": -1}, A.cumsum(-1)),
    ("softmax", (A,), {"dim": 0}, np.exp(A) / np.exp(A).sum(0)),
    ("softmax", (V[0],), {"dim": 0}, np.array(1.0)),
    ("log_softmax", (A,), {"dim": 1}, A - np.log(np.exp(A).sum(1, keepdims=True))),
    ("reshape", (A,), {"shape": (3, -1)}, A.reshape(3, 2)),
    ("permute", (A,), {"dims": (1, 0)}, A.T),
    ("transpose", (A,), {"dim0": 0, "dim1": -1}, A.T),
    ("expand", (V,), {"shape": (2, -1)}, np.stack([V, V])),
    ("unsqueeze", (V,), {"dim": -1}, V[:, None]),
    ("squeeze", (V[None],), {"dim": 0}, V),
    ("squeeze", (A,), {"dim": 0}, A),
    ("flip", (A,), {"dims": (1,)}, A[:, ::-1]),
    ("cat", (A, B), {"dim": 1}, np.concatenate([A, B], 1)),
    ("stack", (A, B, A), {"dim": -1}, np.stack([A, B, A], -1)),
    ("tril", (A,), {"diagonal": -1}, np.tril(A, -1)),
    ("triu", (A,), {}, np.triu(A)),
    ("getitem", (A,), {"index": (1,)}, A[1]),
    (
        "getitem",
        (A,),
        {"index": ("...", None, ("slice", None, None, 2))},
        A[..., None, ::2],
    ),
    ("index_select", (A,), {"dim": 1, "index": (2, 0, 2)}, A[:, [2, 0, 2]]),
    (
        "gather",
        (A,),
        {"dim": 0, "index": ((1, 0), (1, 1))},
        np.array([[2.2, 1.7], [2.2, 0.4]]),
    ),
    ("gather", (A,), {"dim": 1, "index": ((2, 2),)}, np.array([[0.9, 0.9]])),
    ("matmul", (A, V), {}, A @ V),
    ("matmul", (A, B.T.copy()), {}, A @ B.T),
    ("dot", (V, V), {}, V @ V),
    ("outer", (V, V), {}, np.outer(V, V)),
    ("detach", (A,), {}, A),
]
VOCABULARY = (
    set(UNARY.split())
    | set(BINARY.split())
    | {row[0] for row in SHAPED}
    | {"gt", "ge", "lt", "le", "eq", "ne", "where"}
)


def single(
    op: str,
    inputs: tuple[Any, ...],
    params: dict[str, Any] | None = None,
    dtype: str = "float64",
) -> Case:
    """A case of one op whose cotangent is None."""
    arrays = tuple(np.array(x, dtype=dtype) for x in inputs)
    instr = Instr(op, tuple(range(len(arrays))), tuple(sorted((params or {}).items())))
    program = Program(tuple(Spec(x.shape) for x in arrays), (instr,), (len(arrays),))
    return Case(program, arrays, (True,) * len(arrays), (None,), dtype)


def with_cotangent(case: Case, cotangent: Any) -> Case:
    """The same case with that cotangent for its one output."""
    return Case(case.program, case.primals, case.requires_grad, (cotangent,), case.dtype)


def sound(outcome: Any) -> Any:
    """The outcome, after making sure that it is no failure."""
    assert outcome.failure is None, outcome.failure
    return outcome


def assert_same(got: Any, want: Any, *, digits: int = 13) -> None:
    """Same shape, and values that agree to that many significant digits of the largest."""
    assert got.shape == np.shape(want)
    scale = max(1.0, float(np.max(np.abs(want), initial=0.0)))
    assert float(np.max(np.abs(got - want), initial=0.0)) <= scale * 10.0**-digits


@pytest.fixture(params=FRAMEWORKS)
def engine(request: pytest.FixtureRequest) -> Engine:
    return backends.get(request.param)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown name 'tensorflow'; known: finite-differences, jax"):
        backends.get("tensorflow")


def test_a_missing_framework_is_named_with_its_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *a: None if name == "torch" else real(name, *a),
    )
    backends._load.cache_clear()
    with pytest.raises(backends.BackendUnavailable, match=r'pip install "adjudge\[torch\]"'):
        backends.get("torch")
    assert "not installed" in str(backends.available()["torch"])


def test_a_backend_is_built_once() -> None:
    assert backends.get("reference") is backends.get("reference")


def test_every_table_has_the_whole_vocabulary(engine: Engine) -> None:
    for op in VOCABULARY:
        assert engine.supports(Program((Spec(()),), (Instr(op, (0,)),), (1,))) is None, op


def test_an_unknown_op_is_unsupported(engine: Engine) -> None:
    program = Program((Spec(()),), (Instr("frobnicate", (0,)),), (1,))
    assert engine.supports(program) == "has no op frobnicate"
    with pytest.raises(ValueError, match="frobnicate"):
        engine.prepare(Case(program, (np.array(1.0),), (True,), (None,)))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "op, inputs, params, want",
    SHAPED,
    ids=[f"{i}-{row[0]}" for i, row in enumerate(SHAPED)],
)
def test_shaped_op_has_its_value(
    engine: Engine,
    op: str,
    inputs: tuple[Any, ...],
    params: dict[str, Any],
    want: Any,
    dtype: str,
) -> None:
    outcome = sound(engine.value_thunk(single(op, inputs, params, dtype))())
    assert_same(outcome.values[0], want, digits=13 if dtype == "float64" else 6)
    assert outcome.values[0].dtype == dtype


@pytest.mark.parametrize("op", UNARY.split() + BINARY.split())
def test_elementwise_gradient_matches_a_difference_quotient(engine: Engine, op: str) -> None:
    inputs = (A, B) if op in BINARY.split() else (A,)
    case = with_cotangent(single(op, inputs), np.ones_like(A))
    outcome = sound(engine.prepare(case)())

    def total(*primals: Any) -> Any:
        moved = Case(case.program, primals, case.requires_grad, (None,))
        return sound(engine.value_thunk(moved)()).values[0]

    h = 1e-5
    for k, grad in enumerate(outcome.grads):
        up = [x + h * (i == k) for i, x in enumerate(inputs)]
        down = [x - h * (i == k) for i, x in enumerate(inputs)]
        assert_same(grad, (total(*up) - total(*down)) / (2 * h), digits=8)


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div", "pow"])
@pytest.mark.parametrize("side", [0, 1])
def test_a_literal_does_not_widen_float32(engine: Engine, op: str, side: int) -> None:
    args: tuple[int | Scalar, ...] = (Scalar(2.5), 0) if side == 0 else (0, Scalar(2.5))
    x = A.astype(np.float32)
    case = Case(
        Program((Spec(x.shape),), (Instr(op, args),), (1,)),
        (x,),
        (True,),
        (np.ones_like(x),),
        "float32",
    )
    outcome = sound(engine.prepare(case)())
    assert outcome.values[0].dtype == outcome.grads[0].dtype == np.float32


@pytest.mark.parametrize("op", ["gt", "ge", "lt", "le", "eq", "ne"])
def test_a_comparison_gives_bool_and_steers_where(engine: Engine, op: str) -> None:
    instrs = (Instr(op, (0, Scalar(1.1))), Instr("where", (2, 0, 1)))
    case = Case(
        Program((Spec((2, 3)), Spec((3,))), instrs, (2, 3)),
        (A, V),
        (True, True),
        (None, np.ones((2, 3))),
    )
    outcome = sound(engine.prepare(case)())
    taken = {
        "gt": A > 1.1,
        "ge": A >= 1.1,
        "lt": A < 1.1,
        "le": A <= 1.1,
        "eq": A == 1.1,
        "ne": A != 1.1,
    }[op]
    assert outcome.values[0].dtype == np.bool_
    assert np.array_equal(outcome.values[0], taken)
    assert np.array_equal(outcome.grads[0], taken * 1.0)
    assert np.array_equal(outcome.grads[1], (~taken).sum(0))


def test_an_int_input_takes_part_without_gradient(engine: Engine) -> None:
    program = Program((Spec((3,)), Spec((3,), "int")), (Instr("mul", (0, 1)),), (2,))
    case = Case(program, (V, np.array([1, 2, 3])), (True, False), (np.ones(3),))
    outcome = sound(engine.prepare(case)())
    assert len(outcome.grads) == 1
    assert np.array_equal(outcome.grads[0], [1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    "cotangent",
    [
        np.broadcast_to(np.array(2.0), (2, 3)),
        np.broadcast_to(np.array([[1.0], [-2.0]]), (2, 3)),
        np.arange(12.0).reshape(2, 6)[:, ::2],
        np.arange(6.0).reshape(3, 2).T,
        np.arange(6.0).reshape(2, 3)[::-1, ::-1],
    ],
    ids=["expanded", "expanded-rows", "strided", "transposed", "negative-strides"],
)
def test_a_cotangent_of_any_layout_is_pulled_back(engine: Engine, cotangent: Any) -> None:
    outcome = sound(engine.prepare(with_cotangent(single("mul", (A, B)), cotangent))())
    assert_same(outcome.grads[0], cotangent * B)


def test_size_zero_inputs_have_size_zero_gradients(engine: Engine) -> None:
    case = with_cotangent(single("mul", (np.zeros((0, 3)), V)), np.zeros((0, 3)))
    outcome = sound(engine.prepare(case)())
    assert [g.shape for g in outcome.grads] == [(0, 3), (3,)]
    assert not outcome.grads[1].any()


def test_an_output_without_cotangent_takes_no_part(engine: Engine) -> None:
    instrs = (Instr("sin", (0,)), Instr("exp", (0,)))
    case = Case(Program((Spec((3,)),), instrs, (1, 2)), (V,), (True,), (np.ones(3), None))
    outcome = sound(engine.prepare(case)())
    assert len(outcome.values) == 2
    assert_same(outcome.grads[0], np.cos(V))


def test_a_root_cut_off_by_detach_has_no_gradient(engine: Engine) -> None:
    case = with_cotangent(single("detach", (V,)), np.ones(3))
    outcome = sound(engine.prepare(case)())
    assert outcome.grads[0] is None or not outcome.grads[0].any()


def test_an_output_returned_twice_counts_twice(engine: Engine) -> None:
    program = Program((Spec((3,)),), (Instr("square", (0,)),), (1, 1))
    outcome = sound(engine.prepare(Case(program, (V,), (True,), (np.ones(3), 2 * np.ones(3))))())
    assert_same(outcome.grads[0], 6 * V)


def test_an_input_may_be_an_output(engine: Engine) -> None:
    program = Program((Spec((3,)),), (), (0,))
    outcome = sound(engine.prepare(Case(program, (V,), (True,), (2 * V,)))())
    assert np.array_equal(outcome.grads[0], 2 * V)


def test_outcomes_share_no_memory_with_the_case_or_each_other(engine: Engine) -> None:
    ct = np.ones(3)
    thunk = engine.prepare(with_cotangent(single("clone", (V,)), ct))
    first, second = sound(thunk()), sound(thunk())
    first.values[0][:] = -1.0
    first.grads[0][:] = -1.0
    assert np.array_equal(second.values[0], V)
    assert np.array_equal(second.grads[0], ct)
    assert np.array_equal(sound(thunk()).values[0], V)


def test_a_thunk_does_not_accumulate_over_calls(engine: Engine) -> None:
    thunk = engine.prepare(with_cotangent(single("square", (V,)), np.ones(3)))
    assert np.array_equal(sound(thunk()).grads[0], sound(thunk()).grads[0])


def test_a_changed_primal_does_not_change_a_prepared_case(engine: Engine) -> None:
    x = V.copy()
    case = Case(
        Program((Spec((3,)),), (Instr("square", (0,)),), (1,)),
        (x,),
        (True,),
        (np.ones(3),),
    )
    thunk = engine.prepare(case)
    x[:] = 0.0
    assert_same(sound(thunk()).grads[0], 2 * V)


def test_the_frameworks_exception_is_an_outcome(engine: Engine) -> None:
    outcome = engine.prepare(single("matmul", (A, B)))()
    assert outcome.failure is not None
    assert outcome.failure.kind.endswith("Error")
    assert outcome.failure.message
    assert outcome.values == outcome.grads == ()


def test_var_of_one_element_raises_no_warning(engine: Engine) -> None:
    assert np.isnan(sound(engine.value_thunk(single("var", (V[:1],)))()).values[0])


def test_declared_conventions_are_the_measured_ones(engine: Engine) -> None:
    assert backends.measure_conventions(engine) == dict(engine.conventions)


@pytest.mark.skipif("jax-jit" not in FRAMEWORKS, reason="jax is not installed")
def test_a_jitted_program_is_compiled_once_for_many_points() -> None:
    from harness.backends import jax_backend

    case = with_cotangent(single("tanh", (V,)), np.ones(3))
    jax_backend._compiled.cache_clear()
    for shift in range(3):
        moved = Case(case.program, (V + shift,), case.requires_grad, case.cotangents)
        assert sound(backends.get("jax-jit").prepare(moved)()).failure is None
    assert jax_backend._compiled.cache_info().misses == 1
    pulled: Any = jax_backend._compiled(case.program, case.requires_grad, (True,), "float64", True, False)
    assert pulled._cache_size() == 1


@pytest.mark.skipif("torch" not in FRAMEWORKS, reason="torch is not installed")
@pytest.mark.parametrize(
    "array",
    [
        np.broadcast_to(np.arange(3.0), (2, 3)),
        np.arange(24.0).reshape(4, 6)[::2, 1::3],
        np.zeros((3, 0)).T,
        np.array(2.0),
    ],
)
def test_torch_gets_the_strides_of_the_array(array: Any) -> None:
    from harness.backends.torch_eager import same_layout

    tensor = same_layout(array)
    assert tuple(tensor.shape) == array.shape
    assert np.array_equal(tensor.numpy(), array)
    if array.size > 1:
        assert tuple(s * array.itemsize for s in tensor.stride()) == array.strides


@pytest.mark.skipif("jax-jit" not in FRAMEWORKS, reason="jax is not installed")
def test_without_rewrites_a_compiled_program_computes_what_it_says() -> None:
    from harness.backends import jax_backend

    instrs = (Instr("add", (0, Scalar(1e8))), Instr("sub", (1, Scalar(1e8))))
    program = Program((Spec((3,)),), instrs, (2,))
    case = Case(program, (V,), (True,), (np.ones(3),))
    plain = sound(jax_backend.unrewritten().prepare(case)())
    assert np.array_equal(plain.values[0], (V + 1e8) - 1e8)
    assert np.array_equal(sound(backends.get("jax-jit").prepare(case)()).values[0], V)  # XLA folds the literals


@pytest.mark.skipif("jax-jit" not in FRAMEWORKS, reason="jax is not installed")
def test_compiled_programs_can_be_kept_between_runs(tmp_path: Any) -> None:
    import jax

    from harness.backends import jax_backend

    config: Any = jax.config
    before = config.jax_compilation_cache_dir
    try:
        jax_backend.persist_compilations(tmp_path)
        case = with_cotangent(single("atan", (V + 0.125,)), np.ones(3))
        jax_backend._compiled.cache_clear()
        assert sound(backends.get("jax-jit").prepare(case)()).failure is None
        assert any(tmp_path.iterdir())
    finally:
        config.update("jax_compilation_cache_dir", before)
