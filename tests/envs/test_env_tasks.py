"""The tasks with objects are panda-gym's, with the bad draws left out."""

import gymnasium as gym
import numpy as np
import pybullet
import pytest

import envs
from envs.picture import Camera
from envs.registry import TASK_TYPES
from envs.simulation import Simulation
from envs.tasks import PickAndPlace
from tests.envs.env_cases import ARMS, with_able_robots

OBJECTS = ["push", "slide", "pick_and_place", "stack", "flip"]
GRIPPING = ["pick_and_place", "stack", "flip"]


def make(task, **kwargs):
    return gym.make(envs.TASKS[task], **kwargs)


def server(env):
    return env.unwrapped._simulation._client


def objects(env):
    return env.unwrapped._simulation._movable


def fill(low, high, generator):
    return generator.uniform((*low, 0.0), (*high, 0.0))[:2]


def peer_start(task, seed):
    """Goal and objects' positions as panda-gym 3.0.7 draws them, and whether they are fit."""
    generator, low, high = np.random.default_rng(seed), (-0.15, -0.15), (0.15, 0.15)
    if task == "slide":
        goal = [*fill((0.25, -0.15), (0.55, 0.15), generator), 0.03]
        return goal, [*fill(low, high, generator), 0.03], True
    if task == "push":
        goal = [*fill(low, high, generator), 0.02]
    elif task == "pick_and_place":
        goal = generator.uniform((-0.15, -0.15, 0.02), (0.15, 0.15, 0.22))
        if generator.random() < 0.3:
            goal[2] = 0.02
    else:
        at = fill(low, high, generator)
        goal = [*at, 0.02, *at, 0.06]
        start = [*fill(low, high, generator), 0.02, *fill(low, high, generator), 0.06]
        apart = np.abs(np.subtract(start[:2], start[3:5])).max() >= 0.04
        return goal, start, apart and np.linalg.norm(np.subtract(goal, start)) >= 0.1
    start = [*fill(low, high, generator), 0.02]
    return goal, start, np.linalg.norm(np.subtract(goal, start)) >= 0.05


@pytest.mark.parametrize("task", ["push", "slide", "pick_and_place", "stack"])
def test_seeds_give_panda_gyms_episodes_unless_those_are_unfit(task):
    env = make(task)
    unfit = 0
    for seed in range(150):
        observation, info = env.reset(seed=seed)
        goal, start, fit = peer_start(task, seed)
        assert np.allclose(observation["desired_goal"], goal, atol=1e-7)
        assert np.allclose(observation["achieved_goal"], start, atol=1e-7) == fit
        assert not info["is_success"]
        unfit += not fit
    # Otherwise the test would say nothing of drawing again.
    assert unfit > 3 or task == "slide"
    env.close()


def test_stacked_cubes_never_start_above_each_other():
    env = make("stack")
    for seed in range(200):
        seen = env.reset(seed=seed)[0]["achieved_goal"]
        assert np.abs(seen[:2] - seen[3:5]).max() >= 0.04
    env.close()


def test_flips_goals_are_rotations_that_follow_the_seed_and_need_turning():
    env = make("flip")
    goals = np.array([env.reset(seed=seed)[0]["desired_goal"] for seed in range(200)])
    again = np.array([env.reset(seed=seed)[0]["desired_goal"] for seed in range(200)])
    assert np.array_equal(goals, again)
    assert np.allclose(np.linalg.norm(goals, axis=1), 1.0, atol=1e-6)
    assert np.all(1.0 - goals[:, 3] ** 2 >= 0.2)
    # Uniform rotations have no direction: no entry has a mean far from 0.
    assert np.all(np.abs(goals.mean(0)) < 0.15)
    env.close()


