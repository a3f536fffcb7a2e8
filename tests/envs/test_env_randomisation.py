"""Ranges are kept, felt and shown; noise and latency do what they say; bad ones are refused."""

import pickle

import gymnasium as gym
import numpy as np
import pybullet
import pytest
from gymnasium.envs.registration import EnvSpec
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import envs
from envs.randomisation import DISTURBANCES, Disturbance
from envs.registry import TASK_TYPES, able_robots
from tests.envs.env_cases import RANDOMISED, draw_actions

pytestmark = pytest.mark.slow

OBJECTS = [
    task
    for task, kind in TASK_TYPES.items()
    if {"object_mass", "object_friction", "object_size"} <= kind.quantities.keys()
]
PLACES = [
    (task, name)
    for task in envs.TASKS
    for name in TASK_TYPES[task].quantities
    if name[-2:] in ("_x", "_y", "_z")
]


def make(task, **kwargs):
    return gym.make(envs.TASKS[task], **kwargs)


def dynamics(env):
    """Mass, friction and size of each object, as the physics has them."""
    simulation = env.unwrapped._simulation
    client, found = simulation._client, []
    for body in simulation._movable:
        mass, friction, *_ = pybullet.getDynamicsInfo(body, -1, client)
        _, _, kind, extents, *_ = pybullet.getCollisionShapeData(body, -1, client)[0]
        # Of a cylinder PyBullet tells height and radius, of a box its sides.
        size = 2.0 * extents[1] if kind == pybullet.GEOM_CYLINDER else extents[0]
        found.append((mass, friction, size))
    return np.array(found)


def rest(env, steps=12):
    """The object's position after a while in which the hand goes up."""
    up = np.zeros(env.action_space.shape, np.float32)
    up[2] = 0.5
    return [env.step(up)[0]["achieved_goal"] for _ in range(steps)][-1]


@pytest.mark.parametrize("task", OBJECTS)
def test_objects_are_drawn_from_their_ranges_in_every_episode(task):
    env = make(task, object_mass=(0.5, 1.5), object_friction=(0.2, 0.6), object_size=(0.03, 0.05))
    drawn = []
    for seed in range(120):
        env.reset(seed=seed)
        drawn += dynamics(env).tolist()
    drawn = np.array(drawn)
    low, high = np.array([0.5, 0.2, 0.03]), np.array([1.5, 0.6, 0.05])
    assert np.all((drawn >= low - 1e-9) & (drawn <= high + 1e-9))
    # Uniform: the mean is in the middle, the deviation 0.29 of the width, and none follows another.
    assert np.allclose(drawn.mean(0), (low + high) / 2.0, atol=0.1 * (high - low))
    assert np.allclose(drawn.std(0) / (high - low), 0.29, atol=0.04)
    assert np.all(np.abs(np.corrcoef(drawn.T) - np.eye(3)) < 0.3)
    env.close()


@pytest.mark.parametrize("task", OBJECTS)
def test_a_number_fixes_and_leaves_everything_else_as_it_was(task):
    env, plain = make(task, object_mass=0.7, object_friction=0.3, object_size=0.05), make(task)
    for seed in range(20):
        goal, expected = (side.reset(seed=seed)[0] for side in (env, plain))
        assert np.allclose(dynamics(env), (0.7, 0.3, 0.05))
        if task == "stack":
            continue  # Larger cubes start farther apart.
        for key, places in (("desired_goal", 2), ("achieved_goal", 2)):
            assert np.array_equal(goal[key][:places], expected[key][:places])
        assert env.np_random.bit_generator.state == plain.np_random.bit_generator.state
    env.close()
    plain.close()


def test_what_is_drawn_beside_them_leaves_goals_and_places_as_they_were():
    name, ranges = RANDOMISED["any cube"]
    env, plain = gym.make(name, **ranges), make("push")
    for seed in range(40):
        seen, expected = (side.reset(seed=seed)[0] for side in (env, plain))
        for key in ("desired_goal", "achieved_goal"):
            assert np.array_equal(seen[key][:2], expected[key][:2])
    env.close()
    plain.close()


