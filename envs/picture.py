"""A camera and what it sees, as arrays: colours, depth, segmentation, and frames made of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from numbers import Real

import numpy as np
from numpy.typing import NDArray

FIELD_OF_VIEW = 45.0
"""Angle from the top to the bottom of a picture, in degrees."""

_ZENITH = (206.0, 219.0, 234.0)
_HORIZON = (240.0, 244.0, 248.0)


# How much darker a shadow is.
_SHADE = 0.2
# How far behind what the light reaches a surface begins to be in shadow, in metres.
_SHADOW_OFFSET = 0.004


@dataclass(frozen=True)
class Camera:
    """Where frames are rendered from.

    Attributes:
        target: The point looked at, in metres.
        distance: Distance from the target, in metres.
        yaw: Angle around the vertical axis, in degrees.
        pitch: Angle above the horizon, in degrees; negative looks down.

    Raises:
        ValueError: If a field is not what it should be, or the distance is not positive.
    """

    target: tuple[float, float, float] = (-0.3, 0.0, 0.44)
    distance: float = 1.75
    yaw: float = 48.0
    pitch: float = -24.0

    def __post_init__(self) -> None:
        target = self.target
        if not isinstance(target, Sequence) or len(target) != 3 or not all(map(_finite, target)):
            raise ValueError(f"a camera's target is three finite numbers of metres, got {target!r}")
        for name in ("yaw", "pitch"):
            if not _finite(angle := getattr(self, name)):
                raise ValueError(f"a camera's {name} is a finite number of degrees, got {angle!r}")
        if not _finite(self.distance) or self.distance <= 0.0:
            raise ValueError(
                f"a camera's distance is a positive number of metres, got {self.distance!r}"
            )


def _finite(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)


class Segment(IntEnum):
    """What a pixel shows; further objects are 4, 5, ... in the order in which they were added."""

    BACKGROUND = 0
    TABLE = 1
    ROBOT = 2
    OBJECT = 3


@dataclass(frozen=True)
class Marker:
    """Something that is only visible: it is not a body, and shows faintly through bodies.

    Attributes:
        size: The radius of a sphere, or half the sides of a box, in metres.
        colours: Red, green, blue and opacity in [0, 1]; of a box, one for all faces or one each of
            those towards -x, x, -y, y, -z and z.
        body: What shows it in a window, else -1.
        position: Of its centre, in metres.
        quaternion: How it is turned, (x, y, z, w).
    """

    size: float | Sequence[float]
    colours: Sequence[Sequence[float]]
    body: int
    position: Sequence[float] = (0.0, 0.0, 0.0)
    quaternion: Sequence[float] = (0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Ground:
    """The level rectangle on which everything stands.

    Attributes:
        height: In metres.
        extent: Its ends in x and in y, in metres.
        colour: Red, green and blue, from 0 to 255.
    """

    height: float
    extent: tuple[tuple[float, float], tuple[float, float]]
    colour: tuple[int, ...]


@dataclass(frozen=True)
class Light:
    """What a light reaches; the rest is in its shadow.

    Attributes:
        view: PyBullet's view matrix, transposed, shape (4, 4).
        field_of_view: Angle from the top to the bottom of what it sees, in degrees.
        depth: Distance along the light's axis in metres, shape (size, size).
    """

    view: NDArray[np.float64]
    field_of_view: float
    depth: NDArray[np.float32]


@dataclass(frozen=True)
class Picture:
    """What a camera sees.

    Attributes:
        colours: Red, green and blue of the bodies, shape (height, width, 3).
        depth: Distance along the camera's axis in metres, shape (height, width); 10 where there is
            nothing. It is not the length of the ray, which is greater off the centre. A pixel is
            sampled at its lower left corner.
        segmentation: `Segment` of each pixel, shape (height, width).
        view: PyBullet's view matrix, transposed, shape (4, 4).
        camera_distance: Of the camera from its target, in metres.
        markers: What is to be seen in a frame beside the bodies.
        light: What makes shadows in a frame; None makes none.
    """

    colours: NDArray[np.uint8]
    depth: NDArray[np.float32]
    segmentation: NDArray[np.int32]
    view: NDArray[np.float64]
    camera_distance: float
    markers: tuple[Marker, ...]
    light: Light | None = None

    def frame(self) -> NDArray[np.uint8]:
        """Returns the picture as a frame, with shadows, a sky and the markers.

        Returns:
            Colours of shape (height, width, 3).
        """
        scene = self.colours.astype(np.float32)
        distance = self.depth[..., None]
        if self.light is not None:
            _draw_shadows(scene, self.depth, self.view, self.light)
        # The ground ends somewhere, so it fades into the sky behind the table.
        fading = min(1.25 * self.camera_distance, 0.9)
        haze = np.clip((distance - 1.25 * self.camera_distance) / fading, 0.0, 1.0)
        sky = np.linspace(_ZENITH, _HORIZON, len(scene), dtype=np.float32)[:, None, :]
        for rows in _bands(len(scene)):
            scene[rows] += haze[rows] * (sky[rows] - scene[rows])
        for marker in self.markers:
            _draw_marker(scene, distance, self.view, marker)
        return scene.astype(np.uint8)


def _bands(height: int) -> Iterator[slice]:
    """Parts of a picture's rows, so small that what is computed of them stays in the cache."""
    return (slice(top, top + 16) for top in range(0, height, 16))


