"""What a run wrote comes back as it was, and what no run wrote is refused with a clear error."""

from __future__ import annotations

import math
import os
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness import environment, records
from harness.records import ComparisonRow, RecordError, Run, RunInfo, TimingRow, VerdictRow

INFO = RunInfo(
    run_id="20300131T000000Z-abc123",
    started_utc="2030-01-31T00:00:00+00:00",
    command="adjudge verify",
    seed=7,
    budget_seconds=60.0,
    versions={"python": "3.11.7", "numpy": "2.4.6"},
    programs=2,
    points=8,
)
AGREE = VerdictRow(
    run_id=INFO.run_id,
    program_id="0123456789abcdef",
    seed=7,
    point=0,
    backend="torch",
    backend_version="2.13.0",
    dtype="float64",
    claim="vjp",
    aspect="derivative",
    ops="sin mul",
    verdict="agree",
    element_count=3,
    error_over_bound=0.25,
    median_error_over_bound=0.125,
)
DISAGREE = replace(
    AGREE, verdict="disagree", owner="framework", reproducer="import torch\nprint('é')", program='{"a": 1}'
)
TIMING = TimingRow(
    run_id=INFO.run_id,
    workload="mlp_step",
    size=100,
    what="gradient",
    backend="torch",
    backend_version="2.13.0",
    dtype="float32",
    threads=1,
    phase="steady",
    samples_seconds=(1e-5, 2e-5),
    rounds=(0, 1),
    check_error=0.0,
)


def write(folder: Path, **changes: Any) -> Path:
    """A valid Parquet file with Adjudge's schema after the changes to its metadata or table."""
    path = folder / "verdicts-x.parquet"
    records.to_parquet(path, [AGREE], INFO)
    table = pq.read_table(path)
    if "table" in changes:
        table = changes["table"](table)
    if "metadata" in changes:
        table = table.replace_schema_metadata(changes["metadata"](dict(table.schema.metadata)))
    pq.write_table(table, path)
    return path


def test_verdict_rows_round_trip(tmp_path: Path) -> None:
    (path,) = records.write_run(tmp_path, INFO, verdicts=[AGREE, DISAGREE])
    assert records.read_run(path) == Run(INFO, (AGREE, DISAGREE), ())


def test_timing_rows_round_trip(tmp_path: Path) -> None:
    (path,) = records.write_run(tmp_path, INFO, timings=[TIMING])
    assert records.read_run(path) == Run(INFO, (), (TIMING,))


def test_comparison_rows_round_trip(tmp_path: Path) -> None:
    row = ComparisonRow(
        run_id=INFO.run_id, series="chain/10/vjp/reference/float64", workload="chain", size=10, what="vjp",
        backend="reference", dtype="float64", threads=1, before="a", after="b", verdict="slower", ratio=1.05, low=1.04,
        high=1.06, p=1e-4, p_adjusted=2e-4, threshold=0.02, smallest_effect=0.01, control_ratio=1.0, control_low=0.99,
        control_high=1.01, before_seconds=1e-3, after_seconds=1.05e-3, log_ratios=(0.05, 0.04), blocks=20, clock="wall",
        counts="same",
    )  # fmt: skip
    (path,) = records.write_run(tmp_path, INFO, comparisons=[row])
    assert records.read_run(path) == Run(INFO, comparisons=(row,))


def test_nan_and_infinity_round_trip(tmp_path: Path) -> None:
    row = replace(AGREE, error_over_bound=math.inf, median_error_over_bound=math.nan)
    back = records.read_run(records.write_run(tmp_path, INFO, verdicts=[row])[0]).verdicts[0]
    assert back.error_over_bound == math.inf and math.isnan(back.median_error_over_bound)


@pytest.mark.parametrize("kind", ["verdicts", "timings"])
def test_a_run_without_rows_round_trips(tmp_path: Path, kind: str) -> None:
    (path,) = records.write_run(tmp_path, replace(INFO, interrupted=True), verdicts=None if kind == "timings" else [],
                                timings=None if kind == "verdicts" else [])  # fmt: skip
    assert records.read_run(path) == Run(replace(INFO, interrupted=True))


def test_a_url_round_trips() -> None:
    pytest.importorskip("fsspec")
    records.check_writable("memory://runs/a")
    paths = records.write_run("memory://runs/a", INFO, verdicts=[AGREE], timings=[TIMING])
    assert records.read_run(paths[0]).verdicts == (AGREE,)
    assert records.read_dataset("memory://runs/a") == ((Run(INFO, (AGREE,), (TIMING,)),), ())