@pytest.mark.parametrize(("task", "name"), PLACES, ids="-".join)
def test_goals_and_objects_are_drawn_from_their_ranges(task, name):
    low, high = TASK_TYPES[task].quantities[name].default
    part = (low + 0.6 * (high - low), low + 0.9 * (high - low))
    env = make(task, **{name: part})
    entries = "achieved_goal" if name.startswith("object") and task != "flip" else "desired_goal"
    if task == "flip":
        at = {"object_x": 7, "object_y": 8}[name]
        seen = [env.reset(seed=seed)[0]["observation"][at] for seed in range(60)]
    else:
        axis = "xyz".index(name[-1])
        seen = [env.reset(seed=seed)[0][entries][axis] for seed in range(60)]
        if (task, name) == ("pick_and_place", "goal_z"):
            seen = np.subtract(seen, 0.02)
    tolerance = 1e-6
    assert part[0] - tolerance <= min(seen) < max(seen) <= part[1] + tolerance
    assert np.ptp(seen) > 0.8 * (part[1] - part[0])
    env.close()


def test_a_goal_can_be_one_point():
    env = make("reach", goal_x=0.1, goal_y=-0.05, goal_z=0.2)
    goals = [env.reset(seed=seed)[0]["desired_goal"] for seed in range(3)]
    assert np.array_equal(goals, np.float32([[0.1, -0.05, 0.2]] * 3))
    env.close()


@pytest.mark.parametrize("task", ["push", "slide", "pick_and_place"])
@pytest.mark.parametrize("end", [0, 1])
def test_the_smallest_and_the_largest_object_rest_on_the_table(task, end):
    size = TASK_TYPES[task].quantities["object_size"].valid[end]
    env = make(task, object_size=(size - 0.001 * end, size + 0.001 * (1 - end)), object_x=-0.15)
    for seed in range(3):
        start = env.reset(seed=seed)[0]["achieved_goal"]
        (_, _, size), *_ = dynamics(env)
        assert start[2] == pytest.approx(size / 2, abs=1e-6)
        height = size / 4 if task == "slide" else size / 2
        assert np.allclose(rest(env), (*start[:2], height), atol=0.002)
    env.close()


@pytest.mark.parametrize("size", [0.03, 0.04, 0.06])
@pytest.mark.parametrize("robot", able_robots("pick_and_place"))
@pytest.mark.parametrize("task", ["pick_and_place", "flip"])
def test_a_grasped_cube_is_in_the_hand_and_can_be_carried(task, robot, size):
    env = make(task, robot=robot, grasped=1, object_size=size)
    places, held = [], 0
    for seed in range(40):
        start, info = env.reset(seed=seed)
        assert not info["is_success"]
        hand, opening, cube = (start["observation"][part] for part in (np.s_[:3], 6, np.s_[7:10]))
        assert np.allclose(hand, cube, atol=1e-6)
        assert opening == pytest.approx(size, abs=1e-3)
        places.append(cube)
        for _ in range(8):
            seen, _, terminated, *_ = env.step(np.float32([0.0, 0.0, 0.5, -1.0]))
            if terminated:
                break
        seen = seen["observation"]
        held += np.linalg.norm(seen[:3] - seen[7:10]) < 0.02
    assert held >= 36
    low, high = np.array([-0.15, -0.15, size / 2]), np.array([0.15, 0.15, size / 2 + 0.2])
    assert np.all((places >= low - 0.002) & (places <= high + 0.002))
    assert np.all(np.ptp(places, axis=0) > 0.7 * (high - low))
    env.close()


