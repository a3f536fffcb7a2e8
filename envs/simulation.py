"""The physics: with the server it runs on, the only module that calls PyBullet.

A `Simulation` is one private PyBullet server with bodies in it. Robots and tasks use it
through the few methods below, so neither ever sees a PyBullet handle or flag.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from envs.picture import (
    FIELD_OF_VIEW,
    Camera,
    Ground,
    Light,
    Marker,
    Picture,
    Segment,
    draw_ground,
)
from envs.server import connect, disconnect, pybullet, pybullet_data, silence

Vector = Sequence[float]
"""Position in metres, (x, y, z), or quaternion, (x, y, z, w)."""

Boxes = Mapping[str, tuple[Vector, Vector]]
"""Boxes by name of their link: centre in the link's frame, and sides."""

UPRIGHT: Vector = (0.0, 0.0, 0.0, 1.0)
"""The identity rotation."""

euler_angles: Callable[[Vector], Vector] = pybullet.getEulerFromQuaternion
"""Roll, pitch and yaw in rad of a quaternion."""

CONTROL_PERIOD = 0.04
"""Seconds between two actions (25 Hz)."""

SUBSTEPS = 8
"""Physics steps in one control period."""

MOTOR_GAIN = 1.0 - 0.9 ** (20 / SUBSTEPS)
"""Share of the position error a motor removes in one physics step.

PyBullet's default of 0.1 per step is meant for 20 steps in a control period. This gain removes the
same share of the error per control period, so the arm keeps its speed.
"""

CONTACT_GAIN = 0.4
"""Share of a penetration depth that is removed in one physics step.

With PyBullet's default of 0.08 a closed hand presses a cube of 1 kg 1.7 mm into the table, with
this 0.8 mm (`python -m benchmarks.settings`).
"""

SOLVER = pybullet.CONSTRAINT_SOLVER_LCP_PGS
SOLVER_ITERATIONS = 30
"""Sweeps of the solver over all contacts and motors in one physics step.

They work on the matrix of constraints, which PyBullet's default solver does not build; a sweep then
costs a third. The default solver may end early, but where it did, at a squared change of velocity
of 0.001, an idle arm sank by 0.3 mm in every control period, and cubes crept.
"""

ROUND_ITERATIONS = 50
ROUND_RESIDUAL = 2e-4
"""Greatest number of sweeps of the default solver, which `Simulation.round_friction` chooses,
and where they end early: at this squared change of velocity, in (m/s)² or (rad/s)².

At 0.001 an idle arm sinks.
"""

IK_ITERATIONS = 2
IK_DAMPING = 0.037
"""Damped least squares: fewer than PyBullet's 20 iterations, with less than its damping of 0.5.

PyBullet's default is far from converged after 20 iterations, and the arm's speed depends on that.
With this damping 2 iterations go as far, to 2 %, at an eighth of the cost
(`python -m benchmarks.kinematics`).
"""

IK_RESIDUAL = 1e-4
"""Distance in metres at which the iterations end early; PyBullet's default."""

# PyBullet's own bits for movable and immovable bodies, and one more.
_MOVABLE, _STATIC, _ROBOT = 1, 2, 64

_NEAR, _FAR = 0.1, 10.0
_SPECK: Vector = (1e-4, 1e-4, 1e-4)
"""Half the sides of a box that nobody sees."""

# Where light comes from, and the ball that it is to make shadows in: all that the arms reach.
_LIGHT_DIRECTION: Vector = (1.0, -0.6, 2.2)
_LIGHT_DISTANCE = 8.0
_LIT: Vector = (-0.25, 0.0, 0.3)
_LIT_RADIUS = 1.4

_CLOSER = 0.55
"""Distance of the window's camera, as a share of the camera's.

The window's field of view is fixed at 90°. At 0.41 it would show exactly what a frame shows, but
with a strongly distorted perspective.
"""


class InSimulationError(TypeError):
    """What is in a simulation cannot be copied or pickled by itself; its environment can."""


