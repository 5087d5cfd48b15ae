"""The table of every op: its rule, its domain, and what the reference, PyTorch and JAX return at its kinks.

`adjudge ops` prints it as Markdown; `reference_impl/docs/ops.md` holds what it printed last, and a test compares the two.
Nothing in it is written by hand: rules are read from the source of the declarations, conventions from the measured tables
of the backends.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import reference_impl.ops
from harness.backends import reference
from harness.vocabulary import OPS
from reference_impl.primitives import PRIMITIVES

__all__ = ["OpRow", "as_markdown", "op_rows"]

_FRAMEWORKS = {"PyTorch": "harness.backends.torch_eager", "JAX": "harness.backends.jax_backend"}


@dataclass(frozen=True)
class OpRow:
    """One op of the table.

    Attributes:
        name: as programs and `PRIMITIVES` call it.
        family: the module of `reference_impl.ops` that declares it; "composed" for a function of other ops.
        doc: the first sentence of its docstring.
        rules: one expression an argument, by the argument's name; empty where there is no derivative of its own.
        domain: where it is defined.
        kinks: where it is not differentiable, and what the reference returns there, in words.
        at_kinks: (point, {engine: derivatives there}) for every measured point.
    """

    name: str
    family: str
    doc: str
    rules: Mapping[str, str]
    domain: str
    kinks: str
    at_kinks: tuple[tuple[str, Mapping[str, str]], ...]

    @property
    def differs(self) -> bool:
        """Whether the engines return different derivatives at one of the points."""
        return any(len(set(found.values())) > 1 for _, found in self.at_kinks)


def op_rows() -> tuple[OpRow, ...]:
    """Return a row for every primitive and for every composed op that programs name, by family and in source order.

    Raises:
        ImportError: PyTorch or JAX is missing, whose conventions the table shows.
    """
    conventions = _conventions()
    rules = _rules_in_source()
    rows = []
    for p in PRIMITIVES.values():
        family = p.body.__module__.rpartition(".")[2]
        written = rules.get(p.body.__name__, [])
        names = ("each",) if p.variadic else p.arg_names
        by_name = dict(zip(names, written, strict=False))
        rows.append(OpRow(p.name, family, _sentence(p.doc), by_name, p.domain, p.kinks, _at_kinks(p.name, conventions)))
    for name in OPS:
        if name not in PRIMITIVES:
            doc = inspect.getdoc(reference.OPS[name]) or ""
            rows.append(OpRow(name, "composed", _sentence(doc), {}, "", "", _at_kinks(name, conventions)))
    order = {row.family: i for i, row in enumerate(rows)}
    return tuple(sorted(rows, key=lambda row: order[row.family]))


def as_markdown() -> str:
    """Return the table as a page of Markdown."""
    rows = op_rows()
    derived = sum(bool(r.rules) for r in rows)
    composed = sum(r.family == "composed" for r in rows)
    named = sum(r.name in OPS for r in rows)
    lines = [
        "# Every op of the tape",
        "",
        "Made by `adjudge ops`; edit the declarations in `reference_impl/ops/`, not this page.",
        "",
        f"{derived} primitives have rules, {composed} more ops are composed of them; programs name {named}.",
        "A rule maps the output's cotangent `ct` to an argument's cotangent; `y` is the output, `x_shape` the shape of `x`.",
        "Cotangents of broadcast arguments are summed by the engine. The sources of formulae stand in the docstrings.",
        "",
    ]
    for family in dict.fromkeys(r.family for r in rows):
        lines += [f"## {family.capitalize()}", ""]
        if family == "composed":
            lines += ["No rule of their own: their derivatives are those of the ops that they are made of.", ""]
            lines += ["| op | what it is |", "|---|---|"]
            lines += [f"| `{r.name}` | {_cell(r.doc)} |" for r in rows if r.family == family]
        else:
            lines += ["| op | rules | domain | kinks |", "|---|---|---|---|"]
            lines += [_line(r) for r in rows if r.family == family]
        lines.append("")
    lines += ["## Conventions at kinks and singular points", ""]
    lines += [
        "Measured. The derivative that each engine returns for a sum of the outputs, one list an argument, at the points",
        "given. **Where the engines differ the point is in bold.** Each engine is judged by its own convention there.",
        "",
        "| op | at | reference | PyTorch | JAX |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        for at, found in row.at_kinks:
            bold = "**" if len(set(found.values())) > 1 else ""
            cells = [found.get(engine, "") for engine in ("reference", *_FRAMEWORKS)]
            lines.append(f"| {bold}{_cell(at[0])}{bold} | {_cell(at[1])} | {' | '.join(map(_cell, cells))} |")
    return "\n".join(lines) + "\n"


def _line(row: OpRow) -> str:
    rules = "; ".join(f"{name}: `{rule}`" if len(row.rules) > 1 else f"`{rule}`" for name, rule in row.rules.items())
    none = "no derivative" if not PRIMITIVES[row.name].rules else "in the source"
    return f"| `{row.name}` | {_cell(rules) or none} | {_cell(row.domain)} | {_cell(row.kinks)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _sentence(doc: str) -> str:
    return " ".join(doc.split("\n\n")[0].split())


# -- conventions


def _conventions() -> dict[str, Mapping[str, str]]:
    tables: dict[str, Mapping[str, str]] = {"reference": reference.CONVENTIONS}
    for name, module in _FRAMEWORKS.items():
        tables[name] = importlib.import_module(module).CONVENTIONS
    return tables


def _at_kinks(name: str, tables: Mapping[str, Mapping[str, str]]) -> tuple[Any, ...]:
    keys = dict.fromkeys(key for table in tables.values() for key in table if key.split()[0] == name)
    found = []
    for key in keys:
        at = ""
        derivatives = {}
        for engine, table in tables.items():
            if key in table:
                # "at POINTS: DERIVATIVES"; the colon cannot occur in the points
                at, _, derivative = table[key].removeprefix("at ").partition(": ")
                derivatives[engine] = derivative
        found.append(((key, at), derivatives))
    return tuple(found)


# -- rules as they are written


@functools.cache
def _rules_in_source() -> dict[str, list[str]]:
    """The rules of every declaration in `reference_impl.ops`, by the name of the body, as expressions."""
    found: dict[str, list[str]] = {}
    for module in pkgutil.iter_modules(reference_impl.ops.__path__):
        tree = ast.parse(inspect.getsource(importlib.import_module(f"reference_impl.ops.{module.name}")))
        functions = {n.name: n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
        for name, call in _declarations(tree):
            for keyword in call.keywords:
                if keyword.arg == "vjps" and isinstance(keyword.value, ast.List):
                    found[name] = [_expression(rule, functions) for rule in keyword.value.elts]
    return found


def _declarations(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            for call in node.decorator_list:
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "primitive":
                    yield node.name, call


def _expression(rule: ast.expr, functions: Mapping[str, ast.FunctionDef]) -> str:
    """A lambda's body; of a function that is one return its expression, of a longer one its call."""
    if isinstance(rule, ast.Lambda):
        return ast.unparse(rule.body)
    named = functions.get(ast.unparse(rule))
    if named is None:
        return ast.unparse(rule)
    statements = [s for s in named.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
    if len(statements) == 1 and isinstance(statements[0], ast.Return) and statements[0].value is not None:
        return ast.unparse(statements[0].value)
    arguments = ", ".join(a.arg for a in (*named.args.args, *named.args.kwonlyargs))
    return f"{named.name}({arguments})"