@pytest.mark.parametrize("task", ["pick_and_place", "flip"])
def test_as_many_episodes_begin_with_a_grasp_as_asked_for(task):
    env, plain = make(task, grasped=0.3), make(task)
    grasped = 0
    for seed in range(200):
        seen, expected = (side.reset(seed=seed)[0] for side in (env, plain))
        assert np.array_equal(seen["desired_goal"], expected["desired_goal"])
        # Either all is as it would be otherwise, or the cube is off the table's places.
        grasped += not np.array_equal(seen["observation"], expected["observation"])
    assert 0.2 < grasped / 200 < 0.4
    env.close()
    plain.close()


def test_a_grasp_finds_a_place_wherever_the_goals_may_be():
    ranges = {"goal_x": 0, "goal_y": 0, "object_x": 0, "object_y": 0, "goal_z": 0.1}
    env = make("pick_and_place", grasped=1, **ranges)
    for seed in range(30):
        assert not env.reset(seed=seed)[1]["is_success"]
    env.close()


@pytest.mark.parametrize("placed", [0, 1])
@pytest.mark.parametrize("robot", able_robots("stack"))
def test_stacks_next_cube_can_begin_in_the_hand_and_leaves_the_other_where_it_is(robot, placed):
    env, held, places = make("stack", robot=robot, placed=placed, grasped=1), 0, []
    for seed in range(40):
        start, info = env.reset(seed=seed)
        assert not info["is_success"]
        before = start["achieved_goal"].reshape(2, 3)
        assert np.allclose(before[placed], start["observation"][:3], atol=1e-6)
        places.append(before[placed])
        for _ in range(8):
            seen, _, terminated, *_ = env.step(np.float32([0.0, 0.0, 0.5, -1.0]))
            if terminated:
                break
        after = seen["achieved_goal"].reshape(2, 3)
        held += np.linalg.norm(seen["observation"][:3] - after[placed]) < 0.02
        assert np.allclose(after[1 - placed][:2], before[1 - placed][:2], atol=0.003)
    assert held >= 36
    assert np.all(np.ptp(places, axis=0) > (0.2, 0.2, 0.14))
    env.close()


@pytest.mark.parametrize("grasped", [0.0, 1.0])
def test_stacks_lower_cube_begins_at_its_goal_as_often_as_asked_for(grasped):
    env, placed = make("stack", placed=0.3, grasped=grasped), 0
    for seed in range(200):
        start, info = env.reset(seed=seed)
        assert not info["is_success"]
        cubes, goals = (start[key].reshape(2, 3) for key in ("achieved_goal", "desired_goal"))
        lower, upper = np.linalg.norm(cubes - goals, axis=1)
        if lower < 1e-6:
            placed += 1
            assert upper >= 0.099
    assert 0.2 < placed / 200 < 0.4
    env.close()


def test_objects_that_are_made_anew_leave_nothing_behind():
    env = make("stack", object_size=(0.03, 0.031))
    simulation = env.unwrapped._simulation
    bodies = pybullet.getNumBodies(simulation._client)
    for seed in range(60):
        env.reset(seed=seed)
    assert pybullet.getNumBodies(simulation._client) == bodies
    # PyBullet keeps shapes for ever: two of the scene, and one for every tenth of a millimetre.
    assert len(simulation._shapes) <= 2 + 11
    env.close()


def test_stacks_goals_fit_cubes_of_different_sizes():
    env = make("stack", object_size=(0.03, 0.06))
    for seed in range(30):
        observation, _ = env.reset(seed=seed)
        (lower, upper), goal = dynamics(env)[:, 2], observation["desired_goal"]
        assert goal[[2, 5]] == pytest.approx([lower / 2, lower + upper / 2], abs=1e-6)
        start = observation["achieved_goal"].reshape(2, 3)
        assert np.abs(start[0, :2] - start[1, :2]).max() >= 0.5 * (lower + upper)
    env.close()