class LoadError(ValueError):
    """A file of a body is missing, or PyBullet cannot read it."""


_NO_BOXES: Boxes = MappingProxyType({})


@contextlib.contextmanager
def _with_boxes(path: Path, boxes: Boxes) -> Iterator[Path]:
    """Copies a URDF or SDF file, with boxes as the collision shapes of some links."""
    if not boxes:
        yield path
        return
    tree = ElementTree.parse(path)
    for link in tree.iter("link"):
        if (box := boxes.get(link.get("name", ""))) is None:
            continue
        for shape in link.findall("collision"):
            link.remove(shape)
        centre, sides = (" ".join(map(str, vector)) for vector in box)
        shape = ElementTree.SubElement(link, "collision", name=f"{link.get('name')}_box")
        # A URDF has numbers in attributes, an SDF in elements; neither minds the other's.
        ElementTree.SubElement(shape, "origin", xyz=centre, rpy="0 0 0")
        ElementTree.SubElement(shape, "pose").text = f"{centre} 0 0 0"
        geometry = ElementTree.SubElement(shape, "geometry")
        size = ElementTree.SubElement(ElementTree.SubElement(geometry, "box", size=sides), "size")
        size.text = sides
    if not _locate_meshes(tree, path.parent):
        raise LoadError(f"{path} names a mesh that is not there")
    with _written(tree, path.name) as copy:
        yield copy


def _locate_meshes(tree: ElementTree.ElementTree[Any], folder: Path) -> bool:
    """Makes a file's mesh names absolute; returns whether all meshes exist.

    PyBullet caches meshes by this name for the life of the process.
    """
    for mesh in tree.iter("mesh"):
        uri = mesh.find("uri")
        name = mesh.get("filename", "") if uri is None else uri.text or ""
        name = name.removeprefix("package://")
        # A slash in front means the folder, too.
        files = (folder / name, folder / name.lstrip("/"))
        file = next((str(file) for file in files if file.is_file()), None)
        if file is None:
            return False
        if uri is None:
            mesh.set("filename", file)
        else:
            uri.text = file
    return True


