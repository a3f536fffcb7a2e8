"""What a camera sees, as arrays: colours, depth and segmentation, and the frames made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

FIELD_OF_VIEW = 45.0
"""Angle from the top to the bottom of a picture, in degrees."""

_ZENITH = (206.0, 219.0, 234.0)
_HORIZON = (240.0, 244.0, 248.0)


class Segment(IntEnum):
    """What a pixel shows; further objects are 4, 5, ... in the order in which they were added."""

    BACKGROUND = 0
    TABLE = 1
    ROBOT = 2
    OBJECT = 3


@dataclass(frozen=True)
class Marker:
    """Something that is only seen: it is no body, and shines faintly through bodies.

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
    """

    colours: NDArray[np.uint8]
    depth: NDArray[np.float32]
    segmentation: NDArray[np.int32]
    view: NDArray[np.float64]
    camera_distance: float
    markers: tuple[Marker, ...]

    def frame(self) -> NDArray[np.uint8]:
        """The picture as one to look at, with a sky and the markers: shape (height, width, 3)."""
        scene = self.colours.astype(np.float32)
        distance = self.depth[..., None]
        # The ground ends somewhere: let it fade into the sky behind the table.
        fading = min(1.25 * self.camera_distance, 1.7)
        haze = np.clip((distance - 1.25 * self.camera_distance) / fading, 0.0, 1.0)
        sky = np.linspace(_ZENITH, _HORIZON, len(scene), dtype=np.float32)[:, None, :]
        frame: NDArray[np.float32] = scene + haze * (sky - scene)
        for marker in self.markers:
            _draw_marker(frame, distance, self.view, marker)
        return frame.astype(np.uint8)


def _draw_marker(
    frame: NDArray[np.float32],
    distance: NDArray[np.float32],
    view: NDArray[np.float64],
    marker: Marker,
) -> None:
    """Cast a ray through every pixel at a marker and tint the frame where it hits.

    The software renderer knows no translucency, and as a body the marker would cast a shadow.

    Args:
        frame: Shape (height, width, 3), changed in place.
        distance: Of what the frame shows, along the camera's axis, shape (height, width, 1).
        view: PyBullet's view matrix, transposed.
        marker: The marker.
    """
    height, width, _ = frame.shape
    focal = 0.5 * height / np.tan(0.5 * np.radians(FIELD_OF_VIEW))
    ray = np.empty((height, width, 3))
    ray[..., 0] = (np.arange(width) + 0.5 - 0.5 * width) / focal
    ray[..., 1] = (0.5 * height - 0.5 - np.arange(height)[:, None]) / focal
    ray[..., 2] = -1.0
    cast = _cast_at_sphere if isinstance(marker.size, float) else _cast_at_box
    hit, along, upward, face = cast(ray, view, marker)
    colour = np.asarray(marker.colours)[face % len(marker.colours)]
    tint = 255.0 * colour[:, :3] * (0.8 + 0.2 * upward[:, None])
    opacity = np.where(along < distance[hit][:, 0], 1.0, 0.5) * colour[:, 3]
    frame[hit] += (opacity[:, None] * (tint - frame[hit])).astype(np.float32)


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