def displacement(task, **kwargs):
    """How far an object gets that a force of 7.5 N pushes for a control period."""
    env = make(task, object_x=-0.15, object_y=-0.2, **kwargs)
    env.reset(seed=0)
    start, simulation = rest(env), env.unwrapped._simulation
    pybullet.applyExternalForce(
        simulation._movable[0],
        -1,
        (0.0, 7.5, 0.0),
        start[:3].tolist(),
        2,
        simulation._client,
    )
    end = rest(env, 20)
    env.close()
    return end[1] - start[1]


def test_a_heavier_object_is_pushed_less_far_and_a_smoother_one_farther():
    light, middle, heavy = (displacement("slide", object_mass=mass) for mass in (0.5, 1.0, 2.0))
    assert light > 1.8 * middle > 3.2 * heavy > 0.001
    smooth, rough = (displacement("slide", object_friction=friction) for friction in (0.02, 0.6))
    assert smooth > 2.0 * rough
    by_range = displacement("slide", object_mass=(1.99, 2.0))
    assert by_range == pytest.approx(heavy, rel=0.02)


@pytest.mark.parametrize("shown", ["object", "marker"])
def test_frames_show_the_size(shown):
    env = make(
        "push",
        object_size=(0.02, 0.1),
        object_x=-0.15,
        object_y=-0.2,
        goal_x=0.1,
        goal_y=0.2,
        render_mode="rgb_array",
        render_width=180,
        render_height=120,
    )
    sizes, pixels = [], []
    for seed in range(6):
        env.reset(seed=seed)
        red, green, blue = np.moveaxis(env.render().astype(int), -1, 0)
        hue = (blue > red + 60) if shown == "object" else (green > red + 40) & (green > blue + 40)
        sizes.append(dynamics(env)[0, 2])
        pixels.append(hue.sum())
    assert np.corrcoef(np.square(sizes), pixels)[0, 1] > 0.97
    env.close()


@pytest.mark.parametrize("latency", [1, 4])
@pytest.mark.parametrize("control", ["ee", "joints"])
def test_actions_act_as_many_periods_later(latency, control):
    late = make("push", control=control, action_latency=latency)
    plain = make("push", control=control)
    late.reset(seed=4)
    plain.reset(seed=4)
    actions = draw_actions(plain, 0, 16)
    idle = np.zeros((latency, *plain.action_space.shape), np.float32)
    for given_now, acting in zip(actions, np.concatenate([idle, actions]), strict=False):
        seen, expected = late.step(given_now)[0], plain.step(acting)[0]
        assert all(np.array_equal(seen[key], expected[key]) for key in expected)
    late.close()
    plain.close()


def test_a_latency_is_drawn_from_all_whole_numbers_of_its_range():
    env = make("reach", action_latency=(1, 3))
    moved = []
    for seed in range(24):
        seen = [env.reset(seed=seed)[0]["observation"][2]]
        seen += [env.step(np.float32([0.0, 0.0, 1.0]))[0]["observation"][2] for _ in range(5)]
        moved.append(int(np.argmax(np.diff(seen) > 0.01)))
    assert set(moved) == {1, 2, 3}
    env.close()


def test_no_noise_and_no_latency_are_as_if_nothing_had_been_said():
    none = make("push", action_noise=0, action_latency=(0, 0), observation_noise=0.0)
    plain = make("push")
    for env in (none, plain):
        env.reset(seed=1)
        for action in draw_actions(plain, 2, 8):
            env.step(action)
    assert none.unwrapped.snapshot() == plain.unwrapped.snapshot()
    none.close()
    plain.close()


