"""Hand tracking, an objective of ADBench: how far a posed and skinned hand is from measured points, with its Jacobian.

`hand(complicated=False)` gives the workload with the 26 parameters of a pose; the complicated one also lets each point
slide on its triangle of the surface. `read_model` and `read_hand` read the published files.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.workloads.base import Array, Input, PullBack, Seeds, Workload
from harness.workloads.files import Tokens

__all__ = ["PARAMETERS", "Model", "dense_jacobian", "hand", "read_hand", "read_model", "rows"]

PARAMETERS = 26
"""Rotation 3, translation 3, then for each of 5 fingers: bend, spread, and the bends of its two outer joints."""

_FINGERS, _JOINTS, _BONES = 5, 3, 22
_PARENTS = [
    -1,
    *(b if joint else 0 for finger in range(5) for joint, b in enumerate(range(4 * finger, 4 * finger + 4))),
    0,
]
_MOVING = [[2 + joint + 4 * finger for finger in range(_FINGERS)] for joint in range(_JOINTS)]
_STILL = [b for b in range(_BONES) if b not in {m for row in _MOVING for m in row}]


@dataclass(frozen=True, eq=False)
class Model:
    """A hand at rest: bones as transformations relative to their parents, and a surface that hangs on them.

    Attributes:
        relative: (22, 4, 4), each bone in its parent's frame.
        inverse: (22, 4, 4), the inverse of each bone's transformation at rest.
        vertices: (v, 4), homogeneous.
        weights: (v, 22): how much a vertex follows each bone.
        triangles: (t, 3) vertices.
    """

    relative: Array
    inverse: Array
    vertices: Array
    weights: Array
    triangles: Array


def rows(adbench: Path | None) -> list[Workload]:
    """The workloads of this family."""
    return [hand(adbench=adbench), hand(complicated=True, adbench=adbench)]


def hand(*, complicated: bool = False, adbench: Path | None = None, sizes: tuple[int, ...] | None = None) -> Workload:
    """The residuals (n, 3) between n measured points and their places on the posed hand.

    Each of 15 joints turns by R = Rz(spread) Rx(bend), where only a finger's first one spreads; a bone is its parent times
    its relative transformation times R. Vertices are blended over bones with their weights, then rotated by the axis-angle
    and moved. A point belongs to a vertex; in the complicated objective to the place ``u0 a + u1 b + (1 - u0 - u1) c`` of a
    triangle, and the two numbers u of every point are parameters, too (first, in one array with the 26). The Jacobian is
    dense in the 26; for u it is one block a point, so 26 or 28 forward passes give all of it. The rotation's angle must not
    be 0.

    Args:
        adbench: folder that holds ADBench's ``hand/``; None makes a model of the same size.
        sizes: numbers of points. ADBench's files hold 100, 192, 200, 400 and 800 (simple).

    Source: Srajer, Kukelova, Fitzgibbon (2018), after Taylor et al., User-specific hand modeling from monocular depth
    sequences, CVPR 2014.
    """
    kind = "complicated" if complicated else "simple"

    def generate(n: int, dtype: str, rng: np.random.Generator) -> tuple[Input, ...]:
        model = _random_model(rng)
        theta, places = rng.standard_normal(PARAMETERS), rng.uniform(0, 0.5, (n, 2))
        below = len(model.triangles) if complicated else len(model.vertices)
        points, where = rng.standard_normal((n, 3)), rng.integers(0, below, n)
        return _inputs(model, theta, places if complicated else None, points, where, dtype)

    def read(n: int, dtype: str, rng: np.random.Generator) -> tuple[Input, ...]:
        assert adbench is not None
        found = sorted((adbench / "hand" / f"{kind}_small").glob(f"hand*_t26_c{n}.txt"))
        if not found:
            raise ValueError(f"size is {n}: ADBench has no {kind} hand of so many points in {kind}_small")
        return read_hand(found[0], read_model(adbench / "hand" / "model"), complicated=complicated, dtype=dtype)

    return Workload(
        f"hand_{kind}", f"residuals of hand tracking, the {kind} objective, and their Jacobian", sizes or (100, 400),
        generate if adbench is None else read, _complicated if complicated else _simple, None,
        _complicated_by_hand if complicated else _simple_by_hand, wrt=(0,), scalar=False,
        origin="generated" if adbench is None else str(adbench), family="objectives", counts=True,
        asks=("value", "jacobian"),
        more={"jacobian": _complicated_jacobian if complicated else _simple_jacobian},
        seeds=Seeds(forward=True, make=_seeds),
    )  # fmt: skip


def dense_jacobian(passes: Array) -> Array:
    """The Jacobian (3 n, 26 or 28) as published, from the question "jacobian": (passes, n, 3)."""
    return passes.reshape(len(passes), -1).T


# Reading


def read_model(folder: str | os.PathLike[str]) -> Model:
    """The hand at rest from ADBench's folder ``hand/model``.

    Raises:
        ValueError: a file cannot be read or does not hold what it should, or the bones are not those of this hand.
    """
    path = Path(folder)
    bones = Tokens(path / "bones.txt", "the bones", ":")
    numbers = [word for word in bones.words if not word[0].isalpha()]
    bones.words = numbers
    bones.expect(_BONES * 33, f"{_BONES} bones")
    table = bones.numbers(_BONES, 33)
    if table[:, 0].tolist() != _PARENTS:
        bones.fail(f"the bones' parents are {table[:, 0].astype(int).tolist()}, this hand has {_PARENTS}")
    surface = Tokens(path / "vertices.txt", "the vertices", ":")
    vertices, weights = [], []
    while surface.at < len(surface.words):
        vertices.append([*surface.numbers(3), 1.0])
        surface.numbers(5)
        (count,) = surface.indices(1, below=_BONES + 1)
        row = np.zeros(_BONES)
        for _ in range(count):
            (bone,) = surface.indices(1, below=_BONES)
            (row[bone],) = surface.numbers(1)
        weights.append(row)
    triangles = Tokens(path / "triangles.txt", "the triangles", ":")
    corners = triangles.indices(len(triangles.words) // 3, 3, below=len(vertices))
    return Model(
        table[:, 1:17].reshape(-1, 4, 4),
        table[:, 17:33].reshape(-1, 4, 4),
        np.array(vertices),
        np.array(weights),
        corners,
    )


def read_hand(
    path: str | os.PathLike[str], model: Model, *, complicated: bool = False, dtype: str = "float64"
) -> tuple[Input, ...]:
    """Inputs of the objective from one of ADBench's files.

    The file holds n and 26, then n rows of a vertex (complicated: a triangle) and a point, complicated: n rows of two
    numbers, and the parameters.

    Raises:
        ValueError: the file cannot be read or does not hold what it should.
    """
    tokens = Tokens(path, "a hand")
    n, count = tokens.naturals(2, "points parameters")
    if count != PARAMETERS:
        tokens.fail(f"has {count} parameters, a hand has {PARAMETERS}")
    tokens.expect(n * (6 if complicated else 4) + PARAMETERS, f"points={n}")
    below = len(model.triangles if complicated else model.vertices)
    where, points = [], []
    for _ in range(n):
        where.append(tokens.indices(1, below=below)[0])
        points.append(tokens.numbers(3))
    places = tokens.numbers(n, 2) if complicated else None
    return _inputs(model, tokens.numbers(PARAMETERS), places, np.array(points), np.array(where), dtype)


def _random_model(rng: np.random.Generator) -> Model:
    """A hand of the published size: 544 vertices, 1084 triangles."""
    turns, _ = np.linalg.qr(rng.standard_normal((_BONES, 3, 3)))
    relative = np.tile(np.eye(4), (_BONES, 1, 1))
    relative[:, :3, :3], relative[:, :3, 3] = turns, 0.1 * rng.standard_normal((_BONES, 3))
    inverse = np.linalg.inv(_absolute(relative))
    vertices = np.concatenate([0.1 * rng.standard_normal((544, 3)), np.ones((544, 1))], axis=1)
    weights = rng.uniform(0, 1, (544, _BONES)) * (rng.uniform(0, 1, (544, _BONES)) < 0.1)
    weights[np.arange(544), rng.integers(0, _BONES, 544)] += 0.5
    weights /= weights.sum(axis=1, keepdims=True)
    return Model(relative, inverse, vertices, weights, rng.integers(0, 544, (1_084, 3)))


def _absolute(relative: Array) -> Array:
    """Every bone in the hand's frame, at rest."""
    done: list[Array] = []
    for own, parent in zip(relative, _PARENTS, strict=True):
        done.append(own if parent < 0 else done[parent] @ own)
    return np.stack(done)


