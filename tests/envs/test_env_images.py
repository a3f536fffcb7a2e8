"""Depth and segmentation agree with the known geometry of the scene."""

import gymnasium as gym
import numpy as np
import pytest

import envs
from envs.picture import Segment
from envs.simulation import Simulation
from envs.tasks.table import add_table
from tests.envs.env_cases import with_able_robots

# Looks straight down from 1.2 m above the table; the top of the picture is towards +y.
ABOVE = envs.Camera((0.0, 0.0, 0.0), distance=1.2, yaw=0.0, pitch=-90.0)
WIDTH, HEIGHT = 96, 72
FOCAL = 0.5 * HEIGHT / np.tan(np.radians(22.5))


def image(mode, seed=0, name="bullet/Push-v0", camera=ABOVE, **kwargs):
    env = gym.make(
        name,
        render_mode=mode,
        render_width=WIDTH,
        render_height=HEIGHT,
        camera=camera,
        **kwargs,
    )
    observation, _ = env.reset(seed=seed)
    rendered = env.render()
    env.close()
    return rendered, observation["achieved_goal"]


def pixel(x, y, height):
    """Row and column where a point is seen from above."""
    scale = FOCAL / (1.2 - height)
    return int(0.5 * HEIGHT - y * scale), int(0.5 * WIDTH + x * scale)


def test_depth_is_metres_along_the_axis():
    depth, _ = image("depth_array")
    assert (depth.shape, depth.dtype) == ((HEIGHT, WIDTH), np.float32)
    # Off the centre too, where the ray is longer than the depth.
    for x, y in ((0.15, 0.2), (-0.1, -0.3), (0.2, -0.2)):
        assert depth[pixel(x, y, 0.0)] == pytest.approx(1.2, abs=2e-3)
    ground = depth[pixel(0.6, 0.0, -0.4)]
    assert ground == pytest.approx(1.6, abs=3e-3)


@pytest.mark.parametrize("seed", [1, 5, 8])
def test_depth_and_segmentation_find_the_cube_where_it_is(seed):
    depth, cube = image("depth_array", seed)
    segmentation, _ = image("segmentation_array", seed)
    assert (segmentation.shape, segmentation.dtype) == ((HEIGHT, WIDTH), np.int32)
    where = np.argwhere(segmentation == Segment.OBJECT)
    assert len(where) > 4
    at = pixel(cube[0], cube[1], 0.04)
    assert np.abs(where - at).max() <= 4
    assert depth[segmentation == Segment.OBJECT].min() == pytest.approx(1.16, abs=2e-3)


def test_a_slanting_view_of_the_table_has_the_analytic_depth():
    camera = envs.Camera((0.1, 0.0, 0.0), distance=0.9, yaw=90.0, pitch=-40.0)
    depth, _ = image("depth_array", camera=camera, name="bullet/Reach-v0")
    segmentation, _ = image("segmentation_array", camera=camera, name="bullet/Reach-v0")
    pitch, row = np.radians(40.0), np.arange(HEIGHT)
    # How far a ray goes down and forward, for each metre along the axis; the renderer samples a
    # pixel at its lower left corner.
    up = (0.5 * HEIGHT - 1.0 - row) / FOCAL
    down, forward = np.sin(pitch) - up * np.cos(pitch), np.cos(pitch) + up * np.sin(pitch)
    expected = 0.9 * np.sin(pitch) / down
    column = WIDTH // 2
    # The table ends at x = 0.25; below that, its side is seen.
    on_top = 0.1 + 0.9 * np.cos(pitch) - expected * forward < 0.24
    on_table = (segmentation[:, column] == Segment.TABLE) & on_top
    assert on_table.sum() > 20
    assert depth[on_table, column] == pytest.approx(expected[on_table], rel=1e-3)


@pytest.mark.parametrize(("task", "robot"), with_able_robots("reach", "slide", "stack", "flip"))
def test_every_segment_is_there_and_no_other(task, robot):
    camera = envs.Camera(pitch=-30.0, distance=1.6)
    segmentation, _ = image("segmentation_array", 0, envs.TASKS[task], camera, robot=robot)
    objects = {"reach": 0, "slide": 1, "stack": 2, "flip": 1}
    assert set(np.unique(segmentation)) == set(range(Segment.OBJECT + objects[task]))
    # The sky, the arm in the middle, the table below it.
    assert segmentation[0, 0] == Segment.BACKGROUND
    assert np.mean(segmentation == Segment.ROBOT) > 0.02
    assert np.mean(segmentation == Segment.TABLE) > 0.1


def test_where_there_is_nothing_depth_is_ten_metres():
    depth, _ = image("depth_array", camera=envs.Camera(pitch=-5.0))
    assert depth[0, 0] == 10.0


def test_rgbd_is_the_frame_and_the_depth():
    frame, depth = image("rgbd_tuple")[0]
    assert np.array_equal(frame, image("rgb_array")[0])
    # Depth without a frame is drawn without shadows, which it does not have.
    assert np.array_equal(depth, image("depth_array")[0])


def test_a_marker_is_in_the_frame_but_not_in_depth_and_segmentation():
    env = gym.make("bullet/Push-v0", render_mode="rgbd_tuple").unwrapped
    env.reset(seed=0)
    frame, depth = env.render()
    env._simulation.move_marker(env.task._marker, (0.0, 0.0, 0.3))
    moved_frame, same_depth = env.render()
    assert not np.array_equal(frame, moved_frame)
    assert np.array_equal(depth, same_depth)
    env.close()


@pytest.mark.parametrize(
    "camera",
    [
        envs.Camera(),
        envs.Camera(pitch=-5.0, distance=1.2),
        envs.Camera(yaw=200.0, pitch=-60.0, distance=4.0),
        envs.Camera(pitch=0.0),
        envs.Camera((0.0, 0.0, 0.0), distance=2.0, pitch=-90.0),
    ],
    ids=lambda camera: f"{camera.pitch}",
)
def test_the_ground_is_as_pybullet_would_draw_it(camera):
    scene = Simulation(visuals=True, sketch=True)
    add_table(scene)
    picture = scene.picture(camera, 240, 160, shadow=False)
    # The copy for pixel observations has the ground as a body.
    drawn = scene._sketch.picture(camera, 240, 160, shadow=False)
    same = (picture.colours == drawn.colours).all(-1)
    # Where it ends, a pixel may be of the one or the other.
    assert np.mean(same) > 0.998
    assert picture.depth[same] == pytest.approx(drawn.depth[same], rel=1e-5)
    assert (picture.segmentation == Segment.BACKGROUND).sum() > 0.3 * same.size
    scene.close()