def test_noise_is_seen_but_goals_and_success_stay_true():
    noisy, plain = (
        make("push", observation_noise=0.03, reward="dense"),
        make("push", reward="dense"),
    )
    errors = []
    for seed in range(10):
        seen, expected = (env.reset(seed=seed)[0] for env in (noisy, plain))
        errors.append(seen["observation"] - expected["observation"])
        for action in draw_actions(plain, seed, 12):
            (seen, *judged), (expected, *true) = noisy.step(action), plain.step(action)
            assert judged == true
            assert all(np.array_equal(seen[key], expected[key]) for key in seen if "goal" in key)
            errors.append(seen["observation"] - expected["observation"])
    errors = np.array(errors)
    assert np.std(errors) == pytest.approx(0.03, rel=0.1)
    assert np.all(np.abs(errors.mean(0)) < 0.012)
    # Neither from entry to entry nor from step to step is it the same.
    assert np.abs(np.corrcoef(errors.T) - np.eye(errors.shape[1])).max() < 0.45
    assert abs(np.corrcoef(errors[:-1].ravel(), errors[1:].ravel())[0, 1]) < 0.1
    noisy.close()
    plain.close()


def test_noisy_observations_stay_in_their_space():
    ranges = {name: quantity.default for name, quantity in DISTURBANCES.items()}
    disturbance = Disturbance({**ranges, "observation_noise": (1.0, 1.0)}, 3, 100)
    disturbance.begin(np.random.default_rng(0))
    noisy = disturbance.add_noise(np.full(100, 10.0, np.float32), 10.0)
    assert noisy.max() == 10.0
    assert noisy.min() < 9.0


def test_noise_on_actions_has_its_deviation_and_keeps_them_in_range():
    ranges = {name: quantity.default for name, quantity in DISTURBANCES.items()}
    generator = np.random.default_rng(0)
    disturbance = Disturbance({**ranges, "action_noise": (0.2, 0.2)}, 4, 6)
    disturbance.begin(generator)
    acted = np.array([disturbance.act([0.1, -0.3, 0.0, 1.0], generator) for _ in range(4000)])
    assert np.allclose(acted[:, :3].mean(0), [0.1, -0.3, 0.0], atol=0.015)
    assert np.allclose(acted[:, :3].std(0), 0.2, atol=0.01)
    assert np.abs(acted).max() == 1.0


def test_noise_on_actions_moves_the_arm():
    env = make("reach", action_noise=0.5)
    ends = []
    for seed in range(2):
        env.reset(seed=seed)
        ends.append(rest(env, 6))
    assert np.linalg.norm(ends[0] - ends[1]) > 0.005
    env.close()


def test_a_restored_generator_is_where_the_other_is():
    name, ranges = RANDOMISED["any cube"]
    env, other = (gym.make(name, **ranges) for _ in range(2))
    env.reset(seed=3)
    for action in draw_actions(env, 0, 7):
        env.step(action)
    other.reset(seed=9)
    other.unwrapped.restore(env.unwrapped.snapshot())
    states = [side.unwrapped.np_random.bit_generator.state for side in (env, other)]
    assert states[0] == states[1]
    env.close()
    other.close()


def test_a_specification_carries_the_ranges():
    env = make("push", object_mass=(0.5, 2.0), action_latency=1, goal_x=0.1)
    expected, _ = env.reset(seed=0)
    for spec in (EnvSpec.from_json(env.spec.to_json()), pickle.loads(pickle.dumps(env.spec))):
        again = gym.make(spec)
        seen, _ = again.reset(seed=0)
        assert all(np.array_equal(seen[key], expected[key]) for key in seen)
        assert np.array_equal(dynamics(again), dynamics(env))
        assert again.unwrapped.snapshot() == env.unwrapped.snapshot()
        again.close()
    env.close()