def _inputs(
    model: Model, theta: Array, places: Array | None, points: Array, where: Array, dtype: str
) -> tuple[Input, ...]:
    """What the functions take: the parameters, then constants made of the model.

    Returns:
        parameters; `base` (3, 5, 4, 4), the transformations of the moving joints, the first of a finger in the hand's frame;
        `inverse` (3, 5, 4, 4); `skin` (v, 60), weights times vertices for every row of the moving bones; `rest` (v, 3), the
        part of the other bones; `turns` (3, 4, 4, 4), so that parameter p of a finger turns by turns[0, p] + cos turns[1, p]
        + sin turns[2, p]; `cross` (9, 3), the matrix of a cross product; points; and vertices (n,) or corners (n, 3).
    """
    absolute = _absolute(model.relative)
    moving, still = np.array(_MOVING), np.array(_STILL)
    base = model.relative[moving].copy()
    base[0] = absolute[moving[0] - 1] @ base[0]
    skin = (model.weights[:, moving.reshape(-1), None] * model.vertices[:, None]).reshape(len(model.vertices), -1)
    hung = (absolute[still] @ model.inverse[still])[:, :3]
    rest = np.einsum("vb,bij,vj->vi", model.weights[:, still], hung, model.vertices)
    turns = np.zeros((3, 4, 4, 4))
    for p, axis in enumerate((0, 2, 0, 0)):
        i, j = [a for a in range(3) if a != axis]
        turns[0, p, axis, axis] = turns[0, p, 3, 3] = 1
        turns[1, p, i, i] = turns[1, p, j, j] = 1
        turns[2, p, j, i], turns[2, p, i, j] = 1, -1
    cross = np.zeros((9, 3))
    cross[[7, 2, 3], [0, 1, 2]], cross[[5, 6, 1], [0, 1, 2]] = 1, -1
    parameters = theta if places is None else np.concatenate([places.reshape(-1), theta])
    floats = (parameters, base, model.inverse[moving], skin, rest, turns, cross, points)
    corners = where if places is None else model.triangles[where]
    return (*(a.astype(dtype) for a in floats), corners.astype(np.int64))


