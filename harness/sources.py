"""A case as a stand-alone Python script for one framework: at most 40 lines that need that framework alone.

`to_source(case, "torch")` is what a report prints and what a bug report to a framework carries. With `expected` the
script compares the framework's gradient with the true one and exits with 1, naming the element, where it lies outside.

>>> from harness.points import point
>>> from harness.programs import Instr, Program, Spec
>>> print(to_source(point(Program((Spec((2,)),), (Instr("sin", (0,)),), (1,))), "torch"), end="")
import torch
<BLANKLINE>
x0 = torch.tensor([1.0, -1.0], dtype=torch.float64, requires_grad=True)
ct0 = torch.tensor([2.0, -1.0], dtype=torch.float64)
v1 = torch.sin(x0)
values = [v1]
grads = torch.autograd.grad([v1], [x0], [ct0], allow_unused=True)
for name, value in zip(['v1'], values):
    print(name, "=", value.tolist())
for slot, grad in zip([0], grads):
    print(f"gradient of x{slot} =", None if grad is None else grad.tolist())
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from harness.cases import Array, Case
from harness.floats import HALF
from harness.inference import OPS, differentiable_slots, infer
from harness.points import point
from harness.programs import Param, Program, Scalar, Spec
from harness.rendering import Fill, Write, plan
from harness.spelling import JAX, TORCH, Template, write
from harness.vocabulary.layers import LAYERS
from harness.vocabulary.losses import LOSSES

__all__ = ["FRAMEWORKS", "spelled", "to_source"]

FRAMEWORKS: Final = ("torch", "jax", "reference")
MAX_LINES: Final = 40

Expected = Sequence[tuple[Array, Array | float] | None]
Speller = Callable[[Sequence[str], Mapping[str, Param], Sequence[Spec | None]], str]


def to_source(
    subject: Case | Program, framework: str, *, expected: Expected | None = None, in_place: bool = False
) -> str:
    """Write the case as a script that prints the values and the gradients; a bare program is put at its simplest point.

    Args:
        framework: "torch", "jax" or "reference" (which is ``import reference_impl as torch``).
        expected: one entry an input that requires grad: its true gradient and how far a right one may lie from it (a
            number, or an array of the gradient's shape), or None where nothing is claimed. The script then exits with 1
            and a message for each element that lies outside; a missing gradient counts as zeros.
        in_place: write the program as `harness.rendering` plans it; for PyTorch.

    Returns:
        The script: primals, cotangents and bounds are written so that they read back to the same bits. It keeps to 40
        lines by putting several statements on a line where a program is long. PyTorch and the reference get the
        arrays in their layout (expanded, transposed, strided).

    Raises:
        ValueError: the framework is unknown or lacks an op, or `expected` does not fit the case.
    """
    if framework not in FRAMEWORKS:
        raise ValueError(f"framework is {framework!r}, want one of {', '.join(FRAMEWORKS)}")
    case = point(subject) if isinstance(subject, Program) else subject
    lacking = sorted({i.op for i in case.program.instrs} - set(spelled(framework)))
    if lacking:
        raise ValueError(f"framework {framework} has no op {', '.join(lacking)}")
    wanted = [i for i, flag in enumerate(case.requires_grad) if flag]
    if expected is not None and len(expected) != len(wanted):
        raise ValueError(f"expected has {len(expected)} entries, {len(wanted)} inputs require grad")
    if in_place and framework != "torch":
        raise ValueError(f"in_place is for 'torch', framework is {framework!r}")
    write = _jax_script if framework == "jax" else functools.partial(_torch_script, in_place=in_place)
    head, loads, steps, tail = write(case, framework, wanted)
    tail += _report(case, wanted, expected, framework)
    text = "\n".join([*loads, *steps, *tail])
    if re.search(r"\b(inf|nan)\b", text):
        head.append('inf, nan = float("inf"), float("nan")')
    opening = [loads.pop()] if loads and loads[-1].endswith(":") else []  # a def shares its line with nothing
    room = MAX_LINES - len(head) - 1 - len(opening) - len(tail)
    load_lines = min(len(loads), max(room - len(steps), room // 3, 1))
    lines = [*head, "", *_packed(loads, load_lines), *opening, *_packed(steps, max(room - load_lines, 1)), *tail]
    return "\n".join(lines) + "\n"


def spelled(framework: str) -> tuple[str, ...]:
    """The ops that a script for the framework can name."""
    return tuple(_JAX if framework == "jax" else _TORCH)


def _packed(statements: Sequence[str], lines: int) -> list[str]:
    """Put the statements on at most so many lines, several on one where they must; indented ones stay indented."""
    per_line = math.ceil(len(statements) / max(lines, 1)) if statements else 1
    chunks = [statements[i : i + per_line] for i in range(0, len(statements), per_line)]
    return ["; ".join([chunk[0], *(s.strip() for s in chunk[1:])]) for chunk in chunks]


# --- the two scripts


def _names(program: Program) -> list[str]:
    n = len(program.inputs)
    return [f"x{i}" if i < n else f"v{i}" for i in range(n + len(program.instrs))]


def _joined(names: Sequence[str]) -> str:
    return ", ".join(names)


def _pulled(case: Case) -> list[int]:
    """The outputs that take part in the backward."""
    reached = differentiable_slots(case.program, case.requires_grad)
    pairs = zip(case.program.outputs, case.cotangents, strict=True)
    return [k for k, (slot, ct) in enumerate(pairs) if ct is not None and reached[slot]]


def _torch_script(
    case: Case, framework: str, wanted: list[int], *, in_place: bool
) -> tuple[list[str], list[str], list[str], list[str]]:
    names, pulled = _names(case.program), _pulled(case)
    head = ["import torch" if framework == "torch" else "import reference_impl as torch"]
    loads = [
        f"{names[i]} = {_laid_out(a, case.dtype, requires_grad=case.requires_grad[i])}"
        for i, a in enumerate(case.primals)
    ]
    loads += [f"ct{k} = {_laid_out(case.cotangents[k], case.dtype)}" for k in pulled]
    steps = _statements(case.program, _TORCH, in_place=in_place)
    outputs = [names[i] for i in case.program.outputs]
    tail = [f"values = [{_joined(outputs)}]"]
    if pulled and wanted:
        tops, cts = [outputs[k] for k in pulled], [f"ct{k}" for k in pulled]
        leaves = [names[i] for i in wanted]
        tail.append(
            f"grads = torch.autograd.grad([{_joined(tops)}], [{_joined(leaves)}], [{_joined(cts)}], allow_unused=True)"
        )
    else:
        tail.append(f"grads = [None] * {len(wanted)}")
    return head, loads, steps, tail


def _jax_script(case: Case, framework: str, wanted: list[int]) -> tuple[list[str], list[str], list[str], list[str]]:
    names, pulled = _names(case.program), _pulled(case)
    head = ["import jax", "import jax.numpy as jnp", "", 'jax.config.update("jax_enable_x64", True)']
    loads = [f"{names[i]} = {_literal(a, 'jax', case.dtype)}" for i, a in enumerate(case.primals)]
    loads += [f"ct{k} = {_literal(np.asarray(case.cotangents[k]), 'jax', case.dtype)}" for k in pulled]
    loads.append(f"def program({_joined([names[i] for i in wanted])}):")
    outputs = [names[i] for i in case.program.outputs]
    steps = [f"    {line}" for line in _statements(case.program, _JAX)]
    tops = [outputs[k] for k in pulled]
    tail = [f"    return [{_joined(tops)}], [{_joined(outputs)}]"]
    if pulled and wanted:
        leaves = _joined([names[i] for i in wanted])
        tail += [
            f"_, pull_back, values = jax.vjp(program, {leaves}, has_aux=True)",
            f"grads = pull_back([{_joined([f'ct{k}' for k in pulled])}])",
        ]
    else:
        tail += [
            f"values = program({_joined([names[i] for i in wanted])})[1]",
            f"grads = [None] * {len(wanted)}",
        ]
    return head, loads, steps, tail


def _report(case: Case, wanted: Sequence[int], expected: Expected | None, framework: str) -> list[str]:
    names = _names(case.program)
    wide = '.astype("float32")' if framework == "jax" and case.dtype in HALF else ""  # Python numbers, not JAX's halves
    lines = [
        f"for name, value in zip({[names[i] for i in case.program.outputs]}, values):",
        f'    print(name, "=", value{wide}.tolist())',
        f"for slot, grad in zip({list(wanted)}, grads):",
        f'    print(f"gradient of x{{slot}} =", None if grad is None else grad{wide}.tolist())',
    ]
    if expected is None:
        return lines
    truths: dict[int, tuple[list[float], list[float]]] = {}
    for i, entry in zip(wanted, expected, strict=True):
        if entry is None:
            continue
        truth, bound = np.asarray(entry[0], np.float64), np.asarray(entry[1], np.float64)
        shape = case.program.inputs[i].shape
        if truth.shape != shape or bound.shape not in ((), shape):
            raise ValueError(f"expected for input {i}: shapes {truth.shape} and {bound.shape}, the input has {shape}")
        truths[i] = (truth.reshape(-1).tolist(), np.broadcast_to(bound, shape).reshape(-1).tolist())
    return [
        *lines,
        "",
        "wrong = []",
        f"expected = {truths!r}  # input: (true gradient, how far a right one may lie from it)",
        f"for slot, grad in zip({list(wanted)}, grads):",
        "    truth, bound = expected.get(slot, ([], []))",
        f"    got = [0.0] * len(truth) if grad is None else grad{wide}.reshape(-1).tolist()",
        "    for k, (g, t, b) in enumerate(zip(got, truth, bound)):",
        "        if not (g == t or abs(g - t) <= b):",
        '            wrong.append(f"gradient of x{slot}, element {k}: got {g!r}, expected {t!r} within {b!r}")',
        'raise SystemExit("\\n".join(wrong) or None)',
    ]


# --- literals


def _literal(a: Array, module: str, dtype: str, *, requires_grad: bool = False) -> str:
    """An expression for the array: `repr` of a float reads back to the same float, in float32 too."""
    namespace = "jnp" if module == "jax" else "torch"
    name = dtype if a.dtype.kind == "f" else "bool_" if module == "jax" and a.dtype.name == "bool" else a.dtype.name
    dtype = f"{namespace}.{name}"
    flag = ", requires_grad=True" if requires_grad else ""
    if a.size == 0:
        return f"{namespace}.zeros({a.shape!r}, dtype={dtype}{flag})"
    return f"{namespace}.{'array' if module == 'jax' else 'tensor'}({a.tolist()!r}, dtype={dtype}{flag})"


def _laid_out(a: Array | None, dtype: str, *, requires_grad: bool = False) -> str:
    """An expression for a tensor with the array's elements in its layout: dense, expanded, permuted, every other."""
    array = np.asarray(a)
    if array.size == 0 or array.flags.c_contiguous:
        return _literal(array, "torch", dtype, requires_grad=requires_grad)
    flag = ".requires_grad_()" if requires_grad else ""
    repeated = tuple(n > 1 and s == 0 for n, s in zip(array.shape, array.strides, strict=True))
    if any(repeated):
        base = array[tuple(slice(0, 1) if r else slice(None) for r in repeated)]
        return f"{_literal(np.ascontiguousarray(base), 'torch', dtype)}.expand({array.shape!r}){flag}"
    order = sorted(range(array.ndim), key=lambda d: -array.strides[d])
    turned = array.transpose(order)
    if turned.flags.c_contiguous:
        back = tuple(order.index(d) for d in range(array.ndim))
        return f"{_literal(turned, 'torch', dtype)}.permute({back!r}){flag}"
    room = np.repeat(array, 2, axis=-1)
    if array.dtype.kind == "f":
        room[..., 1::2] = np.nan  # a kernel that reads what lies between shows it, in whatever process
    return f"{_literal(room, 'torch', dtype)}[..., ::2]{flag}"


def _number(value: Param) -> str:
    return f"({value!r})" if isinstance(value, (int, float)) and math.copysign(1, value) < 0 else repr(value)


# --- spelling


def _statements(program: Program, spellers: Mapping[str, Speller], *, in_place: bool = False) -> list[str]:
    specs, names = infer(program), _names(program)
    lines = []
    for k, instr in enumerate(program.instrs, len(program.inputs)):
        args = [_number(a.value) if isinstance(a, Scalar) else names[a] for a in instr.args]
        known = [None if isinstance(a, Scalar) else specs[a] for a in instr.args]
        step = plan(program)[k - len(program.inputs)] if in_place else None
        if step is not None:
            lines += _in_place(names[k], step, args, dict(instr.params))
            continue
        lines.append(f"{names[k]} = {spellers[instr.op](args, dict(instr.params), known)}")
    return lines


def _in_place(name: str, step: Write | Fill, args: Sequence[str], params: Mapping[str, Param]) -> list[str]:
    if isinstance(step, Fill):
        lines, start = [f"{name} = {args[0]}.new_empty({step.shape!r})"], 0
        for i, arg in enumerate(args):
            size = step.sizes[i] if step.sizes else 1
            part = f"narrow({step.dim}, {start}, {size})" if step.sizes else f"select({step.dim}, {i})"
            lines.append(f"{name}.{part}.copy_({arg})")
            start += size
        return lines
    words = _joined([*args[1:], *(f"{k}={_plain(v)}" for k, v in params.items() if v is not None)])
    target = f"{args[0]}.clone()" if step.clone else args[0]
    if step.view:
        return [f"{name} = {target}", f"{name}.view_as({name}).{step.method}({words})"]
    return [f"{name} = {target}.{step.method}({words})"]


def _operators() -> dict[str, Speller]:
    symbols = {"add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "**", "matmul": "@"}
    symbols |= {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "eq": "==", "ne": "!="}

    def spell(symbol: str) -> Speller:
        return lambda args, params, specs: f"{args[0]} {symbol} {args[1]}"

    return {**{op: spell(symbol) for op, symbol in symbols.items()}, "neg": lambda args, params, specs: f"-{args[0]}"}


def _item(item: Param) -> str:
    if isinstance(item, tuple):
        start, stop, step = ("" if part is None else repr(part) for part in item[1:])
        return f"{start}:{stop}" + (f":{step}" if step else "")
    return "..." if item == "..." else repr(item)


def _getitem(args: Sequence[str], params: Mapping[str, Param], specs: Sequence[Spec | None]) -> str:
    index = params["index"]
    items = [_item(item) for item in index] if isinstance(index, tuple) else []
    return f"{args[0]}[{_joined(items)}]" if len(items) > 0 else f"{args[0]}[()]"


def _call(function: str, **renamed: str) -> Speller:
    """``function(args, key=value ...)``, with some keywords renamed; a dim of None is left out."""

    def spell(args: Sequence[str], params: Mapping[str, Param], specs: Sequence[Spec | None]) -> str:
        words = [f"{renamed.get(k, k)}={_plain(v)}" for k, v in params.items() if v is not None]
        return f"{function}({_joined([*args, *words])})"

    return spell


def _joining(function: str, **renamed: str) -> Speller:
    call = _call(function, **renamed)
    return lambda args, params, specs: call([f"[{_joined(args)}]"], params, specs)


def _plain(value: Param) -> str:
    return _number(value) if isinstance(value, float) else repr(value)


def _keywords(function: str, op: str) -> Speller:
    """``function(x, weight=w, bias=b, key=value ...)``: the tensors after the first by PyTorch's names for them."""
    call, names = _call(function), OPS[op].tensors

    def spell(args: Sequence[str], params: Mapping[str, Param], specs: Sequence[Spec | None]) -> str:
        rest = [f"{name}={arg}" for name, arg in zip(names[1:], args[1:], strict=False)]
        return call([args[0], *rest], params, specs)

    return spell


def _of_matrix(function: str, name: str = "") -> Speller:
    """A function of a matrix plus so many times the identity, or of its product with its transpose."""

    def spell(args: Sequence[str], params: Mapping[str, Param], specs: Sequence[Spec | None]) -> str:
        rest, a = dict(params), args[0]
        plus, gram = rest.pop("plus", 0.0), rest.pop("gram", False)
        rows = specs[0].shape[-2] if specs[0] is not None else 0
        a = f"{a} @ {a}.mT" if gram else a
        a = f"{a} + {_plain(plus)} * torch.eye({rows}, dtype={args[0]}.dtype)" if plus else a
        return _call(function)([a, *args[1:]], rest, specs) + name

    return spell


def _with_classes(function: str, indices: str) -> Speller:
    def spell(args: Sequence[str], params: Mapping[str, Param], specs: Sequence[Spec | None]) -> str:
        rest = {k: v for k, v in params.items() if k != "target"}
        return _call(function)([args[0], _index(indices, params["target"])], rest, specs)

    return spell


def _normalised(function: str, *words: str) -> Speller:
    """Without running statistics: the batch's own."""

    def spell(args: Sequence[str], params: Mapping[str, Param], specs: Sequence[Spec | None]) -> str:
        named = [f"{name}={arg}" for name, arg in zip(("weight", "bias"), args[1:], strict=False)]
        return _call(function)([args[0], "None", "None", *named, *words], params, specs)

    return spell


def _einsum(function: str) -> Speller:
    return lambda args, params, specs: f"{function}({params['equation']!r}, {_joined(args)})"


def _added(product: str) -> Speller:
    """beta * input + alpha * product, the product a pattern of its two factors."""

    def spell(args: Sequence[str], params: Mapping[str, Param], specs: Sequence[Spec | None]) -> str:
        beta, alpha = (_plain(params.get(key, 1)) for key in ("beta", "alpha"))
        return f"{beta} * {args[0]} + {alpha} * ({product.format(*args[1:])})"

    return spell


def _pattern(text: str, more: str = "", **defaults: Param) -> Speller:
    """A pattern of the tensors, {0}, {1} ..., and the parameters by name; `more` follows where there is a last tensor {3}."""

    def spell(args: Sequence[str], params: Mapping[str, Param], specs: Sequence[Spec | None]) -> str:
        known = {k: _plain(v) for k, v in {**defaults, **params}.items()}
        return (text + (more if f"{{{len(args) - 1}}}" in more else "")).format(*args, **known)

    return spell


def _method(name: str, key: str) -> Speller:
    return lambda args, params, specs: f"{args[0]}.{name}({_plain(params[key])})"


def _index(make: str, value: Param) -> str:
    return make.format(_listed(value))


def _listed(value: Param) -> str:
    return f"[{_joined([_listed(v) for v in value])}]" if isinstance(value, tuple) else repr(value)


_ACTIVATIONS: Final = (
    "leaky_relu elu selu celu gelu silu mish softplus softsign logsigmoid tanhshrink softshrink hardshrink hardtanh "
    "relu6 hardsigmoid hardswish threshold prelu glu"
).split()
_SPECIAL: Final = "erf erfc erfcx erfinv ndtr log_ndtr i0 i1 i0e i1e entr sinc xlogy xlog1py logit digamma exp2".split()


def _torch_spelling() -> dict[str, Speller]:
    table = {op: _call(f"torch.{op}") for op in OPS}
    table |= {op: _call(f"torch.nn.functional.{op}") for op in _ACTIVATIONS}
    table |= {op: _call(f"torch.special.{op}") for op in _SPECIAL}
    table["polygamma"] = _polygamma("torch.polygamma")
    table |= _operators()
    indices = "torch.tensor({}, dtype=torch.int64)"
    return table | {
        **_templates(TORCH, "torch.tensor({})"),
        "vector_norm": _call("torch.linalg.vector_norm"),
        "reshape": _method("reshape", "shape"),
        "permute": _method("permute", "dims"),
        "expand": _method("expand", "shape"),
        "detach": lambda args, params, specs: f"{args[0]}.detach()",
        "cat": _joining("torch.cat"),
        "stack": _joining("torch.stack"),
        "getitem": _getitem,
        "index_select": lambda args, params, specs: (
            f"torch.index_select({args[0]}, {params['dim']}, {_index(indices, params['index'])})"
        ),
        "gather": lambda args, params, specs: (
            f"torch.gather({args[0]}, {params['dim']}, {_index(indices, params['index'])})"
        ),
        "einsum": _einsum("torch.einsum"),
        **{
            op: _of_matrix(f"torch.linalg.{op}")
            for op in ("solve", "inv", "det", "cholesky", "solve_triangular", "matrix_power")
        },
        "logabsdet": _of_matrix("torch.linalg.slogdet", ".logabsdet"),
        **{op: _with_classes(f"torch.nn.functional.{op}", indices) for op in ("cross_entropy", "nll_loss")},
        "batch_norm": _normalised("torch.nn.functional.batch_norm", "training=True"),
        "instance_norm": _normalised("torch.nn.functional.instance_norm"),
        "embedding": lambda args, params, specs: (
            f"torch.nn.functional.embedding({_index(indices, params['index'])}, {args[0]})"
        ),
        "multi_dot": _joining("torch.linalg.multi_dot"),
        **{op: _keywords(f"torch.linalg.{op}", op) for op in ("cross", "vecdot")},
        **{op: _keywords(f"torch.nn.functional.{op}", op) for op in ("bilinear", *LAYERS, *LOSSES)},
    }


def _templates(lines: Mapping[str, Template], tensor: str) -> dict[str, Speller]:
    """The spellers of ops that `harness.spelling` has as lines of text."""

    def speller(op: str, line: Template) -> Speller:
        return lambda args, params, specs: write(op, line, args, params, tensor=tensor)

    return {op: speller(op, line) for op, line in lines.items()}


def _jax_squeeze(args: Sequence[str], params: Mapping[str, Param], specs: Sequence[Spec | None]) -> str:
    dim, spec = params["dim"], specs[0]
    unit = spec is not None and isinstance(dim, int) and spec.shape[dim] == 1
    return f"jnp.squeeze({args[0]}, {dim})" if unit else args[0]  # PyTorch leaves an axis of another size alone


def _jax_gather(args: Sequence[str], params: Mapping[str, Param], specs: Sequence[Spec | None]) -> str:
    """take_along_axis wants equal sizes off the axis, where PyTorch takes the leading part of x."""
    index, spec, dim = np.asarray(params["index"], np.int64), specs[0], params["dim"]
    x = args[0]
    if spec is not None and isinstance(dim, int):
        sizes = [
            ":" if d == dim % len(spec.shape) or n == m else f":{n}"
            for d, (n, m) in enumerate(zip(index.shape, spec.shape, strict=True))
        ]
        x = x if set(sizes) <= {":"} else f"{x}[{_joined(sizes)}]"
    return f"jnp.take_along_axis({x}, jnp.array({_listed(params['index'])}), {dim})"


def _written(template: str, **defaults: Param) -> Speller:
    """A speller of an expression in which {x} is the first argument and other names are parameters."""
    return lambda args, params, specs: template.format(
        x=args[0], **{k: _number(v) if isinstance(v, (int, float)) else v for k, v in {**defaults, **params}.items()}
    )


def _jax_activations() -> dict[str, Speller]:
    names = {
        "softsign": "soft_sign",
        "logsigmoid": "log_sigmoid",
        "hardsigmoid": "hard_sigmoid",
        "hardswish": "hard_swish",
    }
    same = ("selu", "silu", "mish", "relu6", "leaky_relu", "elu", "celu")
    table: dict[str, Speller] = {op: _call(f"jax.nn.{op}") for op in same}
    table |= {op: _call(f"jax.nn.{name}") for op, name in names.items()}

    def gelu(args: Sequence[str], params: Mapping[str, Param], specs: Sequence[Spec | None]) -> str:
        return f"jax.nn.gelu({args[0]}, approximate={params.get('approximate') == 'tanh'})"

    def hardtanh(args: Sequence[str], params: Mapping[str, Param], specs: Sequence[Spec | None]) -> str:
        limits = {"min_val": -1.0, "max_val": 1.0, **params}
        if limits == {"min_val": -1.0, "max_val": 1.0}:
            return f"jax.nn.hard_tanh({args[0]})"
        clipped = "jnp.where({x} > {max_val}, {max_val}, jnp.where({x} < {min_val}, {min_val}, {x}))"
        return _written(clipped)(args, limits, specs)

    return table | {
        "gelu": gelu,
        "hardtanh": hardtanh,
        "glu": lambda args, params, specs: _call("jax.nn.glu", dim="axis")(args, {"dim": -1, **params}, specs),
        "tanhshrink": _written("{x} - jnp.tanh({x})"),
        "threshold": _written("jnp.where({x} <= {threshold}, {value}, {x})"),
        "softplus": _written(
            "jnp.where({beta} * {x} > {threshold}, {x}, jax.nn.softplus({beta} * {x}) / {beta})",
            beta=1.0,
            threshold=20.0,
        ),
        "softshrink": _written(
            "jnp.where({x} > {lambd}, {x} - {lambd}, jnp.where({x} < -{lambd}, {x} + {lambd}, 0.0))", lambd=0.5
        ),
        "hardshrink": _written("jnp.where(({x} >= -{lambd}) & ({x} <= {lambd}), 0.0, {x})", lambd=0.5),
    }


def _polygamma(function: str) -> Speller:
    return lambda args, params, specs: f"{function}({params['n']}, {args[0]})"


def _jax_special() -> dict[str, Speller]:
    in_scipy = "erf erfc erfinv ndtr log_ndtr digamma i0 i1 i0e i1e entr xlogy xlog1py".split()
    table: dict[str, Speller] = {op: _call(f"jax.scipy.special.{op}") for op in in_scipy}
    in_numpy = (
        "sinc log2 log10 exp2 deg2rad rad2deg floor ceil trunc round hypot logaddexp2 copysign fmax fmin fmod remainder"
    )
    table |= {op: _call(f"jnp.{op}") for op in in_numpy.split()}
    table |= {op: _call(f"jnp.arc{op[1:]}") for op in ("asin", "acos", "asinh", "acosh", "atanh")}

    def logit(args: Sequence[str], params: Mapping[str, Param], specs: Sequence[Spec | None]) -> str:
        eps = params.get("eps")
        x = args[0] if eps is None else f"jnp.clip({args[0]}, {eps!r}, {1 - float(str(eps))!r})"
        return f"jax.scipy.special.logit({x})"

    def added(product: str) -> Speller:
        return lambda args, params, specs: (
            f"{args[0]} + {_plain(params.get('value', 1))} * {args[1]} {product} {args[2]}"
        )

    return table | {
        "lgamma": _call("jax.scipy.special.gammaln"),
        "polygamma": _polygamma("jax.scipy.special.polygamma"),
        "logit": logit,
        "frac": _written("{x} - jnp.trunc({x})"),
        "lerp": lambda args, params, specs: (
            "jnp.where(jnp.abs({2}) < 0.5, {0} + {2} * ({1} - {0}), {1} - ({1} - {0}) * (1 - {2}))".format(*args)
        ),
        "addcmul": added("*"),
        "addcdiv": added("/"),
    }


def _jax_spelling() -> dict[str, Speller]:
    same = [
        "abs",
        "sign",
        "exp",
        "expm1",
        "log",
        "log1p",
        "sqrt",
        "reciprocal",
        "square",
        "sin",
        "cos",
        "tan",
        "sinh",
        "cosh",
        "tanh",
        "maximum",
        "minimum",
        "logaddexp",
    ]
    table: dict[str, Speller] = {op: _call(f"jnp.{op}") for op in [*same, "where", "dot", "outer"]}
    table |= _operators()
    table |= _jax_activations()
    table |= _jax_special()
    reduced = {"dim": "axis", "keepdim": "keepdims"}
    for op in ("sum", "mean", "amax", "amin", "prod"):
        table[op] = _call(f"jnp.{op}", **reduced)
    return table | {
        **_templates(JAX, "jnp.array({})"),
        "atan": _call("jnp.arctan"),
        "atan2": _call("jnp.arctan2"),
        "rsqrt": _call("jax.lax.rsqrt"),
        "sigmoid": _call("jax.nn.sigmoid"),
        "relu": _call("jax.nn.relu"),
        "clamp": _call("jnp.clip"),
        "logsumexp": _call("jax.scipy.special.logsumexp", **reduced),
        "vector_norm": _call("jnp.linalg.vector_norm", **reduced),
        "var": lambda args, params, specs: _call("jnp.var", correction="ddof", **reduced)(
            args, {"correction": 1, **params}, specs
        ),
        "cumsum": _call("jnp.cumsum", dim="axis"),
        "softmax": _call("jax.nn.softmax", dim="axis"),
        "log_softmax": _call("jax.nn.log_softmax", dim="axis"),
        "reshape": _method("reshape", "shape"),
        "permute": _method("transpose", "dims"),
        "transpose": lambda args, params, specs: f"jnp.swapaxes({args[0]}, {params['dim0']}, {params['dim1']})",
        "expand": _call("jnp.broadcast_to"),
        "unsqueeze": _call("jnp.expand_dims", dim="axis"),
        "squeeze": _jax_squeeze,
        "flip": _call("jnp.flip", dims="axis"),
        "tril": _call("jnp.tril", diagonal="k"),
        "triu": _call("jnp.triu", diagonal="k"),
        "clone": _call("jnp.copy"),
        "detach": _call("jax.lax.stop_gradient"),
        "cat": _joining("jnp.concatenate", dim="axis"),
        "stack": _joining("jnp.stack", dim="axis"),
        "getitem": _getitem,
        "index_select": lambda args, params, specs: (
            f"jnp.take({args[0]}, jnp.array({_listed(params['index'])}, dtype=int), {params['dim']})"
        ),
        "gather": _jax_gather,
        "bmm": _call("jnp.matmul"),
        "einsum": _einsum("jnp.einsum"),
        "tensordot": _call("jnp.tensordot", dims="axes"),
        "inner": _call("jnp.inner"),
        "vecdot": _call("jnp.vecdot", dim="axis"),
        "kron": _call("jnp.kron"),
        **{op: _added("{0} @ {1}") for op in ("addmm", "addmv", "baddbmm")},
        "addr": _added("jnp.outer({0}, {1})"),
        "addbmm": _added('jnp.einsum("bij,bjk->ik", {0}, {1})'),
        "cross": _call("jnp.cross", dim="axis"),
        "cdist": _pattern(
            "jnp.linalg.vector_norm({0}[..., :, None, :] - {1}[..., None, :, :], ord={p}, axis=-1)", p=2.0
        ),
        "multi_dot": _joining("jnp.linalg.multi_dot"),
        "bilinear": _pattern('jnp.einsum("...i,oij,...j->...o", {0}, {2}, {1})', " + {3}"),
    }


_TORCH: Final = _torch_spelling()
_JAX: Final = _jax_spelling()