def _focal(size: int, field_of_view: float) -> float:
    """Returns the focal length in pixels: the size of something as large as it is far away."""
    return float(0.5 * size / np.tan(0.5 * np.radians(field_of_view)))


def draw_ground(
    colours: NDArray[np.uint8],
    depth: NDArray[np.float32],
    view: NDArray[np.float64],
    ground: Ground,
) -> NDArray[np.bool_]:
    """Draws the ground where nothing is before it.

    Args:
        colours: Red, green, blue and opacity, shape (height, width, 4), changed in place.
        depth: Along the camera's axis in metres, shape (height, width), changed in place.
        view: PyBullet's view matrix, transposed.
        ground: The ground.

    Returns:
        Where it is seen, shape (height, width).
    """
    height, width = depth.shape
    # Where the ray through a pixel goes for each metre of depth, and whence, in the world.
    world = np.linalg.inv(view)
    x, y, z = world[3, :3]
    ray = (_pixel_rays(height, width) @ world)[:3, :3].T.astype(np.float32)
    column, row = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    seen = np.empty((height, width), np.bool_)
    for rows in _bands(height):
        along_x, along_y, along_z = (column * a + (row[rows] * b + c) for a, b, c in ray)
        with np.errstate(divide="ignore", invalid="ignore"):
            away = np.float32(ground.height - z) / along_z
            here = (away > 0.0) & (away < depth[rows])
            for along, start, (low, high) in zip(
                (along_x, along_y), (x, y), ground.extent, strict=True
            ):
                along *= away
                here &= (along > low - start) & (along < high - start)
        np.copyto(depth[rows], away, where=here)
        seen[rows] = here
    # All parts of a colour at once, in a quarter of the time.
    colour = np.array([*ground.colour, 255], np.uint8).view(np.uint32)
    np.copyto(colours.view(np.uint32)[..., 0], colour, where=seen)
    return seen


def _pixel_rays(height: int, width: int) -> NDArray[np.float64]:
    """From a pixel's column, row and 1 to where its ray goes for each metre of depth.

    Args:
        height: Of the picture, in pixels.
        width: Likewise.

    Returns:
        Matrix of shape (4, 4) for rows on its left, to the camera's frame (see `Picture.depth`).
    """
    focal = _focal(height, FIELD_OF_VIEW)
    return np.array(
        [
            [1.0 / focal, 0.0, 0.0, 0.0],
            [0.0, -1.0 / focal, 0.0, 0.0],
            [-0.5 * width / focal, (0.5 * height - 1.0) / focal, -1.0, 0.0],
            [0.0, 0.0, 0.0, 1.0],
        ]
    )


def _draw_shadows(
    frame: NDArray[np.float32],
    depth: NDArray[np.float32],
    view: NDArray[np.float64],
    light: Light,
) -> None:
    """Darkens what the light does not reach.

    PyBullet's own shadows have no soft edges and are three times as coarse, because they cover the
    whole view of a camera 8 m away.

    Args:
        frame: Shape (height, width, 3), changed in place.
        depth: Of what the frame shows, along the camera's axis, shape (height, width).
        view: PyBullet's view matrix, transposed.
        light: The light.
    """
    height, width = depth.shape
    size = len(light.depth)
    light_focal = _focal(size, light.field_of_view)
    # From a pixel's column, row and depth to the light's.
    ray = _pixel_rays(height, width) @ np.linalg.inv(view) @ light.view
    ray = ray.astype(np.float32)
    # The farthest depth around a place: otherwise a slope would be in its own shadow.
    seen = light.depth
    seen = np.maximum(np.maximum(seen[:, :-2], seen[:, 1:-1]), seen[:, 2:])
    seen = np.maximum(np.maximum(seen[:-2], seen[1:-1]), seen[2:]).ravel()
    column, row = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    for rows in _bands(height):
        x, y, away = (
            depth[rows] * (column * a + (row[rows] * b + c)) + d for a, b, c, d in ray[:, :3].T
        )
        scale = np.float32(-light_focal) / away
        x = scale * x + np.float32(0.5 * size)
        y = np.float32(0.5 * size - 1.0) - scale * y
        inside = (x >= 1.0) & (y >= 1.0) & (x < size - 2.0) & (y < size - 2.0)
        x, y, behind = x[inside], y[inside], -away[inside] - np.float32(_SHADOW_OFFSET)
        left, top = x.astype(np.int32), y.astype(np.int32)
        x, y = x - left, y - top
        at, below = (top - 1) * (size - 2) + left - 1, size - 2
        upper = (seen[at] < behind) * (1.0 - x) + (seen[at + 1] < behind) * x
        lower = (seen[at + below] < behind) * (1.0 - x) + (seen[at + below + 1] < behind) * x
        dark = upper * (1.0 - y) + lower * y
        shaded = np.flatnonzero(dark)
        places = np.flatnonzero(inside)[shaded]
        frame[rows].reshape(-1, 3)[places] *= (1.0 - _SHADE * dark[shaded])[:, None]


