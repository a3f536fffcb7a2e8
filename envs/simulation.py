"""The physics: the only module that calls PyBullet.

A :class:`Simulation` is one private PyBullet server with bodies in it. Robots and tasks use it
through the few methods below, so neither ever sees a PyBullet handle or flag.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Send the process's file descriptors 1 and 2 to the null device.

    PyBullet prints from C (its build time, URDF warnings), where Python's own redirection cannot
    reach.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    flush_c = ctypes.CDLL(None).fflush
    flush_c(None)
    saved = os.dup(1), os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 1)
        os.dup2(null, 2)
        yield
    finally:
        # C keeps what it printed to a pipe in a buffer: empty it while it still goes nowhere.
        flush_c(None)
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        for descriptor in (*saved, null):
            os.close(descriptor)


with _silence():
    import pybullet
    import pybullet_data

Vector = Sequence[float]
"""Position in metres, (x, y, z), or quaternion, (x, y, z, w)."""

UPRIGHT: Vector = (0.0, 0.0, 0.0, 1.0)
"""The quaternion of a body that is not turned."""

CONTROL_PERIOD = 0.04
"""Seconds between two actions (25 Hz)."""

SUBSTEPS = 8
"""Physics steps in one control period."""

MOTOR_GAIN = 1.0 - 0.9 ** (20 / SUBSTEPS)
"""Share of the position error a motor removes in one physics step.

PyBullet's default of 0.1 a step is meant for 20 steps in a control period; this gain removes the
same share of the error in a control period, so the arm keeps its speed.
"""

SOLVER_RESIDUAL = 0.001
"""Squared change of velocity, in (m/s)² or (rad/s)², at which the solver's iterations end early.

Ten times as much would be cheaper still, but is more than gravity does in a physics step: pushed
cubes then end elsewhere.
"""

IK_ITERATIONS = 3
IK_DAMPING = 0.067
"""Damped least squares: fewer than PyBullet's 20 iterations, with less than its damping of 0.5.

PyBullet's default is far from converged after 20 iterations, and the arm's speed depends on that;
of all dampings this one makes 3 iterations go as far, to 4 %, at a sixth of the cost.
"""

IK_RESIDUAL = 1e-4
"""Distance in metres at which the iterations end early; PyBullet's default."""

# PyBullet's own bits for movable and immovable bodies, and one more.
_MOVABLE, _STATIC, _ROBOT = 1, 2, 64

_FIELD_OF_VIEW = 45.0
_ZENITH = (206.0, 219.0, 234.0)
_HORIZON = (240.0, 244.0, 248.0)


@dataclass(frozen=True)
class Camera:
    """Where frames are rendered from.

    Attributes:
        target: The point looked at, in metres.
        distance: Distance from the target, in metres.
        yaw: Angle around the vertical axis, in degrees.
        pitch: Angle above the horizon, in degrees; negative looks down.
    """

    target: tuple[float, float, float] = (-0.25, 0.0, 0.22)
    distance: float = 1.35
    yaw: float = 48.0
    pitch: float = -24.0


@dataclass
class _Marker:
    size: float | Vector
    colours: Sequence[Vector]
    body: int
    position: Vector = (0.0, 0.0, 0.0)
    quaternion: Vector = UPRIGHT