# The function


def _surface(T: Any, theta: Any, base: Any, inverse: Any, skin: Any, rest: Any, turns: Any, cross: Any) -> Any:
    """All vertices of the posed hand, (v, 3)."""
    angles = T.reshape(theta[6:], (_FINGERS, 4, 1, 1))
    turn = turns[0] + T.cos(angles) * turns[1] + T.sin(angles) * turns[2]
    first = T.matmul(base[0], T.matmul(turn[:, 1], turn[:, 0]))
    second = T.matmul(first, T.matmul(base[1], turn[:, 2]))
    third = T.matmul(second, T.matmul(base[2], turn[:, 3]))
    moved = T.matmul(T.stack([first, second, third]), inverse)  # joint, finger, 4, 4
    blend = T.reshape(T.transpose(moved, 2, 3), (-1, 4))[:, :3]
    still = T.matmul(skin, blend) + rest
    angle = T.sqrt(T.sum(theta[:3] * theta[:3]))
    axis, cos = theta[:3] / angle, T.cos(angle)
    rotation = T.sin(angle) * T.reshape(T.matmul(cross, axis), (3, 3)) + (1 - cos) * T.outer(axis, axis)
    return T.matmul(still, T.transpose(rotation, 0, 1)) + still * cos + theta[3:6]


def _simple(T: Any, theta: Any, *rest: Any) -> Any:
    *model, points, where = rest
    return points - T.index_select(_surface(T, theta, *model), 0, where)


def _complicated(T: Any, parameters: Any, *rest: Any) -> Any:
    *model, points, corners = rest
    n = points.shape[0]
    places = T.reshape(parameters[: 2 * n], (n, 2))
    surface = _surface(T, parameters[2 * n :], *model)
    a, b, c = (T.index_select(surface, 0, corners[:, i]) for i in range(3))
    u, v = places[:, 0:1], places[:, 1:2]
    return points - (u * a + v * b + (1 - u - v) * c)


# By hand: tangents, all at once