def _draw_marker(
    frame: NDArray[np.float32],
    distance: NDArray[np.float32],
    view: NDArray[np.float64],
    marker: Marker,
) -> None:
    """Casts a ray through every pixel near a marker and tints the frame where it hits.

    The software renderer has no translucency, and a marker that is a body would cast a shadow.

    Args:
        frame: Shape (height, width, 3), changed in place.
        distance: Of what the frame shows, along the camera's axis, shape (height, width, 1).
        view: PyBullet's view matrix, transposed.
        marker: The marker.
    """
    height, width, _ = frame.shape
    focal = _focal(height, FIELD_OF_VIEW)
    rows, columns = _surroundings(view, marker, height, width, focal)
    frame, distance = frame[rows, columns], distance[rows, columns]
    ray = np.empty((*frame.shape[:2], 3))
    ray[..., 0] = (np.arange(width)[columns] + 0.5 - 0.5 * width) / focal
    ray[..., 1] = (0.5 * height - 0.5 - np.arange(height)[rows, None]) / focal
    ray[..., 2] = -1.0
    cast = _cast_at_sphere if isinstance(marker.size, float) else _cast_at_box
    hit, along, upward, face = cast(ray, view, marker)
    colour = np.asarray(marker.colours)[face % len(marker.colours)]
    tint = 255.0 * colour[:, :3] * (0.8 + 0.2 * upward[:, None])
    opacity = np.where(along < distance[hit][:, 0], 1.0, 0.5) * colour[:, 3]
    frame[hit] += (opacity[:, None] * (tint - frame[hit])).astype(np.float32)


def _surroundings(
    view: NDArray[np.float64], marker: Marker, height: int, width: int, focal: float
) -> tuple[slice, slice]:
    """Returns the rows and columns that contain every ray that hits a marker."""
    x, y, z = (np.array((*marker.position, 1.0)) @ view)[:3]
    radius = float(np.linalg.norm(marker.size))
    if -z <= radius:
        return slice(0, height), slice(0, width)
    near, far = focal / (-z - radius), focal / (-z + radius)
    ends = []
    for middle, low, high in (
        (0.5 * height, -y - radius, -y + radius),
        (0.5 * width, x - radius, x + radius),
    ):
        first = middle + min(low * near, low * far) - 1.0
        last = middle + max(high * near, high * far) + 1.0
        ends.append(slice(max(int(first), 0), max(int(last) + 1, 0)))
    return ends[0], ends[1]


_Cast = tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]
"""Which rays hit, and of each: how far along it, how far upward the surface faces, which face."""


def _cast_at_sphere(ray: NDArray[np.float64], view: NDArray[np.float64], marker: Marker) -> _Cast:
    radius = float(np.max(marker.size))
    centre = (np.array((*marker.position, 1.0)) @ view)[:3]
    # |along · ray - centre| = radius, solved for the nearer `along`.
    square, mixed = (ray * ray).sum(-1), ray @ centre
    discriminant = mixed * mixed - square * (centre @ centre - radius**2)
    hit = discriminant > 0.0
    along = (mixed[hit] - np.sqrt(discriminant[hit])) / square[hit]
    upward = (along * ray[hit][:, 1] - centre[1]) / radius
    return hit, along, upward, np.zeros(len(along), np.int64)


def _cast_at_box(ray: NDArray[np.float64], view: NDArray[np.float64], marker: Marker) -> _Cast:
    centre = (np.array((*marker.position, 1.0)) @ view)[:3]
    turn = _rotation(marker.quaternion)
    # Rows are the box's axes as the camera sees them.
    axes = turn.T @ view[:3, :3]
    direction, start = ray @ axes.T, -axes @ centre
    half_extents = np.asarray(marker.size)
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = (-half_extents - start) / direction, (half_extents - start) / direction
    entry = np.minimum(low, high)
    along = entry.max(-1)
    hit = along < np.maximum(low, high).min(-1)
    axis = entry[hit].argmax(-1)
    positive = np.take_along_axis(direction[hit], axis[:, None], 1)[:, 0] < 0.0
    upward = np.where(positive, 1.0, -1.0) * axes[axis, 1]
    return hit, along[hit], upward, 2 * axis + positive


def _rotation(quaternion: Sequence[float]) -> NDArray[np.float64]:
    x, y, z, w = quaternion
    return np.array(
        [
            [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - z * w), 2.0 * (x * z + y * w)],
            [2.0 * (x * y + z * w), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - x * w)],
            [2.0 * (x * z - y * w), 2.0 * (y * z + x * w), 1.0 - 2.0 * (x * x + y * y)],
        ]
    )