@contextlib.contextmanager
def _written(tree: ElementTree.ElementTree[Any], name: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        tree.write(file := Path(folder) / name)
        yield file


class Simulation:
    """One PyBullet server, stepped at the fixed control rate.

    Args:
        visuals: Whether bodies get a visible shape, which costs loading time but does not affect
            the physics.
        sketch: Whether to keep a copy of the scene for `sketch`.
        window: Width and height of PyBullet's window, in pixels; None opens none.

    Raises:
        RuntimeError: If `window` is asked for and none can be opened, or the process has as many
            simulations as PyBullet allows.
    """

    def __init__(
        self,
        *,
        visuals: bool = False,
        sketch: bool = False,
        window: tuple[int, int] | None = None,
    ) -> None:
        self._gui = window is not None
        self._visuals = visuals or self._gui
        self._client = connect(window)
        self._finalizer = weakref.finalize(self, disconnect, self._client)
        self._closed = False
        # A separate copy, so that it looks the same with and without frames or a window. It is
        # never stepped.
        self._sketch = _Sketch() if sketch else None
        self._ground: Ground | None = None
        self._markers: list[Marker] = []
        self._movable: list[int] = []
        self._shapes: dict[tuple[float, ...], int] = {}
        self._joints: dict[int, list[int]] = {}
        self._twins: dict[int, int] = {}
        self._segments: dict[int, int] = {}
        self._filters: dict[tuple[int, int], tuple[int, int]] = {}
        self._ik_damping: dict[int, list[float]] = {}
        pybullet.setGravity(0.0, 0.0, -9.81, self._client)
        # One call for all physics steps of a control period: each call costs 2 µs.
        pybullet.setPhysicsEngineParameter(
            fixedTimeStep=CONTROL_PERIOD,
            numSubSteps=SUBSTEPS,
            deterministicOverlappingPairs=1,
            contactERP=CONTACT_GAIN,
            physicsClientId=self._client,
        )
        self._solve_by(SOLVER, SOLVER_ITERATIONS)
        if self._gui:
            # Panels and previews cover the scene; shortcuts and the mouse would change it. Building
            # a scene takes ten times as long if it is drawn meanwhile.
            features = (
                pybullet.COV_ENABLE_GUI,
                pybullet.COV_ENABLE_RGB_BUFFER_PREVIEW,
                pybullet.COV_ENABLE_DEPTH_BUFFER_PREVIEW,
                pybullet.COV_ENABLE_SEGMENTATION_MARK_PREVIEW,
                pybullet.COV_ENABLE_KEYBOARD_SHORTCUTS,
                pybullet.COV_ENABLE_MOUSE_PICKING,
                pybullet.COV_ENABLE_RENDERING,
            )
            with silence():
                self._await_frame()
                for feature in features:
                    pybullet.configureDebugVisualizer(feature, 0, physicsClientId=self._client)

    def __reduce__(self) -> NoReturn:
        """Refuses to be copied or pickled: the copy would be the same server.

        Raises:
            InSimulationError: Always.
        """
        raise InSimulationError(
            "a simulation, and what is in one, cannot be copied or pickled: copy its environment"
        )

    def round_friction(self) -> None:
        """Makes friction resist equally in all directions, for objects that slide far.

        Otherwise friction is limited along x and along y separately, so it can be 1.4 times as
        large in between. This needs PyBullet's default solver, which is slower and in which cubes
        creep.
        """
        self._solve_by(pybullet.CONSTRAINT_SOLVER_LCP_SI, ROUND_ITERATIONS)

    def _solve_by(self, solver: int, iterations: int) -> None:
        # PyBullet prints that it changes the solver.
        with silence():
            pybullet.setPhysicsEngineParameter(
                constraintSolverType=solver,
                numSolverIterations=iterations,
                solverResidualThreshold=ROUND_RESIDUAL,
                physicsClientId=self._client,
            )

    @property
    def closed(self) -> bool:
        """Whether `close` was called, or the window was closed."""
        if self._gui and not pybullet.isConnected(self._client):
            return True
        return self._closed

    def close(self) -> None:
        """Frees the server; closing twice is allowed."""
        self._closed = True
        self._finalizer()
        if self._sketch is not None:
            self._sketch.close()

    # Building

    def load_urdf(self, file_name: str, position: Vector, boxes: Boxes = _NO_BOXES) -> int:
        """Loads an articulated body with a fixed base from `pybullet_data` or an absolute path.

        Args:
            file_name: Path of the URDF file.
            position: Position of its base.
            boxes: Links whose collision shapes are replaced by boxes. Between a mesh and a box
                PyBullet finds one contact point at a time, between boxes all of them: a light cube
                held between two meshes spins out of the hand.

        Returns:
            The body.

        Raises:
            LoadError: If there is no such file, or PyBullet cannot read it.
        """
        path = _existing(file_name)
        # Fixed links would otherwise cost as much time as movable ones.
        flags = pybullet.URDF_MERGE_FIXED_LINKS
        if not self._visuals:
            flags |= pybullet.URDF_IGNORE_VISUAL_SHAPES
        with (
            _with_boxes(path, boxes) as boxed,
            self._loadable(boxed) as file,
            _reading(path),
            silence(),
        ):
            body: int = pybullet.loadURDF(
                str(file), position, useFixedBase=True, flags=flags, physicsClientId=self._client
            )
        self._prepare_kinematics(body)
        if self._sketch is not None:
            self._twins[body] = self._sketch.load_urdf(file_name, position)
        return body

    def _loadable(self, path: Path) -> contextlib.AbstractContextManager[Path]:
        return contextlib.nullcontext(path)

    def load_sdf(self, file_name: str, position: Vector, boxes: Boxes = _NO_BOXES) -> int:
        """Loads an articulated body whose file fixes its base, as `load_urdf` does.

        Args:
            file_name: Path of the SDF file.
            position: Position of its base.
            boxes: Links that touch others as boxes.

        Returns:
            The body.

        Raises:
            LoadError: If there is no such file, PyBullet cannot read it, or it does not hold
                exactly one body.
        """
        path = _existing(file_name)
        with _with_boxes(path, boxes) as file, _reading(path), silence():
            bodies = pybullet.loadSDF(str(file), physicsClientId=self._client)
        if len(bodies) != 1:
            raise LoadError(f"{path} must hold one body, and holds {len(bodies)}")
        body: int = bodies[0]
        # Bodies are moved by their base's centre of mass, which an SDF puts where it should be if
        # the base were at the origin.
        centre, turn = pybullet.getBasePositionAndOrientation(body, self._client)
        centre = [offset + at for offset, at in zip(centre, position, strict=True)]
        pybullet.resetBasePositionAndOrientation(body, centre, turn, self._client)
        self._prepare_kinematics(body)
        if self._sketch is not None:
            self._twins[body] = self._sketch.load_sdf(file_name, position)
        return body

    def _filter(self, body: int, link: int, group: int, mask: int | None = None) -> None:
        self._filters[body, link] = group, ~group if mask is None else mask
        pybullet.setCollisionFilterGroupMask(body, link, *self._filters[body, link], self._client)

    def _prepare_kinematics(self, body: int) -> None:
        joints = range(pybullet.getNumJoints(body, self._client))
        # Links of one robot never touch, so not testing for it saves time.
        for link in (-1, *joints):
            self._filter(body, link, _STATIC | _ROBOT if link == -1 else _ROBOT)
        kinds = [pybullet.getJointInfo(body, joint, self._client)[2] for joint in joints]
        movable = [joint for joint in joints if kinds[joint] != pybullet.JOINT_FIXED]
        self._joints[body] = movable
        self._ik_damping[body] = [IK_DAMPING] * len(movable)
        self._segments[body] = Segment.ROBOT

    def add_box(
        self,
        half_extents: Vector,
        position: Vector,
        colour: Vector,
        *,
        mass: float = 0.0,
        faces: Sequence[Vector] = (),
    ) -> int:
        """Adds a box.

        Args:
            half_extents: Half its sides, in metres.
            position: Position of its centre.
            colour: Red, green, blue and opacity in [0, 1].
            mass: In kilograms; 0 makes it immovable.
            faces: Colours of the faces towards -x, x, -y, y, -z and z; without, all have `colour`.

        Returns:
            The body.
        """
        shape = self._shape(pybullet.GEOM_BOX, halfExtents=half_extents)
        visual = self._box_visual(half_extents, faces or [colour]) if self._visuals else -1
        body = self._add_body(shape, visual, position, mass)
        if self._sketch is not None:
            self._twins[body] = self._sketch.add_box(
                half_extents, position, colour, mass=mass, faces=faces
            )
        return body

    def add_ground(self, half_extents: Vector, position: Vector, colour: Vector) -> None:
        """Adds an immovable box of which only the top is seen, as background in a segmentation.

        It fills most of a picture, which costs PyBullet half of the time, and the picture itself
        little.

        Args:
            half_extents: Half its sides, in metres.
            position: Position of its centre.
            colour: Red, green, blue and opacity in [0, 1].
        """
        (x, y, z), (half_x, half_y, half_z) = position, half_extents
        self._ground = Ground(
            z + half_z,
            ((x - half_x, x + half_x), (y - half_y, y + half_y)),
            # PyBullet's light leaves a face that looks upward its colour.
            tuple(int(255 * part) for part in colour[:3]),
        )
        shape = self._shape(pybullet.GEOM_BOX, halfExtents=half_extents)
        # Without any visual shape PyBullet would draw the other.
        drawn = half_extents if self._gui else _SPECK
        visual = self._box_visual(drawn, [colour]) if self._visuals else -1
        body = self._add_body(shape, visual, position, 0.0)
        self._segments[body] = Segment.BACKGROUND
        if self._sketch is not None:
            self._twins[body] = self._sketch.add_box(half_extents, position, colour)

    def add_cylinder(
        self, radius: float, height: float, position: Vector, colour: Vector, *, mass: float
    ) -> int:
        """Adds a movable, upright cylinder.

        Args:
            radius: In metres.
            height: In metres.
            position: Position of its centre.
            colour: Red, green, blue and opacity in [0, 1].
            mass: In kilograms.

        Returns:
            The body.
        """
        shape = self._shape(pybullet.GEOM_CYLINDER, radius=radius, height=height)
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
        body = self._add_body(shape, visual, position, mass)
        if self._sketch is not None:
            self._twins[body] = self._sketch.add_cylinder(
                radius, height, position, colour, mass=mass
            )
        return body

    def add_marker(self, radius: float, colour: Vector) -> int:
        """Adds a sphere that is only visible: it is not a body, and shows faintly through bodies.

        Args:
            radius: In metres.
            colour: Red, green, blue and opacity in [0, 1].

        Returns:
            The marker, for `move_marker`.
        """
        body = -1
        if self._gui:
            visual = pybullet.createVisualShape(
                pybullet.GEOM_SPHERE, radius=radius, rgbaColor=colour, physicsClientId=self._client
            )
            body = pybullet.createMultiBody(0.0, -1, visual, physicsClientId=self._client)
        self._markers.append(Marker(float(radius), [colour], body))
        return len(self._markers) - 1

    def add_box_marker(self, half_extents: Vector, colours: Sequence[Vector]) -> int:
        """Adds a box that is only visible, as the sphere of `add_marker`.

        Args:
            half_extents: Half its sides, in metres.
            colours: One for all faces, or one each of those towards -x, x, -y, y, -z and z.

        Returns:
            The marker, for `move_marker`.
        """
        body = -1
        if self._gui:
            visual = self._box_visual(half_extents, colours)
            body = pybullet.createMultiBody(0.0, -1, visual, physicsClientId=self._client)
        self._markers.append(Marker(half_extents, colours, body))
        return len(self._markers) - 1

    def remove(self, body: int) -> None:
        """Removes a movable body for good."""
        pybullet.removeBody(body, self._client)
        self._movable.remove(body)
        del self._filters[body, -1], self._segments[body]
        if self._sketch is not None:
            self._sketch.remove(self._twins.pop(body))

    def _shape(self, kind: int, **size: Any) -> int:  # noqa: ANN401 (PyBullet's own arguments)
        # PyBullet never frees the shape of a removed body, so the next body reuses it.
        key = (kind, *np.ravel(list(size.values())).tolist())
        if key not in self._shapes:
            self._shapes[key] = pybullet.createCollisionShape(
                kind, **size, physicsClientId=self._client
            )
        return self._shapes[key]

    def _add_body(self, shape: int, visual: int, position: Vector, mass: float) -> int:
        body: int = pybullet.createMultiBody(
            mass, shape, visual, position, physicsClientId=self._client
        )
        self._segments[body] = Segment.TABLE
        if mass:
            # A body that replaces a removed one gets the same segment.
            taken = {self._segments[other] for other in self._movable}
            free = range(Segment.OBJECT, Segment.OBJECT + len(taken) + 1)
            self._segments[body] = min(set(free) - taken)
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
        """Sets a link's friction.

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

    def set_mass(self, body: int, mass: float) -> None:
        """Sets the mass, in kilograms, of a movable body of one link, and scales its inertia."""
        pybullet.changeDynamics(body, -1, mass=mass, physicsClientId=self._client)

    def set_inertia(self, body: int, link: int, mass: float, inertia: float) -> None:
        """Sets a link's mass, in kilograms, and its moment of inertia about any axis, in kg·m²."""
        for change in ({"mass": mass}, {"localInertiaDiagonal": (inertia,) * 3}):
            pybullet.changeDynamics(body, link, **change, physicsClientId=self._client)

    def ignore_contacts(self, body: int, links: Sequence[int]) -> None:
        """Lets links pass through everything, which saves the search for their contacts.

        Args:
            body: The body.
            links: Indices of its links; -1 is the base.
        """
        for link in links:
            self._filter(body, link, 0, 0)

    # Resetting

    def clear_contacts(self) -> None:
        """Makes PyBullet forget every contact; call it with the robot back in its rest pose.

        Bodies that are only teleported keep their old contact points, and the next episode would
        then depend on the last one. So the movable bodies are first taken far away from everything
        and from each other, and only `place` brings them back.

        PyBullet also keeps a bounding box around every link, with a margin that depends on its
        past. Bodies whose boxes overlap, or did so a while ago, are solved together, which gives
        other bits than solving them apart. Setting a link's filter rebuilds its box, and once no
        boxes overlap PyBullet forgets the rest.
        """
        for index, body in enumerate(self._movable):
            self.place(body, (100.0 + 10.0 * index, 0.0, 100.0))
        for (body, link), (group, mask) in self._filters.items():
            pybullet.setCollisionFilterGroupMask(body, link, group, mask, self._client)
        pybullet.performCollisionDetection(self._client)

    def place(self, body: int, position: Vector, quaternion: Vector = UPRIGHT) -> None:
        """Puts a movable body somewhere, at rest."""
        pybullet.resetBasePositionAndOrientation(body, position, quaternion, self._client)
        pybullet.resetBaseVelocity(body, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), self._client)

    def move_marker(self, marker: int, position: Vector, quaternion: Vector = UPRIGHT) -> None:
        """Puts a marker somewhere."""
        self._markers[marker] = replace(
            self._markers[marker], position=position, quaternion=quaternion
        )
        if self._gui:
            pybullet.resetBasePositionAndOrientation(
                self._markers[marker].body, position, quaternion, self._client
            )

    def resize_box_marker(self, marker: int, half_extents: Vector) -> None:
        """Resizes a box marker; `move_marker` then puts it somewhere.

        Args:
            marker: The marker.
            half_extents: Half its sides, in metres.
        """
        box = self._markers[marker]
        body = box.body
        if self._gui and tuple(half_extents) != tuple(np.ravel(box.size)):
            pybullet.removeBody(body, self._client)
            visual = self._box_visual(half_extents, box.colours)
            body = pybullet.createMultiBody(0.0, -1, visual, physicsClientId=self._client)
        self._markers[marker] = replace(box, size=half_extents, body=body)

    def place_joints(self, body: int, joints: Sequence[int], angles: Vector) -> None:
        """Puts joints somewhere, at rest."""
        for joint, angle in zip(joints, angles, strict=True):
            pybullet.resetJointState(body, joint, angle, 0.0, self._client)

    # Moving

    def step(self) -> None:
        """Advances by one control period.

        Raises:
            RuntimeError: If the window was closed meanwhile.
        """
        try:
            pybullet.stepSimulation(self._client)
        except pybullet.error:
            raise RuntimeError("the window was closed") from None

    def drive_joints(
        self, body: int, joints: Sequence[int], targets: Vector, forces: Vector
    ) -> None:
        """Sets the position motors of joints, until the next call.

        Args:
            body: The body.
            joints: Indices of its joints.
            targets: Angle in radians, or offset in metres, of each.
            forces: Greatest torque in N·m, or force in N, of each.
        """
        count = len(joints)
        pybullet.setJointMotorControlArray(
            body,
            joints,
            pybullet.POSITION_CONTROL,
            targetPositions=targets,
            # In each physics step PyBullet allows a motor the impulse of the whole control period.
            forces=[force / SUBSTEPS for force in forces],
            positionGains=(MOTOR_GAIN,) * count,
            velocityGains=(1.0,) * count,
            physicsClientId=self._client,
        )

    # Reading

    def link_motion(self, body: int, link: int) -> tuple[Vector, Vector]:
        """Returns the position of a link in m and the velocity of its centre of mass in m/s."""
        # Without forward kinematics PyBullet returns the state before the last physics step.
        state = pybullet.getLinkState(body, link, 1, 1, self._client)
        return state[4], state[6]

    def tool_motion(self, body: int, link: int, offset: Vector) -> tuple[Vector, Vector]:
        """Returns position in metres and velocity in m/s of a point that moves with a link.

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
        """Returns a body's position, quaternion, velocity in m/s and angular velocity in rad/s."""
        position, quaternion = pybullet.getBasePositionAndOrientation(body, self._client)
        velocity, angular_velocity = pybullet.getBaseVelocity(body, self._client)
        return position, quaternion, velocity, angular_velocity

    def inverse_kinematics(
        self, body: int, link: int, position: Vector, quaternion: Vector
    ) -> Vector:
        """Finds joint positions that bring a link near a pose, by damped least squares.

        Args:
            body: The body.
            link: Index of its link.
            position: Where the link should be.
            quaternion: How it should be turned.

        Returns:
            Positions of all movable joints of the body.
        """
        angles: Vector = pybullet.calculateInverseKinematics(
            body,
            link,
            position,
            quaternion,
            jointDamping=self._ik_damping[body],
            solver=pybullet.IK_DLS,
            maxNumIterations=IK_ITERATIONS,
            residualThreshold=IK_RESIDUAL,
            physicsClientId=self._client,
        )
        return angles

    # Seeing

    def show(self, camera: Camera) -> None:
        """Shows the complete scene in the window; does nothing without one.

        Args:
            camera: Where to look from.
        """
        if not self._gui:
            return
        client = self._client
        with silence():
            pybullet.resetDebugVisualizerCamera(
                camera.distance * _CLOSER, camera.yaw, camera.pitch, camera.target, client
            )
            pybullet.configureDebugVisualizer(
                pybullet.COV_ENABLE_RENDERING, 1, physicsClientId=client
            )
            self._await_frame()

    def _await_frame(self) -> None:
        # The window has its own thread, which prints before its first frames. To silence it, wait
        # for them.
        pybullet.getCameraImage(
            8, 8, renderer=pybullet.ER_BULLET_HARDWARE_OPENGL, physicsClientId=self._client
        )

    def picture(self, camera: Camera, width: int, height: int, *, shadow: bool = True) -> Picture:
        """Draws the scene in software; needs no display, but `visuals`.

        Args:
            camera: Where to look from.
            width: Of the picture, in pixels.
            height: Of the picture, in pixels.
            shadow: Whether bodies cast one in a frame, which takes as long as everything else.

        Returns:
            What the camera sees.
        """
        view = pybullet.computeViewMatrixFromYawPitchRoll(
            camera.target, camera.distance, camera.yaw, camera.pitch, 0.0, 2
        )
        projection = pybullet.computeProjectionMatrixFOV(FIELD_OF_VIEW, width / height, _NEAR, _FAR)
        _, _, rgba, depth, bodies = pybullet.getCameraImage(
            width,
            height,
            view,
            projection,
            lightDirection=_LIGHT_DIRECTION,
            lightAmbientCoeff=0.52,
            lightDiffuseCoeff=0.46,
            lightSpecularCoeff=0.1,
            shadow=0,
            renderer=pybullet.ER_TINY_RENDERER,
            physicsClientId=self._client,
        )
        # Where PyBullet draws nothing, the body is -1.
        metres = _metres(depth, (height, width), _NEAR, _FAR)
        bodies = np.asarray(bodies, np.int32).reshape(height, width)
        metres[bodies < 0] = _FAR
        colours = np.asarray(rgba, np.uint8).reshape(height, width, 4)
        matrix = np.reshape(view, (4, 4))
        segments = np.full(max(self._segments, default=-1) + 2, Segment.BACKGROUND, np.int32)
        for body, segment in self._segments.items():
            segments[body] = segment
        segmentation = segments[bodies]
        if self._ground is not None:
            seen = draw_ground(colours, metres, matrix, self._ground)
            segmentation[seen] = Segment.BACKGROUND
        return Picture(
            colours[..., :3].copy(),
            metres,
            segmentation,
            matrix,
            camera.distance,
            tuple(self._markers),
            self._light(height) if shadow else None,
        )

    def _light(self, size: int) -> Light:
        length = math.hypot(*_LIGHT_DIRECTION)
        position = [
            at + _LIGHT_DISTANCE * along / length
            for at, along in zip(_LIT, _LIGHT_DIRECTION, strict=True)
        ]
        view = pybullet.computeViewMatrix(position, _LIT, (0.0, 1.0, 0.0))
        angle = math.degrees(2.0 * math.atan(_LIT_RADIUS / _LIGHT_DISTANCE))
        near, far = _LIGHT_DISTANCE - 2.5, _LIGHT_DISTANCE + 2.5
        depth = pybullet.getCameraImage(
            size,
            size,
            view,
            pybullet.computeProjectionMatrixFOV(angle, 1.0, near, far),
            shadow=0,
            renderer=pybullet.ER_TINY_RENDERER,
            flags=pybullet.ER_NO_SEGMENTATION_MASK,
            physicsClientId=self._client,
        )[3]
        return Light(np.reshape(view, (4, 4)), angle, _metres(depth, (size, size), near, far))

    def sketch(self, camera: Camera, size: int) -> NDArray[np.uint8]:
        """Draws the bodies coarsely and fast; needs no display or `visuals`, but a `sketch`.

        Args:
            camera: Where to look from.
            size: Width and height, in pixels.

        Returns:
            Colours of shape (size, size, 3), without markers.
        """
        sketch = self._sketch
        assert sketch is not None
        for body in self._movable:
            position, quaternion = pybullet.getBasePositionAndOrientation(body, self._client)
            sketch.place(self._twins[body], position, quaternion)
        for body, joints in self._joints.items():
            sketch.place_joints(self._twins[body], joints, self.joint_positions(body, joints))
        # At this size a shadow would be a pattern of stripes.
        return sketch.picture(camera, size, size, shadow=False).colours