def test_every_column_is_documented() -> None:
    for row_type in (VerdictRow, TimingRow, ComparisonRow, RunInfo):
        assert all(c.doc and c.type for c in records.columns(row_type))


def test_units_are_kept_in_the_file(tmp_path: Path) -> None:
    (path,) = records.write_run(tmp_path, INFO, timings=[TIMING])
    assert pq.read_schema(path).field("samples_seconds").metadata[b"unit"] == b"s per call"


def test_a_dataset_joins_the_files_of_a_run_and_sorts_runs_by_start(tmp_path: Path) -> None:
    later = replace(INFO, run_id="later", started_utc="2030-02-01T00:00:00+00:00")
    records.write_run(tmp_path, later, verdicts=[replace(AGREE, run_id="later")])
    records.write_run(tmp_path, INFO, verdicts=[AGREE], timings=[TIMING])
    runs = records.read_dataset(tmp_path).runs
    assert [r.info.run_id for r in runs] == [INFO.run_id, "later"]
    assert runs[0] == Run(INFO, (AGREE,), (TIMING,))


def test_a_broken_file_is_reported_and_the_others_are_kept(tmp_path: Path) -> None:
    records.write_run(tmp_path, INFO, verdicts=[AGREE])
    (tmp_path / "verdicts-zzz.parquet").write_bytes(b"PAR1 no")
    data = records.read_dataset(tmp_path)
    assert [r.info for r in data.runs] == [INFO]
    assert "verdicts-zzz.parquet" in str(data.broken[0])


def test_hidden_drafts_are_not_read(tmp_path: Path) -> None:
    records.write_run(tmp_path, INFO, verdicts=[AGREE])
    (tmp_path / ".verdicts-y.parquet").write_bytes(b"half")
    assert records.read_dataset(tmp_path).broken == ()


def test_a_folder_without_runs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="holds no run files"):
        records.read_dataset(tmp_path)
    with pytest.raises(RecordError, match="no such file or folder"):
        records.read_dataset(tmp_path / "absent")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"absent\.parquet: no such file"):
        records.read_run(tmp_path / "absent.parquet")


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    whole = Path(records.write_run(tmp_path, INFO, verdicts=[AGREE])[0]).read_bytes()
    path = tmp_path / "cut.parquet"
    for size in [*range(0, len(whole), 97), len(whole) - 1]:
        path.write_bytes(whole[:size])
        with pytest.raises(RecordError, match=r"cut\.parquet: not a readable Parquet file"):
            records.read_run(path)


def test_a_flipped_byte_never_yields_other_rows_silently(tmp_path: Path) -> None:
    whole = bytearray(Path(records.write_run(tmp_path, INFO, verdicts=[AGREE] * 3)[0]).read_bytes())
    path = tmp_path / "flipped.parquet"
    for at in range(4, len(whole) // 2, 53):
        changed = bytearray(whole)
        changed[at] ^= 0xFF
        path.write_bytes(changed)
        try:
            rows = records.read_run(path).verdicts
        except RecordError as error:
            assert "flipped.parquet" in str(error)  # noqa: PT017  either end is right
        else:
            assert repr(rows) == repr((AGREE,) * 3)


@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"<html></html>", bytes(range(256)), b"PAR1" + b"\xff" * 60 + b"PAR1"]
)
def test_a_file_that_is_not_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "foreign.parquet"
    path.write_bytes(content)
    with pytest.raises(RecordError, match=r"foreign\.parquet: not a readable Parquet file"):
        records.read_run(path)


def test_a_foreign_parquet_file_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "foreign.parquet")
    with pytest.raises(RecordError, match="not one of Adjudge's"):
        records.read_run(tmp_path / "foreign.parquet")


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (
            "99",
            r"has schema version 99, this Adjudge reads versions 1 to \d+ \(written by a newer Adjudge: update this one",
        ),
        ("0", r"has schema version 0, this Adjudge reads versions 1 to \d+$"),
        ("true", "has schema version True"),
        ('"2"', "has schema version '2'"),
    ],
)
def test_another_schema_version_is_refused(tmp_path: Path, version: str, message: str) -> None:
    now = f'"schema_version": {records.SCHEMA_VERSION}'.encode()
    then = f'"schema_version": {version}'.encode()
    path = write(tmp_path, metadata=lambda m: {b"adjudge": m[b"adjudge"].replace(now, then)})
    with pytest.raises(RecordError, match=message):
        records.read_run(path)


OLDER = {version: Path(__file__).parent / f"records_of_version_{version}" for version in (1, 2)}
OLD = OLDER[1]


