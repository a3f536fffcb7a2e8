"""Faults in one's own robot or task cost one line that names it, as soon as they show."""

import math

import gymnasium as gym
import numpy as np
import pybullet
import pytest

import envs
from envs.robots import Panda
from envs.tasks import Push, Reach


class Own(Reach):
    """A task that does what it says."""

    observation_size = 2

    def observe(self):
        return (0.0, 1.0)


def faulty(base, **members):
    return type("Faulty", (base,), members)


def giving(method, value):
    """A task of which a method returns something else."""
    return faulty(Own, **{method: lambda self, *_: value})


TASKS = {
    "reset gives nothing": (giving("reset", None), "reset .* 3 .* goal_size says, got None"),
    "a goal too short": (giving("reset", (0.1, 0.1)), r"reset .* 3 .*, got \(0.1, 0.1\)"),
    "a goal too deep": (giving("reset", [[0.1, 0.1, 0.1]]), "reset .* 3 finite numbers"),
    "a ragged goal": (giving("reset", [[0.1], 0.1, 0.1]), "reset .* 3 finite numbers"),
    "a goal of words": (giving("reset", "abc"), "reset .* 3 finite numbers.* got 'abc'"),
    "a goal not a number": (giving("reset", (0.1, math.nan, 0.1)), "reset .* finite .*nan"),
    "an infinite goal": (giving("reset", (0.1, math.inf, 0.1)), "reset .* finite .*inf"),
    "another goal_size": (faulty(Own, goal_size=4), "reset must return 4 .* goal_size says"),
    "nothing achieved": (giving("achieved_goal", None), "achieved_goal .* 3 .* got None"),
    "less achieved": (giving("achieved_goal", [0.1]), r"achieved_goal .* 3 .* got \[0.1\]"),
    "achieved no number": (giving("achieved_goal", [math.nan] * 3), "achieved_goal .* 3 finite"),
    "another observation_size": (
        faulty(Own, observation_size=3),
        r"observe must return 3 .* observation_size says, got \(0.0, 1.0\)",
    ),
    "nothing observed": (giving("observe", None), "observe must return 2 .* got None"),
    "words observed": (giving("observe", ("a", "b")), "observe must return 2 .* got"),
    "observed no number": (
        giving("observe", (0.0, math.nan)),
        "observe must return 2 fin.*nan",
    ),
}


@pytest.mark.parametrize("kind", TASKS)
def test_what_a_task_returns_is_held_to_what_it_says(kind):
    task, message = TASKS[kind]
    env = envs.ManipulationEnv(Panda(), task())
    with pytest.raises(ValueError, match=rf"^Faulty\.{message}"):
        env.reset(seed=0)
    with pytest.raises(RuntimeError, match=r"call reset\(\)"):
        env.step(np.zeros(3, np.float32))
    env.close()


def test_what_a_robot_returns_is_held_to_what_it_says():
    robot = faulty(Panda, observe=lambda self: Panda.observe(self)[:5])
    # Together they are as long as they say.
    task = faulty(Own, observe=lambda self: (0.0, 1.0, 2.0))
    env = envs.ManipulationEnv(robot(), task())
    with pytest.raises(ValueError, match=r"^Faulty\.observe must return 6 finite numbers"):
        env.reset(seed=0)
    env.close()


def test_a_fault_that_comes_later_names_its_task_too():
    env = envs.ManipulationEnv(Panda(), Own())
    env.reset(seed=0)
    env.task.observe = lambda: (0.0,)
    with pytest.raises(ValueError, match=r"^Own\.observe must return 2 .* got \(0.0,\)$"):
        env.step(np.zeros(3, np.float32))
    env.task.observe = lambda: (0.0, 1.0)
    env.reset()
    env.task.observe = lambda: (0.0, math.nan)
    with pytest.raises(ValueError, match=r"^Own\.observe must return 2 finite .*nan\)$"):
        env.step(np.zeros(3, np.float32))
    env.task.observe = lambda: (0.0, 1.0)
    env.task.reset = lambda generator: (0.0, math.nan, 0.0)
    with pytest.raises(ValueError, match=r"^Own\.reset must return 3 finite numbers"):
        env.reset()
    env.close()