def test_the_distance_of_orientations_is_that_of_the_angle_between():
    flip = TASK_TYPES["flip"]()
    upright = np.array([0.0, 0.0, 0.0, 1.0])
    for angle in (0.0, 0.3, 1.0, np.pi):
        turned = np.array([0.0, np.sin(angle / 2), 0.0, np.cos(angle / 2)])
        for sign in (1.0, -1.0):
            expected = np.sin(angle / 2) ** 2
            assert flip.distance(sign * turned, upright) == pytest.approx(expected, abs=1e-12)
    batch = np.array([upright, [1.0, 0.0, 0.0, 0.0]])
    assert np.array_equal(flip.distance(batch, upright), [0.0, 1.0])


# Mass, size and friction of every object in panda-gym 3.0.7.
BODIES = [
    ("push", [(1.0, (0.04, 0.04, 0.04), 0.5)]),
    ("slide", [(1.0, (0.06, 0.06, 0.03), 0.04)]),
    ("pick_and_place", [(1.0, (0.04, 0.04, 0.04), 0.5)]),
    ("stack", [(2.0, (0.04, 0.04, 0.04), 0.5), (1.0, (0.04, 0.04, 0.04), 0.5)]),
    ("flip", [(1.0, (0.04, 0.04, 0.04), 0.5)]),
]


@pytest.mark.parametrize(("task", "expected"), BODIES)
def test_objects_weigh_and_slide_as_in_panda_gym(task, expected):
    env = make(task)
    env.reset(seed=0)
    for body, (mass, size, friction) in zip(objects(env), expected, strict=True):
        dynamics = pybullet.getDynamicsInfo(body, -1, server(env))
        assert dynamics[:2] == (mass, friction)
        assert dynamics[6:8] == (0.0, 0.0)
        low, high = pybullet.getAABB(body, -1, server(env))
        # A bounding box leaves a margin.
        assert np.allclose(np.subtract(high, low), size, atol=0.003)
    env.close()


@pytest.mark.parametrize(("speed", "expected"), [(0.3, 0.196), (0.6, 0.486), (1.0, 0.869)])
def test_a_puck_slides_as_far_in_a_second_as_in_panda_gym(speed, expected):
    env = make("slide")
    env.reset(seed=0)
    up = np.array([0.0, 0.0, 0.5], np.float32)
    start = [env.step(up)[0]["achieved_goal"] for _ in range(6)][-1]
    pybullet.resetBaseVelocity(objects(env)[0], (speed, 0.0, 0.0), (0.0, 0.0, 0.0), server(env))
    end = [env.step(np.zeros(3, np.float32))[0]["achieved_goal"] for _ in range(25)][-1]
    assert np.allclose((end - start)[:2], (expected, 0.0), atol=0.002)
    env.close()


@pytest.mark.parametrize("task", OBJECTS)
def test_observations_hold_the_objects_motion(task):
    env = make(task)
    env.reset(seed=3)
    for number, body in enumerate(objects(env)):
        spin = (0.5 + number, -0.4, 0.8)
        pybullet.resetBaseVelocity(body, (0.1, 0.2, 0.5), spin, server(env))
    seen = env.step(np.zeros(env.action_space.shape, np.float32))[0]
    expected, goal = [], []
    for body in objects(env):
        position, turn = pybullet.getBasePositionAndOrientation(body, server(env))
        rotation = turn if task == "flip" else pybullet.getEulerFromQuaternion(turn)
        velocity, spin = pybullet.getBaseVelocity(body, server(env))
        expected += [*position, *rotation, *velocity, *spin]
        goal += turn if task == "flip" else position
    size = env.unwrapped.robot.observation_size
    assert np.array_equal(seen["observation"][size:], np.array(expected, np.float32))
    assert np.array_equal(seen["achieved_goal"], np.array(goal, np.float32))
    assert np.abs(expected[3:6]).min() > 0.001
    env.close()


def test_observations_of_a_flung_object_stay_in_their_space():
    env = make("push")
    env.reset(seed=0)
    pybullet.resetBaseVelocity(objects(env)[0], (400.0, 0.0, 90.0), (50.0, 60.0, 70.0), server(env))
    for _ in range(8):
        observation = env.step(np.zeros(3, np.float32))[0]
        assert env.observation_space.contains(observation)
    assert observation["achieved_goal"][0] == 10.0
    env.close()