@pytest.mark.parametrize(
    ("task", "ranges", "message"),
    [
        ("push", {"object_mass": 0.0}, r"object_mass must .* from 0.05 to 10 kg, got 0.0"),
        ("push", {"object_mass": (2.0, 1.0)}, r"object_mass must .* got \(2.0, 1.0\)"),
        ("push", {"object_mass": (0.5, 1.0, 2.0)}, "pair"),
        ("push", {"object_mass": [0.5, np.nan]}, "nan"),
        ("push", {"object_mass": "1"}, "got '1'"),
        ("push", {"object_mass": True}, "got True"),
        ("push", {"object_mass": None}, "got None"),
        ("push", {"object_friction": np.inf}, "object_friction must .* from 0.01 to 2, got inf"),
        ("pick_and_place", {"object_size": 0.09}, "object_size must .* from 0.03 to 0.06 m"),
        ("push", {"object_x": np.float32(0.15)}, "from -0.2 to 0.15 m"),
        ("push", {"object_x": (0.0, 0.4)}, r"object_x must .* from -0.2 to 0.15 m"),
        ("slide", {"goal_x": 0.7}, "goal_x must .* to 0.55 m"),
        ("reach", {"goal_z": -0.1}, "goal_z must .* from 0 to 0.3 m"),
        ("reach", {"action_noise": -0.1}, "action_noise must .* from 0 to 1, got -0.1"),
        ("reach", {"action_latency": 1.5}, "whole number.* from 0 to 25 control periods"),
        ("reach", {"observation_noise": (0.0, 9.0)}, "observation_noise must .* from 0 to 1"),
        ("push", {"object_x": 0.1, "goal_x": 0.1, "goal_y": 0, "object_y": (-0.04, 0.04)}, "no pl"),
        ("stack", {"object_x": (0.0, 0.03), "object_y": 0.1}, "Stack needs room: .* 0.04 m apart"),
        ("stack", {"object_x": 0, "object_y": (0, 0.05), "object_size": (0.03, 0.06)}, "0.06 m ap"),
        (
            "stack",
            {"goal_x": 0, "goal_y": 0, "object_x": (-0.068, 0.068), "object_y": (-0.068, 0.068)}
            | {"placed": (0.0, 0.1)},
            "Stack needs room: .* the lower one at its goal",
        ),
        ("stack", {"placed": 1.5}, "placed must .* from 0 to 1, got 1.5"),
    ],
)
def test_ranges_that_cannot_be_are_refused_when_an_environment_is_made(task, ranges, message):
    with pytest.raises(ValueError, match=message) as caught:
        make(task, **ranges)
    assert "\n" not in str(caught.value)


CORNERS = st.floats(-0.2, 0.15).map(lambda at: round(at, 3))


@settings(max_examples=12, deadline=None, derandomize=True)
@given(ends=st.lists(st.tuples(CORNERS, CORNERS).map(sorted), min_size=4, max_size=4))
@pytest.mark.parametrize(
    ("task", "kwargs"), [("push", {}), ("stack", {}), ("stack", {"placed": 1, "grasped": 0.5})]
)
def test_ranges_that_are_accepted_leave_room_in_every_episode(task, kwargs, ends):
    names = ("goal_x", "goal_y", "object_x", "object_y")
    try:
        env = make(task, **dict(zip(names, ends, strict=True)), **kwargs)
    except ValueError as error:
        assume("needs room" not in str(error))
        raise
    for seed in range(5):
        observation, info = env.reset(seed=seed)
        assert not info["is_success"]
        for name, (low, high) in zip(names, ends, strict=True):
            kind = "desired_goal" if name.startswith("goal") else "achieved_goal"
            if kind == "achieved_goal" and "placed" in kwargs:
                continue
            assert low - 1e-6 <= observation[kind]["xy".index(name[-1])] <= high + 1e-6
    env.close()


def test_a_cube_may_start_below_its_goal_if_that_is_high_enough():
    below = {"object_x": 0.0, "object_y": 0.0, "goal_x": 0.0, "goal_y": 0.0}
    env = make("pick_and_place", **below, goal_z=(0.0, 0.2))
    heights = [env.reset(seed=seed)[0]["desired_goal"][2] for seed in range(30)]
    assert min(heights) >= 0.07 - 1e-6
    env.close()
    with pytest.raises(ValueError, match="PickAndPlace needs room"):
        make("pick_and_place", **below, goal_z=(0.0, 0.04))