def test_files_of_version_1_are_read_with_defaults_for_younger_columns() -> None:
    (run,) = records.read_dataset(OLD).runs
    assert run.info.run_id == INFO.run_id and run.info.versions == INFO.versions and run.info.governor == ""
    assert run.verdicts == (AGREE, DISAGREE)
    assert run.timings == (TIMING,)
    assert {row.schema_version for row in (*run.verdicts, *run.timings)} == {records.SCHEMA_VERSION}
    assert (run.timings[0].tape_nodes, run.timings[0].processes, run.timings[0].revision) == (-1, (), "")


def test_files_of_version_2_are_read_with_defaults_for_younger_columns() -> None:
    (run,) = records.read_dataset(OLDER[2]).runs
    assert run.verdicts == (AGREE, DISAGREE) and run.info.left_out == ()
    assert (run.timings[0].tape_nodes, run.timings[0].revision, run.timings[0].asked_size) == (12, "0123456789", 0)
    assert (run.comparisons[0].verdict, run.comparisons[0].log_ratios) == ("slower", (0.2, 0.25))


@pytest.mark.parametrize("version", [1, 2])
def test_what_was_read_of_an_older_version_is_written_as_of_today(version: int, tmp_path: Path) -> None:
    (run,) = records.read_dataset(OLDER[version]).runs
    comparisons = run.comparisons or None
    records.write_run(tmp_path, run.info, verdicts=run.verdicts, timings=run.timings, comparisons=comparisons)
    assert records.read_dataset(tmp_path).runs == (run,)


LEFT = {
    "kind": "refused", "workload": "gmm", "size": "10", "asked_size": "1", "what": "gradient", "backend": "jax-jit",
    "dtype": "float64", "reason": "wrong: nan",
}  # fmt: skip


def test_what_was_left_out_comes_back(tmp_path: Path) -> None:
    info = replace(INFO, left_out=(LEFT,))
    (path,) = records.write_run(tmp_path, info, timings=[])
    assert records.read_run(path).info == info
    with pytest.raises(ValueError, match="left_out holds an entry of kind: want kind, workload"):
        replace(INFO, left_out=({"kind": "refused"},))


def test_a_file_of_version_1_with_a_younger_column_is_refused(tmp_path: Path) -> None:
    table = pq.read_table(OLD / f"timings-{INFO.run_id}.parquet")
    pq.write_table(table.append_column("tape_nodes", pa.array([1])), tmp_path / "mixed.parquet")
    with pytest.raises(RecordError, match="column 'tape_nodes' is unknown"):
        records.read_run(tmp_path / "mixed.parquet")


def test_every_younger_column_has_a_default() -> None:
    for row_type in (VerdictRow, TimingRow, ComparisonRow, RunInfo):
        for f in fields(row_type):
            first = 2 if row_type is ComparisonRow else 1
            assert f.metadata["since"] == first or f.default is not MISSING, f.name


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"[" * 100_000, "is not what Adjudge writes"),
        (b"[]", "is not what Adjudge writes"),
        (b'{"schema_version": 1, "rows": "secrets", "info": {}}', "names no rows of Adjudge's"),
        (b'{"schema_version": 1, "rows": ["verdicts"], "info": {}}', "names no rows of Adjudge's"),
        (b'{"schema_version": 3, "rows": "verdicts", "info": {"evil": 1}}', "unknown entry 'evil'"),
        (b'{"schema_version": 3, "rows": "verdicts", "info": {"left_out": [{"kind": 1}]}}', "run info left_out is"),
        (b'{"schema_version": 3, "rows": "verdicts", "info": {"seed": "x"}}', "run info seed is 'x'"),
        (b'{"schema_version": 3, "rows": "verdicts", "info": {}}', "missing"),
        (b'{"schema_version": 1, "rows": "timings", "info": {}}', "column 'calls_per_sample' is missing"),
    ],
)
def test_hostile_metadata_is_refused(tmp_path: Path, head: bytes, message: str) -> None:
    path = write(tmp_path, metadata=lambda _: {b"adjudge": head})
    with pytest.raises(RecordError, match=message):
        records.read_run(path)


def change(name: str, values: list[object], kind: Any) -> Any:
    """A table edit that replaces one column."""
    return lambda t: t.set_column(t.column_names.index(name), pa.field(name, kind), pa.array(values, kind))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t.drop_columns(["seed"]), "column 'seed' is missing"),
        (lambda t: t.append_column("evil", pa.array([1])), "column 'evil' is unknown"),
        (change("seed", ["x"], pa.string()), "column 'seed' holds string, not int64"),
        (change("seed", [None], pa.int64()), "may be missing values"),
    ],
)
def test_other_columns_are_refused(tmp_path: Path, edit: Any, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        records.read_run(write(tmp_path, table=edit))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [("verdict", "perfect", "verdict is 'perfect'"), ("owner", "you", "owner is 'you'"),
     ("run_id", "../../etc", "run_id '../../etc'"), ("schema_version", 1, "schema version 1")],
)  # fmt: skip
def test_values_that_no_run_writes_are_refused(tmp_path: Path, column: str, value: Any, message: str) -> None:
    def edit(table: Any) -> Any:
        at = table.column_names.index(column)
        return table.set_column(at, table.schema.field(at), pa.array([value]))

    with pytest.raises(RecordError, match=message):
        records.read_run(write(tmp_path, table=edit))