@pytest.mark.parametrize("robot", ARMS)
@pytest.mark.parametrize("task", GRIPPING)
@pytest.mark.parametrize("control", ["ee", "joints"])
def test_the_last_entry_opens_and_closes_the_gripper_as_in_panda_gym(task, control, robot):
    env = make(task, control=control, robot=robot)
    env.reset(seed=1)
    action = np.zeros(env.action_space.shape, np.float32)
    widths = []
    for entry in (1.0, 1.0, 1.0, -1.0, -1.0, -1.0):
        action[-1] = entry
        widths.append(env.step(action)[0]["observation"][6])
    # The iiwa's fingers take a little longer to begin.
    tolerance = 5e-3 if robot == "iiwa" else 5e-4
    assert np.allclose(widths, [0.0703, 0.0788, 0.0799, 0.0097, 0.0012, 0.0001], atol=tolerance)
    env.close()


@pytest.mark.parametrize("task", ["reach", "push", "slide"])
def test_where_no_gripper_is_needed_it_stays_closed(task):
    env = make(task)
    env.reset(seed=0)
    assert env.action_space.shape == (3,)
    for action in np.random.default_rng(0).uniform(-1.0, 1.0, (10, 3)):
        env.step(action)
        fingers = env.unwrapped._simulation.joint_positions(env.unwrapped.robot._body, (7, 8))
        assert np.allclose(fingers, 0.0, atol=1e-3)
    env.close()


@pytest.mark.parametrize("task", envs.TASKS)
def test_only_what_lies_below_the_table_is_lost(task):
    env = make(task).unwrapped
    goal = np.array(env.reset(seed=0)[0]["desired_goal"])
    below = np.array([goal, goal])
    below[1, -1] = -0.3
    expected = [False, task not in ("reach", "flip")]
    assert env.compute_lost(below, below).tolist() == expected
    assert env.compute_lost(goal, goal) == expected[0]
    env.close()


CONTROLLED = [name for name in OBJECTS if TASK_TYPES[name].controller]
# Of 20; with the iiwa's fingers only straight strikes hit.
SUCCESSES = {("slide", "iiwa"): 2}


@pytest.mark.parametrize(("task", "robot"), with_able_robots("reach", *CONTROLLED))
def test_a_controller_that_only_sees_the_observation_does_the_task(task, robot):
    env, controller = make(task, robot=robot), TASK_TYPES[task].controller
    done = 0
    for seed in range(20):
        observation, _ = env.reset(seed=seed)
        over = False
        while not over:
            observation, _, terminated, truncated, _ = env.step(controller(observation))
            over = terminated or truncated
        done += terminated
    assert done >= SUCCESSES.get((task, robot), 17)
    env.close()


@pytest.mark.parametrize("task", envs.TASKS)
def test_arms_start_alike_and_see_and_do_the_same_entries(task):
    sides = [make(task, robot=robot) for robot in ARMS]
    first, *others = [env.reset(seed=2)[0]["observation"] for env in sides]
    for env, other in zip(sides[1:], others, strict=True):
        assert env.action_space == sides[0].action_space
        assert np.allclose(other, first, atol=0.003)
    for env in sides:
        env.close()


def test_the_iiwas_hand_is_between_its_tips_and_moves_as_it_says():
    env = make("reach", robot="iiwa")
    observation = env.reset(seed=3)[0]["observation"]
    body = env.unwrapped.robot._body
    action = np.array([0.3, -0.6, 0.4], np.float32)
    for _ in range(6):
        boxes = [pybullet.getAABB(body, tip, server(env)) for tip in (10, 13)]
        low, high = np.min(boxes, axis=(0, 1)), np.max(boxes, axis=(0, 1))
        hand = observation[:3]
        assert np.all(np.abs(hand - 0.5 * (low + high))[:2] < 0.01)
        assert 0.005 < hand[2] - low[2] < 0.016
        before, observation = observation, env.step(action)[0]["observation"]
    mean = (observation[:3] - before[:3]) / 0.04
    velocity = observation[3:]
    assert mean @ velocity > 0.95 * np.linalg.norm(mean) * np.linalg.norm(velocity)
    assert 0.3 < np.linalg.norm(velocity) / np.linalg.norm(mean) < 1.1
    env.close()


