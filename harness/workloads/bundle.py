"""Bundle adjustment, an objective of ADBench: reprojection errors of points seen by cameras, with a sparse Jacobian.

`bundle_adjustment()` gives the workload, `read_bundle` reads the published input files, `jacobian_values` puts the blocks
of the Jacobian into the order of the published one.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from harness.workloads.base import Array, Input, PullBack, Seeds, Workload
from harness.workloads.files import Tokens

__all__ = ["CAMERA", "bundle_adjustment", "jacobian_values", "read_bundle", "rows"]

CAMERA = 11
"""Numbers of a camera: rotation 3, centre 3, focal length, principal point 2, distortion 2."""

_POINT, _WEIGHT, _RESIDUALS = 3, 1, 3
_ROWS = CAMERA + _POINT + _WEIGHT
_FILES = {  # observations: (file, cameras, points)
    31_843: ("ba1_n49_m7776_p31843.txt", 49, 7_776),
    204_472: ("ba4_n372_m47423_p204472.txt", 372, 47_423),
}


def rows(adbench: Path | None) -> list[Workload]:
    """The workloads of this family."""
    return [bundle_adjustment(adbench=adbench)]


def bundle_adjustment(*, adbench: Path | None = None, sizes: tuple[int, ...] = (10, 1_000, 31_843)) -> Workload:
    """Three residuals an observation: the weighted reprojection error in two directions, and 1 - w**2.

    Input is one column an observation, (15, p): its camera, its point and its weight, gathered. The point X goes to
    ``rodrigues(r, X - C)``, is divided by its depth, distorted by ``1 + k1 s + k2 s**2`` with s its squared length, scaled by
    the focal length and moved by the principal point; minus the measured feature (2, p), times w, it is the error. Each
    column depends on its own column alone, so three passes give all entries of the Jacobian, for each observation a block
    (3, 15). The rotation's angle must not be 0.

    Args:
        adbench: folder that holds ADBench's ``ba/``; None draws inputs. The published files repeat one camera, one point
            and one feature as often as their first line says; sizes that are not published take that many of them.
        sizes: numbers of observations.

    Source: Srajer, Kukelova, Fitzgibbon (2018).
    """

    def generate(count: int, dtype: str, rng: np.random.Generator) -> tuple[Input, ...]:
        spread = np.array([0.5] * 3 + [3.0] * 3 + [30.0, 200.0, 200.0, 0.05, 0.02, 1.0, 1.0, 1.0, 0.3])
        middle = np.array([0.5] * 3 + [0.0] * 3 + [40.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 12.0, 0.5])
        columns = (middle[:, None] + spread[:, None] * rng.uniform(-1, 1, (_ROWS, count))).astype(dtype)
        features = _project(columns) + rng.standard_normal((2, count))
        return columns, features.astype(dtype)

    def read(count: int, dtype: str, rng: np.random.Generator) -> tuple[Input, ...]:
        assert adbench is not None
        name, *_ = _FILES.get(count, _FILES[31_843])
        columns, features, _ = read_bundle(adbench / "ba" / name, dtype=dtype)
        return columns[:, :1].repeat(count, axis=1), features[:, :1].repeat(count, axis=1)

    return Workload(
        "ba", "reprojection and weight errors of bundle adjustment, and the blocks of their sparse Jacobian", sizes,
        generate if adbench is None else read, _bundle, None, _bundle_by_hand, wrt=(0,), scalar=False,
        origin="generated" if adbench is None else str(adbench), family="objectives", counts=True,
        asks=("value", "jacobian"), more={"jacobian": _jacobian_by_hand}, seeds=Seeds(forward=False, make=_seeds),
    )  # fmt: skip


def read_bundle(path: str | os.PathLike[str], *, dtype: str = "float64") -> tuple[Array, Array, tuple[int, int, int]]:
    """Observations of one of ADBench's files.

    The file holds the numbers of cameras, points and observations n m p, then one camera, one point, one weight and one
    feature, each of which is to be repeated.

    Returns:
        columns (15, p), features (2, p), and (n, m, p).

    Raises:
        ValueError: the file cannot be read, holds a token that is not a finite number, or too few or too many.
    """
    tokens = Tokens(path, "a bundle adjustment")
    n, m, p = tokens.naturals(3, "cameras points observations")
    tokens.expect(_ROWS + 2, f"cameras={n} points={m} observations={p}")
    column, feature = tokens.numbers(_ROWS, 1), tokens.numbers(2, 1)
    return column.repeat(p, axis=1).astype(dtype), feature.repeat(p, axis=1).astype(dtype), (n, m, p)


def jacobian_values(blocks: Array) -> Array:
    """The nonzero entries of the Jacobian row by row, as the published one lists them.

    Args:
        blocks: (3, 15, p), as the question "jacobian" gives them.

    Returns:
        31 p numbers: for each observation the two rows of its reprojection error with 15 entries each, then for each
        observation the one entry of its weight's error.
    """
    return np.concatenate([blocks[:2].transpose(2, 0, 1).reshape(-1), blocks[2, -1]])


def _seeds(columns: Array, features: Array) -> Array:
    count = columns.shape[1]
    return np.repeat(np.eye(_RESIDUALS)[:, :, None], count, axis=2)


def _cross(T: Any, a: Any, b: Any) -> Any:
    return T.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


def _bundle(T: Any, columns: Any, features: Any) -> Any:
    rotation, centre, focal = columns[0:3], columns[3:6], columns[6:7]
    principal, first, second = columns[7:9], columns[9:10], columns[10:11]
    point, weight = columns[11:14], columns[14:15]
    angle = T.sqrt(T.sum(rotation * rotation, dim=0, keepdim=True))
    cos, axis, moved = T.cos(angle), rotation / angle, point - centre
    along = T.sum(axis * moved, dim=0, keepdim=True) * (1 - cos)
    seen = moved * cos + _cross(T, axis, moved) * T.sin(angle) + axis * along
    flat = seen[0:2] / seen[2:3]
    s = T.sum(flat * flat, dim=0, keepdim=True)
    projected = flat * (1 + first * s + second * s * s) * focal + principal
    return T.cat([weight * (projected - features), 1 - weight * weight], dim=0)


def _project(columns: Array) -> Array:
    rotation, moved = columns[0:3], columns[11:14] - columns[3:6]
    angle = np.sqrt((rotation * rotation).sum(axis=0))
    axis = rotation / angle
    seen = moved * np.cos(angle) + np.cross(axis, moved, axis=0) * np.sin(angle)
    seen = seen + axis * (axis * moved).sum(axis=0) * (1 - np.cos(angle))
    flat = seen[:2] / seen[2]
    s = (flat * flat).sum(axis=0)
    projected: Array = flat * (1 + columns[9] * s + columns[10] * s * s) * columns[6] + columns[7:9]
    return projected


def _bundle_by_hand(columns: Array, features: Array) -> tuple[Array, PullBack]:
    weight = columns[14]
    value = np.concatenate([weight * (_project(columns) - features), (1 - weight * weight)[None]])

    def pull_back(ct: Array) -> tuple[Array, ...]:
        (blocks,) = _jacobian_by_hand(columns, features)
        return ((ct[:, None] * blocks).sum(axis=0),)

    return value, pull_back


def _jacobian_by_hand(columns: Array, features: Array, seeds: Array | None = None) -> tuple[Array, ...]:
    """The blocks (3, 15, p), by the chain rule from the outside in."""
    rotation, focal, (k1, k2), weight = columns[0:3], columns[6], columns[9:11], columns[14]
    moved = columns[11:14] - columns[3:6]
    angle = np.sqrt((rotation * rotation).sum(axis=0))
    axis, cos, sin = rotation / angle, np.cos(angle), np.sin(angle)
    along, crossed = (axis * moved).sum(axis=0), np.cross(axis, moved, axis=0)
    seen = moved * cos + crossed * sin + axis * (along * (1 - cos))
    flat = seen[:2] / seen[2]
    s = (flat * flat).sum(axis=0)
    bend, bend_slope = 1 + k1 * s + k2 * s * s, k1 + 2 * k2 * s
    blocks = np.zeros((_RESIDUALS, *columns.shape), columns.dtype)
    for i in range(2):
        # d(flat_i bend) / d flat_j, then through the division, for the row of the 3 elements of `seen`
        by_flat = [focal * (bend * (i == j) + 2 * flat[i] * flat[j] * bend_slope) for j in range(2)]
        row = np.stack([by_flat[0], by_flat[1], -(by_flat[0] * flat[0] + by_flat[1] * flat[1])]) / seen[2] * weight
        # seen is linear in `moved`; its transpose turns the other way round
        by_moved = row * cos - np.cross(axis, row, axis=0) * sin + axis * ((axis * row).sum(axis=0) * (1 - cos))
        blocks[i, 11:14], blocks[i, 3:6] = by_moved, -by_moved
        by_angle = (row * (crossed * cos - moved * sin + axis * along * sin)).sum(axis=0)
        by_axis = sin * np.cross(moved, row, axis=0) + (1 - cos) * (along * row + moved * (axis * row).sum(axis=0))
        blocks[i, 0:3] = axis * by_angle + (by_axis - axis * (axis * by_axis).sum(axis=0)) / angle
        blocks[i, 6] = weight * flat[i] * bend
        blocks[i, 7 + i] = weight
        blocks[i, 9], blocks[i, 10] = weight * focal * flat[i] * s, weight * focal * flat[i] * s * s
        blocks[i, 14] = flat[i] * bend * focal + columns[7 + i] - features[i]
    blocks[2, 14] = -2 * weight
    return (blocks,)
