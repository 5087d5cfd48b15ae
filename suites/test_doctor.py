"""The doctor says what is there and how to get the rest; the table of kernel errors loads, and its measure sees defects."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import operator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import backends, doctor, environment, kernels
from harness.backends import jax_backend, reference, torch_eager
from harness.floats import about
from harness.kernels import Declared, gamma, load_kernel_errors
from harness.oracles import kernel_errors
from reference_impl.primitives import PRIMITIVES

SPELLED = {
    "reference": set(reference.OPS),
    "torch": set(torch_eager.OPS),
    "jax": set(jax_backend.OPS),
    "jax-jit": set(jax_backend.OPS),
}


@pytest.fixture(scope="module")
def report() -> doctor.Report:
    return doctor.doctor()


def test_every_backend_is_in_the_report(report: doctor.Report) -> None:
    assert tuple(b.name for b in report.backends) == backends.names()


def test_the_reference_is_always_usable(report: doctor.Report) -> None:
    state = next(b for b in report.backends if b.name == "reference")
    assert state.problem is None
    assert state.version == np.__version__
    assert state.devices == ("cpu",)


def test_the_text_names_every_package_backend_and_version(report: doctor.Report) -> None:
    text = doctor.render(report)
    for package in report.packages:
        assert package.name in text
    for state in report.backends:
        assert state.name in text
        assert (state.version or state.problem or "") in text


def test_a_missing_framework_comes_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    find, version = importlib.util.find_spec, environment.installed
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "jax" else find(name, *a))
    monkeypatch.setattr(doctor, "installed", lambda name: None if name.startswith("jax") else version(name))
    report = doctor.doctor()
    assert {p.name for p in report.missing} >= {"jax", "jaxlib"}
    text = doctor.render(report)
    assert "backend 'jax' needs the package 'jax', which is not installed" in text
    assert text.endswith('pip install "adjudge[jax]"')


def test_a_framework_that_fails_to_load_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    real = backends.get

    def broken(name: str) -> Any:
        if name == "reference":
            raise OSError("libblas.so.3: cannot open shared object file")
        return real(name)

    monkeypatch.setattr(backends, "get", broken)
    states = {b.name: b for b in doctor.doctor().backends}
    assert states["reference"].problem == "fails to load: OSError: libblas.so.3: cannot open shared object file"
    assert len(states) == len(backends.names())


def test_another_version_than_the_measured_one_is_noted() -> None:
    assert "measured with" in doctor._kernel_note("reference", "0.0.1")
    assert "adjudge doctor --kernels" in doctor._kernel_note("reference", "0.0.1")
    assert "no kernel errors are known" in doctor._kernel_note("tensorflow", "2.0")


def test_the_table_has_every_backend_dtype_and_op() -> None:
    table = load_kernel_errors()
    for backend in kernel_errors.BACKENDS:
        for dtype in kernel_errors.DTYPES:
            for op in (*kernel_errors.EXACT, *kernels.KINDS):
                if op not in SPELLED[backend] and op in reference.OPS:
                    continue  # the framework has no such op
                found = table.lookup(backend, dtype, op)
                assert found.k >= 0.0
                assert bool(found.a) == bool(found.scale)
                assert found.scale in ("", *kernel_errors.SCALES)


def test_declared_errors_are_above_the_measured_ones() -> None:
    table = load_kernel_errors()
    for key, found in table.declared.items():
        if not found.scale and key[2] not in kernel_errors.CONVOLUTIONS:  # of these only what underflows was measured
            assert found.k >= table.measured[key]["k"] or found.k == 1.0, key


def test_every_primitive_of_the_vocabulary_is_declared() -> None:
    known = set(kernel_errors.EXACT) | set(kernels.KINDS)
    assert {
        op for op in reference.OPS if op in PRIMITIVES
    } <= known  # what is composed of them needs no error of its own


@pytest.mark.parametrize(
    "key", [("tensorflow", "float64", "exp"), ("reference", "float16", "exp"), ("torch", "float64", "frobnicate")]
)
def test_an_unknown_key_is_refused_by_name(key: tuple[str, str, str]) -> None:
    with pytest.raises(KeyError, match="nothing is known of"):
        load_kernel_errors().lookup(*key)


def test_a_backend_that_flushes_subnormals_has_the_smallest_normal_as_eta() -> None:
    table = load_kernel_errors()
    assert table.lookup("jax", "float32", "mul").eta == float(np.finfo(np.float32).tiny)
    assert table.lookup("reference", "float32", "mul").eta == float(np.finfo(np.float32).smallest_subnormal)


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    for text in ("not json", "[]", '{"schema": 99, "backends": {}}'):
        path = tmp_path / f"{len(text)}.json"
        path.write_text(text)
        with pytest.raises(ValueError, match=str(path)):
            load_kernel_errors(path)


def test_gamma_is_infinite_when_nothing_is_left() -> None:
    assert gamma(2**24, 2.0**-24) == float("inf")


def test_the_measure_sees_a_planted_error_of_a_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    reference._evaluator.cache_clear()
    monkeypatch.setitem(reference.OPS, "mul", lambda a, b: operator.mul(operator.mul(a, b), 1.0 + 2.0**-50))
    probes = [p for p in kernel_errors.probes("float64", 120) if p.op == "mul"]
    entry = kernel_errors._entry(backends.get("reference"), probes, "float64", False)
    reference._evaluator.cache_clear()
    assert entry["measured"]["k"] > 7.0
    assert entry["k"] >= entry["measured"]["k"]


def test_the_measure_finds_correct_rounding_to_be_one_unit() -> None:
    probes = [p for p in kernel_errors.probes("float32", 120) if p.op == "mul"]
    entry = kernel_errors._entry(backends.get("reference"), probes, "float32", False)
    assert 0.5 < entry["measured"]["k"] <= 1.0
    assert entry["k"] == 1.0


def test_a_relative_error_that_grows_with_the_argument_is_declared_so() -> None:
    rows = [(x * y * 2.0**-53, y, x) for x in (1.0, 30.0, 700.0) for y in (1e-3, 1.0, 1e200)]
    found = kernel_errors._declare(kernel_errors._Worst(k=700.0), rows, "float64", False)
    assert found == Declared(k=8.0, a=found.a, scale="max|args| |y|", eta=found.eta)
    assert found.a == pytest.approx(2.0 * (1.0 - 8.0 / 700.0))


def test_an_op_that_is_zero_between_the_numbers_has_an_absolute_part() -> None:
    table = load_kernel_errors()
    assert all(
        table.lookup(b, d, "logaddexp").scale == "1" for b in kernel_errors.BACKENDS for d in kernel_errors.DTYPES
    )


def test_an_absolute_part_has_the_margin_of_a_relative_one() -> None:
    rows = [(0.9 * 2.0**-53, y, 1.0) for y in (1e-9, 1e-6, 1.0)]
    found = kernel_errors._declare(kernel_errors._Worst(k=9e8), rows, "float64", False, crosses_zero=True)
    assert found.scale == "1"
    assert 1.79 <= found.a <= 1.8


@pytest.mark.skipif(backends.available()["torch"] is not None, reason="PyTorch is not installed")
def test_a_convolution_that_flushes_subnormals_is_declared_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """On processors where it does not flush, the declared error, which is of those where it does, is an upper bound."""
    table, engine = load_kernel_errors(), backends.get("torch")
    for dtype in ("float32", "bfloat16"):
        tiny = about(dtype).tiny
        here = kernel_errors._convolution_flushes(engine, dtype)
        for op in kernel_errors.CONVOLUTIONS:
            assert table.lookup("torch", dtype, op).eta >= (tiny if here else table.eta("torch", dtype))
        for flushes in (True, False):
            monkeypatch.setattr(kernel_errors, "_convolution_flushes", lambda engine, dtype, flushes=flushes: flushes)
            measured = kernel_errors.measure("torch", dtype, count=40, ops=kernel_errors.CONVOLUTIONS)["ops"]
            assert {op: e["eta"] for op, e in measured.items()} == dict.fromkeys(
                kernel_errors.CONVOLUTIONS if flushes else (), tiny
            )
        monkeypatch.undo()


def test_the_zeros_of_a_logarithm_of_a_sum_are_measured() -> None:
    for op in ("logaddexp", "logaddexp2"):
        for probe in kernel_errors.probes("float32", 120, frozenset({op})):
            assert sum(abs(float(y.mid())) < 2.0**-20 for y in probe.value if y.is_finite()) >= 30
    (probe,) = kernel_errors.probes("bfloat16", 120, frozenset({"logaddexp2"}))
    assert any(y.is_zero() for y in probe.value)


@pytest.mark.parametrize("op", sorted(kernel_errors.ADDING))
def test_an_op_that_adds_up_stays_within_its_formula(op: str) -> None:
    table = load_kernel_errors()
    for backend, dtype, name in table.measured:
        if name == op:
            assert 0.05 < table.measured[backend, dtype, op]["k"] <= table.lookup(backend, dtype, op).k
            assert table.lookup(backend, dtype, op).kind == kernels.KINDS[op]


def test_regenerate_writes_a_table_that_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_errors, "BACKENDS", ("reference",))
    path = tmp_path / "table.json"
    seen: list[str] = []
    kernel_errors.regenerate(path, count=60, progress=seen.append)
    assert seen == ["reference float64", "reference float32"]
    table = load_kernel_errors(path)
    assert table.lookup("reference", "float64", "add").k == 1.0
    assert table.versions == {"reference": np.__version__}
    assert not list(tmp_path.glob("*.part"))
    assert json.loads(path.read_text())["margin"] == kernel_errors.MARGIN


def test_measuring_some_ops_keeps_what_the_table_says_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_errors, "BACKENDS", ("reference",))
    path = tmp_path / "table.json"
    table = json.loads(kernels.TABLE.read_text())
    before = table["backends"]["reference"]["float64"]["ops"]
    mark = {**before["exp"], "k": 99.0}
    table["backends"]["reference"]["float64"]["ops"] |= {"exp": mark, "tan": mark, "sum": mark}
    path.write_text(json.dumps(table))
    kernel_errors.regenerate(path, count=60, ops=("tan", "sum"))
    after = load_kernel_errors(path)
    assert after.lookup("reference", "float64", "exp").k == 99.0
    assert after.lookup("reference", "float64", "tan").k < 99.0
    assert after.lookup("reference", "float64", "sum").k < 99.0
    assert set(after.measured) == set(load_kernel_errors().measured)


def test_ops_measured_with_another_version_are_not_mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_errors, "BACKENDS", ("reference",))
    path = tmp_path / "table.json"
    table = json.loads(kernels.TABLE.read_text())
    table["backends"]["reference"]["float64"]["version"] = "0.0.1"
    path.write_text(json.dumps(table))
    with pytest.raises(ValueError, match=r"was measured with 0\.0\.1"):
        kernel_errors.regenerate(path, count=60, ops=("exp",))


def test_declarations_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        load_kernel_errors().lookup("reference", "float64", "exp").k = 0.0  # type: ignore[misc]