@pytest.mark.parametrize("task", ["push", "slide", "pick_and_place", "flip"])
def test_a_body_that_flies_too_fast_is_seen_at_the_edge_of_the_space(task):
    env = make(task, object_x=0.15, object_y=0.15)
    env.reset(seed=0)
    pybullet.resetBaseVelocity(objects(env)[0], (1.0, 0.0, 20.0), (3.0, -20.0, 0.0), server(env))
    observation = env.step(np.zeros(env.action_space.shape, np.float32))[0]
    assert env.observation_space.contains(observation)
    x, _, z, turn_x, turn_y, _ = observation["observation"][-6:]
    assert (z, turn_y) == (10.0, -10.0)
    assert 0.9 < x < 1.1
    assert 2.0 < turn_x < 4.0
    env.close()


def test_a_third_of_the_goals_to_carry_to_lie_on_the_table():
    env = make("pick_and_place")
    heights = np.array([env.reset(seed=seed)[0]["desired_goal"][2] for seed in range(400)])
    assert 0.22 < np.mean(heights == np.float32(0.02)) < 0.38
    assert heights.max() > 0.2
    env.close()


def test_a_stack_is_done_when_both_cubes_are_where_they_should_be():
    env = make("stack")
    goal = env.reset(seed=0)[0]["desired_goal"].tolist()
    lower, upper = objects(env)
    env.unwrapped._simulation.place(lower, goal[:3])
    assert not env.step(np.zeros(4, np.float32))[2]
    env.unwrapped._simulation.place(upper, goal[3:])
    observation, _, terminated, _, _ = env.step(np.zeros(4, np.float32))
    assert terminated
    assert np.allclose(observation["achieved_goal"], goal, atol=0.005)
    env.close()


def test_a_gripping_task_needs_a_robot_that_grips():
    with pytest.raises(ValueError, match=r"PickAndPlace needs .* Panda\(gripper=True\)"):
        envs.ManipulationEnv(envs.ROBOTS["panda"](), PickAndPlace())


FACES = [(0.9, 0, 0, 1), (0, 0.9, 0, 1), (0, 0, 0.9, 1), (0.9, 0.9, 0, 1), (0, 0.9, 0.9, 1)]
FACES += [(0.9, 0, 0.9, 1)]


@pytest.mark.parametrize("seed", range(6))
def test_a_marker_shows_the_faces_of_a_box_turned_as_it(seed):
    turn = np.random.default_rng(seed).normal(size=4)
    turn /= np.linalg.norm(turn)
    frames = []
    for solid in (True, False):
        simulation = Simulation(visuals=True)
        if solid:
            box = simulation.add_box((0.1, 0.1, 0.1), (0, 0, 0.3), FACES[0], mass=1.0, faces=FACES)
            simulation.place(box, (0.0, 0.0, 0.3), turn.tolist())
        else:
            marker = simulation.add_box_marker((0.1, 0.1, 0.1), FACES)
            simulation.move_marker(marker, (0.0, 0.0, 0.3), turn.tolist())
        camera = Camera(target=(0.0, 0.0, 0.3), distance=0.8)
        frames.append(simulation.picture(camera, 120, 90).frame())
        simulation.close()
    # Which of red, green and blue a face has is the same however it is lit.
    hues = [frame > 0.5 * frame.max(-1, keepdims=True) for frame in frames]
    box = np.ptp(frames[1].astype(int), axis=-1) > 80
    assert box.mean() > 0.05
    # The two draw edges differently.
    assert np.mean(np.all(hues[0] == hues[1], axis=-1)[box]) > 0.85