SIZES = {
    "no goal_size": (Panda, {"goal_size": None}, "Faulty.goal_size is a .* at least 1, got None"),
    "an empty goal": (Panda, {"goal_size": 0}, "Faulty.goal_size is a .* at least 1, got 0"),
    "half an entry": (Panda, {"observation_size": 1.5}, "Faulty.observation_size .* got 1.5"),
    "no threshold": (Panda, {"threshold": None}, "Faulty.threshold is a positive .* got None"),
    "a threshold of 0": (Panda, {"threshold": 0.0}, "Faulty.threshold is a positive .* got 0.0"),
}


@pytest.mark.parametrize("kind", SIZES)
def test_sizes_that_are_none_are_refused_at_once(kind):
    robot, members, message = SIZES[kind]
    with pytest.raises(ValueError, match=rf"^{message}"):
        envs.ManipulationEnv(robot(), faulty(Own, **members)())


def test_a_task_without_a_size_is_told():
    class Bare(envs.Task):
        load = reset = achieved_goal = Reach.achieved_goal

    with pytest.raises(ValueError, match=r"^Bare\.goal_size is a whole number, .* got None"):
        envs.ManipulationEnv(Panda(), Bare())


@pytest.mark.parametrize(
    ("robot", "task", "message"),
    [(Panda, Reach(), "a robot is an envs.Robot"), (Panda(), Reach, "a task is an envs.Task")],
)
def test_a_class_in_place_of_its_object_is_told(robot, task, message):
    with pytest.raises(ValueError, match=message):
        envs.ManipulationEnv(robot, task)


def files(folder):
    (folder / "garbage.urdf").write_text("nonsense", encoding="utf-8")
    (folder / "empty.urdf").touch()
    (folder / "folder.urdf").mkdir()
    shape = '<geometry><mesh filename="gone.obj"/></geometry>'
    (folder / "no_mesh.urdf").write_text(
        f'<robot name="a"><link name="b"><visual>{shape}</visual></link></robot>', encoding="utf-8"
    )
    (folder / "garbage.sdf").write_text("nonsense", encoding="utf-8")
    (folder / "empty.sdf").write_text('<sdf version="1.6"></sdf>', encoding="utf-8")


FILES = {
    "missing.urdf": "there is no file",
    "folder.urdf": "there is no file",
    "garbage.urdf": "PyBullet cannot read",
    "empty.urdf": "PyBullet cannot read",
    "no_mesh.urdf": "PyBullet cannot read .*, or a file that it names",
    "missing.sdf": "there is no file",
    "garbage.sdf": "PyBullet cannot read",
    "empty.sdf": "/.* must hold one body, and holds 0",
}


@pytest.mark.parametrize("observation", ["state", "both"])
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("base", [Push, Panda])
def test_a_file_that_cannot_be_loaded_is_named_with_who_wants_it(
    tmp_path, capfd, base, name, observation
):
    files(tmp_path)

    def load(self, simulation, robot=None):
        file = str(tmp_path / name)
        loads = simulation.load_urdf if name.endswith("urdf") else simulation.load_sdf
        loads(file, (0.0, 0.0, 0.0))

    own = faulty(base, load=load)()
    robot, task = (own, Reach()) if base is Panda else (Panda(), own)
    with pytest.raises(ValueError, match=rf"^Faulty cannot be loaded: ({FILES[name]})") as error:
        envs.ManipulationEnv(robot, task, observation=observation)
    assert str(tmp_path / name) in str(error.value)
    assert capfd.readouterr() == ("", "")


def test_no_more_simulations_than_pybullet_allows(monkeypatch):
    # Room for the 1024 that it allows would take 30 GB.
    def refuse(*_):
        raise pybullet.error("Exceeding maximum number of physics connections.")

    monkeypatch.setattr(pybullet, "connect", refuse)
    with pytest.raises(RuntimeError, match=r"^PyBullet allows .* no more simulations: close"):
        gym.make("bullet/Reach-v0")