class Simulation:
    """One PyBullet server, stepped at the fixed control rate.

    Args:
        visuals: Give bodies a visible shape. Costs loading time, changes no physics.
        gui: Open PyBullet's window.

    Raises:
        RuntimeError: `gui` is asked for and no window can be opened.
    """

    def __init__(self, *, visuals: bool = False, gui: bool = False) -> None:
        self._visuals = visuals or gui
        self._gui = gui
        if gui and sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
            raise RuntimeError("render_mode='human' needs a display, and DISPLAY is not set")
        with _silence():
            self._client: int = pybullet.connect(pybullet.GUI if gui else pybullet.DIRECT)
        if self._client < 0:
            raise RuntimeError("PyBullet could not open its window")
        self._finalizer = weakref.finalize(self, _disconnect, self._client)
        self._markers: list[_Marker] = []
        self._movable: list[int] = []
        self._filters: dict[tuple[int, int], tuple[int, int]] = {}
        self._ik_damping: dict[int, list[float]] = {}
        pybullet.setGravity(0.0, 0.0, -9.81, self._client)
        pybullet.setPhysicsEngineParameter(
            fixedTimeStep=CONTROL_PERIOD / SUBSTEPS,
            deterministicOverlappingPairs=1,
            solverResidualThreshold=SOLVER_RESIDUAL,
            physicsClientId=self._client,
        )
        if gui:
            pybullet.configureDebugVisualizer(
                pybullet.COV_ENABLE_GUI, 0, physicsClientId=self._client
            )

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return not self._finalizer.alive

    def close(self) -> None:
        """Free the server. Closing twice is allowed."""
        self._finalizer()

    # Building

    def load_urdf(self, file_name: str, position: Vector) -> int:
        """Load an articulated body, its base fixed, from `pybullet_data` or an absolute path.

        Args:
            file_name: Path of the URDF file.
            position: Position of its base.

        Returns:
            The body.
        """
        path = str(Path(pybullet_data.getDataPath()) / file_name)
        # Links that cannot move against each other cost as much time as those that can.
        flags = pybullet.URDF_MERGE_FIXED_LINKS
        if not self._visuals:
            flags |= pybullet.URDF_IGNORE_VISUAL_SHAPES
        with _silence():
            body: int = pybullet.loadURDF(
                path, position, useFixedBase=True, flags=flags, physicsClientId=self._client
            )
        self._prepare_kinematics(body)
        return body

    def load_sdf(self, file_name: str, position: Vector) -> int:
        """Load an articulated body whose file fixes its base, as :meth:`load_urdf` does.

        Args:
            file_name: Path of the SDF file.
            position: Position of its base.

        Returns:
            The body.
        """
        path = str(Path(pybullet_data.getDataPath()) / file_name)
        with _silence():
            body: int = pybullet.loadSDF(path, physicsClientId=self._client)[0]
        # Bodies are moved by their base's centre of mass, which an SDF puts where it should be if
        # the base were at the origin.
        centre, turn = pybullet.getBasePositionAndOrientation(body, self._client)
        centre = [offset + at for offset, at in zip(centre, position, strict=True)]
        pybullet.resetBasePositionAndOrientation(body, centre, turn, self._client)
        self._prepare_kinematics(body)
        return body

    def _filter(self, body: int, link: int, group: int, mask: int | None = None) -> None:
        self._filters[body, link] = group, ~group if mask is None else mask
        pybullet.setCollisionFilterGroupMask(body, link, *self._filters[body, link], self._client)

    def _prepare_kinematics(self, body: int) -> None:
        joints = range(pybullet.getNumJoints(body, self._client))
        # Links of one robot never touch: not even to consider it saves time.
        for link in (-1, *joints):
            self._filter(body, link, _STATIC | _ROBOT if link == -1 else _ROBOT)
        kinds = [pybullet.getJointInfo(body, joint, self._client)[2] for joint in joints]
        movable = sum(kind != pybullet.JOINT_FIXED for kind in kinds)
        self._ik_damping[body] = [IK_DAMPING] * movable

    def add_box(
        self,
        half_extents: Vector,
        position: Vector,
        colour: Vector,
        *,
        mass: float = 0.0,
        faces: Sequence[Vector] = (),
    ) -> int:
        """Add a box.

        Args:
            half_extents: Half its sides, in metres.
            position: Position of its centre.
            colour: Red, green, blue and opacity in [0, 1].
            mass: In kilograms; 0 makes it immovable.
            faces: Colours of the faces towards -x, x, -y, y, -z and z; without, all have `colour`.

        Returns:
            The body.
        """
        shape = pybullet.createCollisionShape(
            pybullet.GEOM_BOX, halfExtents=half_extents, physicsClientId=self._client
        )
        visual = self._box_visual(half_extents, faces or [colour]) if self._visuals else -1
        return self._add_body(shape, visual, position, mass)

    def add_cylinder(
        self, radius: float, height: float, position: Vector, colour: Vector, *, mass: float
    ) -> int:
        """Add a movable cylinder that stands upright.

        Args:
            radius: In metres.
            height: In metres.
            position: Position of its centre.
            colour: Red, green, blue and opacity in [0, 1].
            mass: In kilograms.

        Returns:
            The body.
        """
        shape = pybullet.createCollisionShape(
            pybullet.GEOM_CYLINDER, radius=radius, height=height, physicsClientId=self._client
        )
        visual = -1
        if self._visuals:
            visual = pybullet.createVisualShape(
                pybullet.GEOM_CYLINDER,
                radius=radius,
                length=height,
                rgbaColor=colour,
                specularColor=[0.0, 0.0, 0.0],
                physicsClientId=self._client,
            )
        return self._add_body(shape, visual, position, mass)

    def add_marker(self, radius: float, colour: Vector) -> int:
        """Add a sphere that is only seen: it is no body, and shines faintly through bodies.

        Args:
            radius: In metres.
            colour: Red, green, blue and opacity in [0, 1].

        Returns:
            The marker, for :meth:`move_marker`.
        """
        body = -1
        if self._gui:
            visual = pybullet.createVisualShape(
                pybullet.GEOM_SPHERE, radius=radius, rgbaColor=colour, physicsClientId=self._client
            )
            body = pybullet.createMultiBody(0.0, -1, visual, physicsClientId=self._client)
        self._markers.append(_Marker(float(radius), [colour], body))
        return len(self._markers) - 1

    def add_box_marker(self, half_extents: Vector, colours: Sequence[Vector]) -> int:
        """Add a box that is only seen, as the sphere of :meth:`add_marker`.

        Args:
            half_extents: Half its sides, in metres.
            colours: One for all faces, or one each of those towards -x, x, -y, y, -z and z.

        Returns:
            The marker, for :meth:`move_marker`.
        """
        body = -1
        if self._gui:
            visual = self._box_visual(half_extents, colours)
            body = pybullet.createMultiBody(0.0, -1, visual, physicsClientId=self._client)
        self._markers.append(_Marker(half_extents, colours, body))
        return len(self._markers) - 1

    def _add_body(self, shape: int, visual: int, position: Vector, mass: float) -> int:
        body: int = pybullet.createMultiBody(
            mass, shape, visual, position, physicsClientId=self._client
        )
        if mass:
            self._movable.append(body)
            self._filter(body, -1, _MOVABLE, -1)
        return body

    def _box_visual(self, half_extents: Vector, colours: Sequence[Vector]) -> int:
        if len(colours) == 1:
            visual: int = pybullet.createVisualShape(
                pybullet.GEOM_BOX,
                halfExtents=half_extents,
                rgbaColor=colours[0],
                specularColor=[0.0, 0.0, 0.0],
                physicsClientId=self._client,
            )
            return visual
        # PyBullet gives a box one colour, so every face is a thin box of its own.
        plates: list[Vector] = []
        centres: list[Vector] = []
        for face in range(6):
            plate, centre = list(half_extents), [0.0, 0.0, 0.0]
            plate[face // 2] *= 0.02
            centre[face // 2] = (face % 2 * 2 - 1) * 0.98 * half_extents[face // 2]
            plates.append(plate)
            centres.append(centre)
        array: int = pybullet.createVisualShapeArray(
            [pybullet.GEOM_BOX] * 6,
            halfExtents=plates,
            rgbaColors=colours,
            visualFramePositions=centres,
            physicsClientId=self._client,
        )
        return array

    def set_friction(self, body: int, link: int, *, sliding: float, turning: float) -> None:
        """Set a link's friction.

        Args:
            body: The body.
            link: Index of its link.
            sliding: Coefficient of friction against sliding.
            turning: Coefficient of friction against turning on the spot.
        """
        pybullet.changeDynamics(
            body,
            link,
            lateralFriction=sliding,
            spinningFriction=turning,
            physicsClientId=self._client,
        )

    def ignore_contacts(self, body: int, links: Sequence[int]) -> None:
        """Let links pass through everything, which saves looking for their contacts.

        Args:
            body: The body.
            links: Indices of its links; -1 is the base.
        """
        for link in links:
            self._filter(body, link, 0, 0)

    # Resetting

    def clear_contacts(self) -> None:
        """Make PyBullet forget every contact; call it after the robot is back in its rest pose.

        Bodies that are only teleported keep their old contact points, and the next episode would
        then depend on the last one. So the movable bodies are first taken far away from everything
        and from each other, and only :meth:`place` brings them back.

        PyBullet also keeps a box around every link, wider than the link and of a size that depends
        on its past. Bodies whose boxes overlap, or did so a while ago, are solved together, with
        other bits than apart. Setting a link's filter makes its box anew, and once no boxes overlap
        the rest is forgotten.
        """
        for index, body in enumerate(self._movable):
            self.place(body, (100.0 + 10.0 * index, 0.0, 100.0))
        for (body, link), (group, mask) in self._filters.items():
            pybullet.setCollisionFilterGroupMask(body, link, group, mask, self._client)
        pybullet.performCollisionDetection(self._client)

    def place(self, body: int, position: Vector, quaternion: Vector = UPRIGHT) -> None:
        """Put a movable body somewhere, at rest."""
        pybullet.resetBasePositionAndOrientation(body, position, quaternion, self._client)
        pybullet.resetBaseVelocity(body, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), self._client)

    def move_marker(self, marker: int, position: Vector, quaternion: Vector = UPRIGHT) -> None:
        """Put a marker somewhere."""
        self._markers[marker].position = position
        self._markers[marker].quaternion = quaternion
        if self._gui:
            pybullet.resetBasePositionAndOrientation(
                self._markers[marker].body, position, quaternion, self._client
            )

    def place_joints(self, body: int, joints: Sequence[int], angles: Vector) -> None:
        """Put joints somewhere, at rest."""
        for joint, angle in zip(joints, angles, strict=True):
            pybullet.resetJointState(body, joint, angle, 0.0, self._client)

    # Moving

    def step(self) -> None:
        """Advance by one control period."""
        client, step = self._client, pybullet.stepSimulation
        for _ in range(SUBSTEPS):
            step(client)

    def drive_joints(
        self, body: int, joints: Sequence[int], targets: Vector, forces: Vector
    ) -> None:
        """Set the position motors of joints, until the next call.

        Args:
            body: The body.
            joints: Indices of its joints.
            targets: Angle in radians, or offset in metres, of each.
            forces: Greatest torque in N·m, or force in N, of each.
        """
        # PyBullet takes a third of the call's time to look up keywords.
        count = len(joints)
        pybullet.setJointMotorControlArray(
            body,
            joints,
            pybullet.POSITION_CONTROL,
            targets,
            (0.0,) * count,  # velocities aimed at
            forces,
            (MOTOR_GAIN,) * count,
            (1.0,) * count,  # gains of velocities
            self._client,
        )

    # Reading

    def link_motion(self, body: int, link: int) -> tuple[Vector, Vector]:
        """Position in metres of a link's frame and velocity in m/s of its centre of mass."""
        # Without forward kinematics PyBullet answers from before the last physics step.
        state = pybullet.getLinkState(body, link, 1, 1, self._client)
        return state[4], state[6]

    def tool_motion(self, body: int, link: int, offset: Vector) -> tuple[Vector, Vector]:
        """Position in metres and velocity in m/s of a point that moves with a link.

        Args:
            body: The body.
            link: Index of its link.
            offset: The point in the link's frame.

        Returns:
            Position and velocity.
        """
        state = pybullet.getLinkState(body, link, 1, 1, self._client)
        tool, _ = pybullet.multiplyTransforms(state[4], state[5], offset, UPRIGHT)
        (x, y, z), (cx, cy, cz), (vx, vy, vz), (wx, wy, wz) = tool, state[0], state[6], state[7]
        x, y, z = x - cx, y - cy, z - cz
        return tool, (vx + wy * z - wz * y, vy + wz * x - wx * z, vz + wx * y - wy * x)

    def joint_positions(self, body: int, joints: Sequence[int]) -> list[float]:
        """Angles in radians, or offsets in metres, of joints."""
        return [state[0] for state in pybullet.getJointStates(body, joints, self._client)]

    def body_motion(self, body: int) -> tuple[Vector, Vector, Vector, Vector]:
        """Position, quaternion, velocity in m/s and angular velocity in rad/s of a body."""
        position, quaternion = pybullet.getBasePositionAndOrientation(body, self._client)
        velocity, angular_velocity = pybullet.getBaseVelocity(body, self._client)
        return position, quaternion, velocity, angular_velocity

    def inverse_kinematics(
        self, body: int, link: int, position: Vector, quaternion: Vector
    ) -> Vector:
        """Joint positions that bring a link near a pose, by damped least squares.

        Args:
            body: The body.
            link: Index of its link.
            position: Where the link should be.
            quaternion: How it should be turned.

        Returns:
            Positions of all movable joints of the body.
        """
        none = ()
        angles: Vector = pybullet.calculateInverseKinematics(
            body,
            link,
            position,
            quaternion,
            none,  # lower limits
            none,  # upper limits
            none,  # ranges
            none,  # rest pose
            self._ik_damping[body],
            pybullet.IK_DLS,
            none,  # start where the joints are
            IK_ITERATIONS,
            IK_RESIDUAL,
            self._client,
        )
        return angles

    def render(self, camera: Camera, width: int, height: int) -> NDArray[np.uint8]:
        """Draw the scene in software; needs no display.

        Args:
            camera: Where to look from.
            width: Of the frame, in pixels.
            height: Of the frame, in pixels.

        Returns:
            Frame of shape (height, width, 3).
        """
        near, far = 0.1, 10.0
        view = pybullet.computeViewMatrixFromYawPitchRoll(
            camera.target, camera.distance, camera.yaw, camera.pitch, 0.0, 2
        )
        projection = pybullet.computeProjectionMatrixFOV(_FIELD_OF_VIEW, width / height, near, far)
        _, _, rgba, depth, _ = pybullet.getCameraImage(
            width,
            height,
            view,
            projection,
            lightDirection=(1.0, -0.6, 2.2),
            lightDistance=8.0,
            lightAmbientCoeff=0.52,
            lightDiffuseCoeff=0.46,
            lightSpecularCoeff=0.1,
            shadow=1,
            renderer=pybullet.ER_TINY_RENDERER,
            physicsClientId=self._client,
        )
        scene = np.asarray(rgba, np.float32).reshape(height, width, 4)[..., :3]
        # The ground ends somewhere: let it fade into the sky behind the table.
        depth = np.asarray(depth, np.float32).reshape(height, width, 1)
        distance = far * near / (far - (far - near) * depth)
        fading = min(1.25 * camera.distance, 1.7)
        haze = np.clip((distance - 1.25 * camera.distance) / fading, 0.0, 1.0)
        sky = np.linspace(_ZENITH, _HORIZON, height, dtype=np.float32)[:, None, :]
        frame: NDArray[np.float32] = scene + haze * (sky - scene)
        for marker in self._markers:
            _draw_marker(frame, distance, np.reshape(view, (4, 4)), marker)
        return frame.astype(np.uint8)


def euler_angles(quaternion: Vector) -> Vector:
    """Roll, pitch and yaw in rad of a quaternion."""
    angles: Vector = pybullet.getEulerFromQuaternion(quaternion)
    return angles


def _disconnect(client: int) -> None:
    with contextlib.suppress(pybullet.error), _silence():
        pybullet.disconnect(client)


def _draw_marker(
    frame: NDArray[np.float32],
    distance: NDArray[np.float32],
    view: NDArray[np.float64],
    marker: _Marker,
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
    focal = 0.5 * height / np.tan(0.5 * np.radians(_FIELD_OF_VIEW))
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


def _cast_at_sphere(ray: NDArray[np.float64], view: NDArray[np.float64], marker: _Marker) -> _Cast:
    radius = float(np.max(marker.size))
    centre = (np.array((*marker.position, 1.0)) @ view)[:3]
    # |along · ray - centre| = radius, solved for the nearer `along`.
    square, mixed = (ray * ray).sum(-1), ray @ centre
    discriminant = mixed * mixed - square * (centre @ centre - radius**2)
    hit = discriminant > 0.0
    along = (mixed[hit] - np.sqrt(discriminant[hit])) / square[hit]
    upward = (along * ray[hit][:, 1] - centre[1]) / radius
    return hit, along, upward, np.zeros(len(along), np.int64)


def _cast_at_box(ray: NDArray[np.float64], view: NDArray[np.float64], marker: _Marker) -> _Cast:
    centre = (np.array((*marker.position, 1.0)) @ view)[:3]
    turn = np.reshape(pybullet.getMatrixFromQuaternion(marker.quaternion), (3, 3))
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