def _seeds(parameters: Array, *rest: Array) -> Array:
    """The unit tangents of the pose; before them, if points slide, the two that move every point's u at once."""
    sliding = len(parameters) - PARAMETERS
    units = np.concatenate([np.zeros((PARAMETERS, sliding)), np.eye(PARAMETERS)], axis=1)
    if not sliding:
        return units
    slides = np.concatenate([np.tile(np.eye(2), (1, sliding // 2)), np.zeros((2, PARAMETERS))], axis=1)
    return np.concatenate([slides, units])


def _surface_and_tangents(
    theta: Array, ways: Array, base: Array, inverse: Array, skin: Array, rest: Array, turns: Array, cross: Array
) -> tuple[Array, Array]:
    """The vertices (v, 3) and their derivatives along each of `ways` (k, 26): (k, v, 3)."""
    angles, angle_ways = theta[6:].reshape(_FINGERS, 4, 1, 1), ways[:, 6:].reshape(-1, _FINGERS, 4, 1, 1)
    turn = turns[0] + np.cos(angles) * turns[1] + np.sin(angles) * turns[2]
    turn_ways = angle_ways * (np.cos(angles) * turns[2] - np.sin(angles) * turns[1])
    joint, joint_ways = base[0], np.zeros((len(ways), *base[0].shape), base.dtype)
    all_joints, all_ways = [], []
    for level in range(_JOINTS):
        if level:
            own, own_ways = base[level] @ turn[:, level + 1], base[level] @ turn_ways[:, :, level + 1]
        else:
            own = turn[:, 1] @ turn[:, 0]
            own_ways = turn_ways[:, :, 1] @ turn[:, 0] + turn[:, 1] @ turn_ways[:, :, 0]
        joint_ways = joint_ways @ own + joint @ own_ways
        joint = joint @ own
        all_joints.append(joint @ inverse[level])
        all_ways.append(joint_ways @ inverse[level])
    moved, moved_ways = np.stack(all_joints), np.stack(all_ways, axis=1)
    still = skin @ moved.swapaxes(-1, -2).reshape(-1, 4)[:, :3] + rest
    still_ways = skin @ moved_ways.swapaxes(-1, -2).reshape(len(ways), -1, 4)[:, :, :3]
    one = np.eye(3, dtype=theta.dtype)
    angle = np.sqrt((theta[:3] * theta[:3]).sum())
    axis, cos, sin = theta[:3] / angle, np.cos(angle), np.sin(angle)
    by_angle = ways[:, :3] @ axis
    by_axis = (ways[:, :3] - by_angle[:, None] * axis) / angle
    rotation = sin * (cross @ axis).reshape(3, 3) + (1 - cos) * np.outer(axis, axis) + cos * one
    slope = cos * (cross @ axis).reshape(3, 3) + sin * np.outer(axis, axis) - sin * one
    outer_ways = by_axis[:, :, None] * axis
    rotation_ways = by_angle[:, None, None] * slope + sin * (by_axis @ cross.T).reshape(-1, 3, 3)
    rotation_ways = rotation_ways + (1 - cos) * (outer_ways + outer_ways.swapaxes(1, 2))
    tangents = still_ways @ rotation.T + still @ rotation_ways.swapaxes(1, 2) + ways[:, None, 3:6]
    return still @ rotation.T + theta[3:6], tangents


def _simple_jacobian(theta: Array, *rest: Array) -> tuple[Array, ...]:
    *model, _points, where, ways = rest
    return (-_surface_and_tangents(theta, ways, *model)[1][:, where],)


def _complicated_jacobian(parameters: Array, *rest: Array) -> tuple[Array, ...]:
    *model, points, corners, ways = rest
    n = len(points)
    surface, tangents = _surface_and_tangents(parameters[2 * n :], ways[:, 2 * n :], *model)
    u, v = parameters[: 2 * n].reshape(n, 2).T[..., None]
    u_ways, v_ways = ways[:, : 2 * n].reshape(-1, n, 2).transpose(2, 0, 1)[..., None]
    a, b, c = (surface[corners[:, i]] for i in range(3))
    a_ways, b_ways, c_ways = (tangents[:, corners[:, i]] for i in range(3))
    return (-(u * a_ways + v * b_ways + (1 - u - v) * c_ways + u_ways * (a - c) + v_ways * (b - c)),)


def _simple_by_hand(theta: Array, *rest: Array) -> tuple[Array, PullBack]:
    *model, points, where = rest
    surface, tangents = _surface_and_tangents(theta, np.eye(PARAMETERS, dtype=theta.dtype), *model)

    def pull_back(ct: Array) -> tuple[Array, ...]:
        return (-(tangents[:, where] * ct).sum(axis=(1, 2)),)

    return points - surface[where], pull_back


def _complicated_by_hand(parameters: Array, *rest: Array) -> tuple[Array, PullBack]:
    *model, points, corners = rest
    n = len(points)
    theta = parameters[2 * n :]
    surface, tangents = _surface_and_tangents(theta, np.eye(PARAMETERS, dtype=theta.dtype), *model)
    u, v = parameters[: 2 * n].reshape(n, 2).T[..., None]
    a, b, c = (surface[corners[:, i]] for i in range(3))

    def pull_back(ct: Array) -> tuple[Array, ...]:
        sliding = np.stack([(ct * (c - a)).sum(axis=1), (ct * (c - b)).sum(axis=1)], axis=1)
        blended = (
            u * tangents[:, corners[:, 0]] + v * tangents[:, corners[:, 1]] + (1 - u - v) * tangents[:, corners[:, 2]]
        )
        return (np.concatenate([sliding.reshape(-1), -(blended * ct).sum(axis=(1, 2))]),)

    return points - (u * a + v * b + (1 - u - v) * c), pull_back