def test_a_failure_in_the_middle_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RecordError, match="No space left on device"):
        records.write_run(tmp_path, INFO, verdicts=[AGREE])
    assert list(tmp_path.iterdir()) == []


def test_a_failure_in_the_middle_keeps_the_file_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = records.write_run(tmp_path, INFO, verdicts=[AGREE])

    def fail(_: str, __: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        records.write_run(tmp_path, INFO, verdicts=[AGREE, AGREE])
    assert records.read_run(path).verdicts == (AGREE,)
    assert len(list(tmp_path.iterdir())) == 1


def test_rows_that_do_not_fit_write_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    with pytest.raises(RecordError, match="column seed"):
        records.to_parquet(path, [replace(AGREE, seed=2**63)], INFO)
    with pytest.raises(RecordError, match="a TimingRow among VerdictRows"):
        records.to_parquet(path, [AGREE, TIMING], INFO)
    with pytest.raises(RecordError, match="a row has run_id 'other'"):
        records.to_parquet(path, [replace(AGREE, run_id="other")], INFO)
    with pytest.raises(RecordError, match="row_type is not given"):
        records.to_parquet(path, [], INFO)
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_folder_is_an_error_before_anything_is_computed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RecordError, match=r"out: cannot write to folder '.*file'"):
        records.check_writable(tmp_path / "file")
    with pytest.raises(RecordError, match="out: cannot write"):
        records.check_writable("nosuchprotocol://bucket/x")


def test_check_writable_leaves_an_empty_folder(tmp_path: Path) -> None:
    records.check_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_disagreement_names_its_owner() -> None:
    with pytest.raises(ValueError, match="owner is empty"):
        replace(AGREE, verdict="disagree")


def test_a_time_of_an_unchecked_value_is_refused() -> None:
    with pytest.raises(ValueError, match="checked is False"):
        replace(TIMING, checked=False)
    with pytest.raises(ValueError, match="rounds has 1 entries"):
        replace(TIMING, rounds=(0,))


@pytest.mark.parametrize("sample", [0.0, -1e-6, math.nan, math.inf])
def test_a_sample_that_no_clock_could_show_is_refused(sample: float) -> None:
    with pytest.raises(ValueError, match="samples_seconds holds"):
        replace(TIMING, samples_seconds=(1e-5, sample))


def test_an_import_may_take_no_time() -> None:
    assert replace(TIMING, phase="import", samples_seconds=(0.0,), rounds=()).samples_seconds == (0.0,)


def test_a_run_id_cannot_leave_its_folder() -> None:
    with pytest.raises(ValueError, match="run_id is"):
        replace(INFO, run_id="../x")


def test_a_run_describes_its_machine() -> None:
    info = environment.describe_run(command="adjudge verify", threads_per_backend=1)
    assert info.cpu and info.platform and info.cores >= 1 and info.threads == 1
    assert {"python", "numpy"} <= set(info.versions)
    assert environment.installed("no-such-distribution-anywhere") is None


def test_the_environment_of_a_run_is_complete() -> None:
    info = environment.describe_run(command="adjudge bench")
    assert info.affinity == environment.affinity() and info.blas and len(info.code_hash) == 16
    assert environment.blas() == info.blas


def test_the_hash_of_the_code_changes_with_a_line_and_with_a_name(tmp_path: Path) -> None:
    (tmp_path / "harness").mkdir()
    (tmp_path / "harness" / "a.py").write_text("x = 1\n")
    first = environment.code_hash(tmp_path)
    (tmp_path / "harness" / "a.py").write_text("x = 2\n")
    second = environment.code_hash(tmp_path)
    (tmp_path / "harness" / "a.py").rename(tmp_path / "harness" / "b.py")
    assert len({first, second, environment.code_hash(tmp_path)}) == 3


def test_threads_follow_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    assert environment.threads() == environment.cores()
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert environment.threads() == 3


def test_a_folder_outside_any_checkout_has_no_commit(tmp_path: Path) -> None:
    assert environment.git_state(tmp_path) == ("", None)