def _metres(depth: object, shape: tuple[int, int], near: float, far: float) -> NDArray[np.float32]:
    # PyBullet's depth is 0 at the near end of what it draws and 1 at the far end.
    share = np.asarray(depth, np.float32).reshape(shape)
    metres: NDArray[np.float32] = far * near / (far - (far - near) * share)
    return metres


class _Sketch(Simulation):
    """A copy of the scene to draw coarsely, with collision shapes for articulated bodies.

    The visual meshes have thirty times as many faces, but at the size of pixel observations look
    the same.
    """

    def __init__(self) -> None:
        super().__init__(visuals=True)

    @contextlib.contextmanager
    def _loadable(self, path: Path) -> Iterator[Path]:
        tree = ElementTree.parse(path)
        for link in tree.iter("link"):
            seen, felt = link.find("visual/geometry"), link.find("collision/geometry")
            if seen is not None and felt is not None:
                seen[:] = felt[:]
        if not _locate_meshes(tree, path.parent):
            # Where PyBullet finds this mesh is unknown, so it is drawn in full.
            yield path
            return
        with _written(tree, path.name) as coarse:
            yield coarse


def _existing(file_name: str) -> Path:
    path = Path(pybullet_data.getDataPath()) / file_name
    # PyBullet ends the process if the path is a folder.
    if not path.is_file():
        raise LoadError(f"there is no file {path}")
    return path


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except pybullet.error:
        raise LoadError(f"PyBullet cannot read {path}, or a file that it names") from None
