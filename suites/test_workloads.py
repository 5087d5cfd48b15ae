"""Workloads compute what they say: known answers, hand-written gradients, and the same result on every backend."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from harness.workload_adapters import load_engine
from harness.workload_checks import KnownAnswer, check, known_answer
from harness.workloads import ADBENCH_VARIABLE, Array, Input, Workload, gmm, pack_order, read_gmm, select, workloads

SMALL = {name: w for name, w in workloads().items() if not name.startswith("gmm")} | {
    w.name: w for w in (gmm(1, 2, sizes=(7,)), gmm(3, 4, sizes=(20,)))
}
FRAMEWORKS = ("numpy", "reference", "torch", "jax-jit")


@pytest.fixture
def adbench() -> Path:
    """The folder of ADBench's inputs, named by an environment variable."""
    folder = os.environ.get(ADBENCH_VARIABLE)
    if not folder:
        pytest.skip(f"{ADBENCH_VARIABLE} does not name a folder with ADBench's inputs")
    return Path(folder)


def question(workload: Workload, dtype: str = "float64") -> tuple[tuple[Input, ...], Array, KnownAnswer]:
    rng = np.random.default_rng(7)
    inputs = workload.make_inputs(workload.sizes[0], dtype, rng)
    shape = np.shape(workload.by_hand(*inputs)[0])
    cotangent = rng.standard_normal(shape).astype(dtype)
    return inputs, cotangent, known_answer(workload, inputs, cotangent, dtype=dtype, rng=rng)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", SMALL)
def test_every_framework_gives_the_known_answer(name: str, framework: str, dtype: str) -> None:
    if framework.startswith(("torch", "jax")):
        pytest.importorskip(framework.partition("-")[0])
    inputs, cotangent, answer = question(SMALL[name], dtype)
    engine = load_engine(framework)
    value = engine.to_arrays(engine.prepare(SMALL[name], inputs, "value", cotangent)())
    both = engine.to_arrays(engine.prepare(SMALL[name], inputs, "vjp", cotangent)())
    assert check(answer.value_only(), value).reason == ""
    assert check(answer, both).reason == ""


@pytest.mark.parametrize("name", ["d2l_control_flow", "mlp_step"])
def test_jax_gives_the_known_answer_without_compiling_it_whole(name: str) -> None:
    test_every_framework_gives_the_known_answer(name, "jax", "float64")


@pytest.mark.parametrize("name", [name for name in SMALL if name != "d2l_detach"])
def test_hand_written_gradient_is_the_slope_of_the_hand_written_value(name: str) -> None:
    workload = SMALL[name]
    inputs, cotangent, answer = question(workload)
    rng = np.random.default_rng(8)
    ways = [rng.standard_normal(g.shape) for g in answer.arrays[1:]]
    wide = [a.astype(np.longdouble) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in inputs]

    def along(step: float) -> Array:
        moved = list(wide)
        for place, way in zip(workload.wrt, ways, strict=True):
            moved[place] = moved[place] + step * way
        return np.asarray((workload.by_hand(*moved)[0] * cotangent).sum())

    # The truncation error of a central difference falls by four when its step is halved.
    h = 2.0**-13
    fine, coarse = ((along(s) - along(-s)) / (2 * s) for s in (h, 2 * h))
    rounding = 100 * np.finfo(np.longdouble).eps * (abs(along(0.0)) + 1) * cotangent.size / h
    slope = sum((g * way).sum() for g, way in zip(answer.arrays[1:], ways, strict=True))
    assert abs(slope - (4 * fine - coarse) / 3) <= abs(fine - coarse) + rounding


def test_detached_factor_is_a_constant() -> None:
    (x,), cotangent, answer = question(SMALL["d2l_detach"])
    assert np.array_equal(answer.arrays[1], np.asarray(x, np.longdouble) ** 2 * cotangent)


def test_every_published_mixture_can_be_read(adbench: Path) -> None:
    for path in sorted((adbench / "gmm").glob("*k/*.txt")):
        points = {"1k": 1_000, "10k": 10_000}[path.parent.name]
        (workload,) = select([path.stem.replace("gmm", "gmm_adbench")], adbench=adbench)
        alphas, means, _, x, *_ = workload.make_inputs(points, "float64", np.random.default_rng(0))
        assert f"gmm_d{np.shape(means)[1]}_K{len(np.asarray(alphas))}" == path.stem
        assert len(np.asarray(x)) == points


def test_pack_order_builds_the_lower_triangle_column_by_column() -> None:
    packed = np.array([10, 11, 12, 1, 2, 3, 0])
    assert packed[pack_order(3)].reshape(3, 3).tolist() == [[10, 0, 0], [1, 11, 0], [2, 3, 12]]


MIXTURE = "2 1 1\n0.5\n0.1 0.2\n0.3 0.4 0.5\n1.0 2.0\n1.0 0\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has 0 tokens"),
        ("2 1", "has 2 tokens"),
        (MIXTURE.rsplit(maxsplit=1)[0], "is cut short: it has 12 tokens, d=2 k=1 n=1 need 13"),
        (MIXTURE + "7", "is too long: it has 14 tokens"),
        (MIXTURE.replace("2 1 1", "2 0 1"), "three positive integers"),
        (MIXTURE.replace("2 1 1", "2 1 999999999"), "is cut short"),
        (MIXTURE.replace("0.4", "four"), "not a number.*four"),
        (MIXTURE.replace("0.4", "nan"), "token 7 is 'nan'"),
        (MIXTURE.replace("1.0 0", "1.0 0.5"), "a natural number"),
    ],
)
def test_broken_mixture_file_is_named_with_its_fault(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "gmm.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"gmm.txt: .*{message}"):
        read_gmm(path)


def test_whole_mixture_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "gmm.txt"
    path.write_text(MIXTURE)
    assert [np.shape(a) for a in read_gmm(path)] == [(1,), (1, 2), (1, 3), (1, 2), (4,), (), ()]


def test_unreadable_mixture_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.txt: cannot be read"):
        read_gmm(tmp_path / "none.txt")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"bytes\.txt: cannot be read"):
        read_gmm(tmp_path / "bytes.txt")


def test_select_knows_names_prefixes_and_mixtures_of_any_size() -> None:
    assert [w.name for w in select(["logsumexp", "d2l_s*", "gmm_adbench_d4_K7"])] == [
        "logsumexp",
        "d2l_sum",
        "d2l_square",
        "gmm_adbench_d4_K7",
    ]


@pytest.mark.parametrize("name", ["logsumexpp", "zz*", "gmm_adbench_d0_K1", "gmm_d2_K5"])
def test_unknown_workload_is_named(name: str) -> None:
    with pytest.raises(ValueError, match="is not known; the workloads are d2l_dot"):
        select([name])


def test_folder_without_mixtures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no gmm/ in it"):
        workloads(adbench=tmp_path)
