"""What the pages on environments, tasks and robots show works, and what they say is so."""

import gymnasium as gym
import numpy as np
import pybullet
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_sb3

import envs
from envs import controllers
from envs.randomisation import DISTURBANCES
from envs.robots import Panda
from envs.tasks import Reach
from tests.docs.pages import ROOT, blocks, read, run_snippets

pytestmark = pytest.mark.slow

ENVIRONMENT_PAGES = (
    "docs/environments.md",
    "docs/how-to/own-task.md",
    "docs/how-to/own-robot.md",
    "docs/images.md",
)
TEXT = read("docs/environments.md")


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """What the snippets define, run in their order in a folder of their own."""
    folder = tmp_path_factory.mktemp("examples")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return {"folder": folder, **run_snippets(*ENVIRONMENT_PAGES)}


def test_the_frame_is_one(names):
    assert names["frame"].shape == (480, 720, 3)


def test_the_restored_environment_goes_on_as_the_other(names):
    expected = gym.make("bullet/Reach-v0")
    expected.reset()
    snapshot = expected.unwrapped.restore(names["json"].loads(names["text"]))
    assert np.array_equal(names["observation"]["observation"], snapshot["observation"])
    names["other"].unwrapped.restore(names["json"].loads(names["text"]))
    action = np.array([0.5, 0.0, 0.5], np.float32)
    steps = [env.step(action)[0]["observation"] for env in (expected, names["other"])]
    assert np.array_equal(*steps)
    expected.close()


def test_the_twin_goes_on_as_the_other(names):
    assert np.array_equal(names["after"]["observation"], names["twins_after"]["observation"])


def test_the_flat_observations_are_one_array_in_the_order_of_the_text(names):
    assert names["flat"].shape == (4, 24)
    assert np.all(names["returns"] < 0.0)
    assert len(names["returns"]) == len(names["last"]) == names["ended"].sum() > 0
    assert np.stack(names["last"]).shape[1:] == (24,)
    env = gym.make("bullet/Push-v0")
    seen = env.reset(seed=0)[0]
    parts = [seen[key] for key in ("achieved_goal", "desired_goal", "observation")]
    assert np.array_equal(gym.wrappers.FlattenObservation(env).reset(seed=0)[0], np.hstack(parts))
    env.close()


def test_the_video_is_where_the_text_says(names):
    assert (names["folder"] / "videos" / "rl-video-episode-0.mp4").stat().st_size > 0


@pytest.mark.parametrize("control", ["ee", "joints"])
@pytest.mark.parametrize("robot", [Panda, "BareIiwa"])
@pytest.mark.parametrize("task", [Reach, "Nudge"])
def test_new_robots_and_tasks_are_environments(names, robot, task, control):
    robot, task = names.get(robot, robot), names.get(task, task)
    env = envs.ManipulationEnv(robot(control), task())
    check_env(env, skip_render_check=True)
    check_sb3(env)
    env.close()


def test_the_new_robot_reaches_goals(names):
    env = envs.ManipulationEnv(names["BareIiwa"]("ee"), Reach())
    for seed in range(10):
        observation, _ = env.reset(seed=seed)
        for _ in range(50):
            offset = observation["desired_goal"] - observation["achieved_goal"]
            observation, _, terminated, _, _ = env.step(np.clip(10.0 * offset, -1.0, 1.0))
            if terminated:
                break
        assert terminated
    env.close()


def test_the_new_task_can_be_done(names):
    env = envs.ManipulationEnv(Panda("ee"), names["Nudge"]())
    done = 0
    for seed in range(10):
        observation, info = env.reset(seed=seed)
        for _ in range(80):
            observation, _, terminated, _, info = env.step(controllers.push(observation))
            if terminated:
                break
        done += info["is_success"]
    assert done >= 7
    env.close()


def test_the_heavier_new_task_draws_masses(names):
    env = envs.ManipulationEnv(Panda("ee"), names["heavy"])
    masses = []
    for seed in range(20):
        env.reset(seed=seed)
        simulation = env._simulation
        masses += [pybullet.getDynamicsInfo(simulation._movable[0], -1, simulation._client)[0]]
    assert 0.5 <= min(masses) < 0.9 < 1.6 < max(masses) <= 2.0
    with pytest.raises(TypeError, match=r"HeavyNudge takes object_mass, got .*'object_size'"):
        names["HeavyNudge"](object_size=0.1)
    env.close()


@pytest.mark.parametrize(("module", "kind"), [("nudge", "Nudge"), ("bare_iiwa", "BareIiwa")])
def test_the_example_package_holds_what_the_text_shows(module, kind):
    pages = ("docs/how-to/own-task.md", "docs/how-to/own-robot.md")
    every = [block.text for page in pages for block in blocks(page, "python")]
    (shown,) = (text for text in every if f"class {kind}(" in text)
    code = (ROOT / "docs" / "examples" / "nudge" / f"{module}.py").read_text(encoding="utf-8")
    assert code.partition('"""\n\n')[2] == shown


def test_the_table_lists_every_keyword():
    quantities = [name for task in envs.TASK_TYPES.values() for name in task.quantities]
    for name in {*quantities, *DISTURBANCES}:
        assert f"| `{name}`" in TEXT


def test_the_table_lists_every_task_and_robot():
    for short, name in envs.TASKS.items():
        assert f"| `{short}`" in TEXT
        assert f"`{name}`" in TEXT
    for robot in envs.ROBOTS:
        assert f'"{robot}"' in TEXT


def test_a_robot_without_a_gripper_is_told_what_it_can_do(names, monkeypatch):
    monkeypatch.setitem(envs.ROBOTS, "bare", names["BareIiwa"])
    gym.make("bullet/Push-v0", robot="bare").close()
    with pytest.raises(
        ValueError,
        match=r"robot 'bare' cannot do task 'flip'.* by 'panda', 'iiwa', and 'bare' can do "
        r"'reach', 'push', 'slide'$",
    ):
        gym.make("bullet/Flip-v0", robot="bare")
    with pytest.raises(ValueError, match="BareIiwa has no gripper"):
        names["BareIiwa"](gripper=True)
