"""Checkers, specs, wrappers, vectors: what others do with environments works with these."""

import copy
import pickle
import re
import warnings

import gymnasium as gym
import imageio_ffmpeg
import numpy as np
import pytest
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env as check_gymnasium
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import FlattenObservation, RecordEpisodeStatistics, RecordVideo
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.env_checker import check_env as check_sb3
from torch import nn

import envs
from envs.robots.robot import CONTROLS
from tests.envs.env_cases import EVERY_COMBINATION, draw_actions, in_new_process, make

pytestmark = pytest.mark.slow

AWAY = np.array([-1.0, 0.0, 0.0], np.float32)


@pytest.mark.parametrize("case", EVERY_COMBINATION, ids="-".join)
def test_the_checkers_find_no_fault(case):
    env = make(case)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Its render check opens every mode, also the window.
        check_gymnasium(env.unwrapped, skip_render_check=True)
        check_sb3(env.unwrapped)
    env.close()


def trace(env, steps=6):
    """Bytes of a seeded episode's beginning; the environment is closed."""
    entries = [env.reset(seed=3)[0]]
    for action in draw_actions(env, 0, steps):
        observation, reward, terminated, _, _ = env.step(action)
        entries.append(observation | {"reward": np.float64(reward)})
        if terminated:
            break
    env.close()
    return [entry[key].tobytes() for entry in entries for key in sorted(entry)]


COPIES = {
    "pickle": lambda spec: pickle.loads(pickle.dumps(spec)),
    "json": lambda spec: EnvSpec.from_json(spec.to_json()),
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("name", envs.TASKS.values())
def test_a_copied_spec_makes_the_same_environment(name, how):
    arguments = {"robot": "iiwa", "control": "joints", "reward": "dense"}
    env = gym.make(name, max_episode_steps=5, **arguments)
    spec = COPIES[how](env.spec)
    assert spec == env.spec
    assert spec.kwargs.items() >= arguments.items()
    other = gym.make(spec)
    assert other.spec.max_episode_steps == 5
    assert trace(other) == trace(env)
    assert COPIES[how](gym.spec(name)) == gym.spec(name)


def test_a_spec_of_wrappers_makes_them_again():
    env = FlattenObservation(gym.make("bullet/Push-v0"))
    other = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert isinstance(other, FlattenObservation)
    assert np.array_equal(other.reset(seed=1)[0], env.reset(seed=1)[0])
    env.close()
    other.close()


def test_the_registry_lists_every_task():
    listed = gym.pprint_registry(disable_print=True)
    assert re.search(r"=+ bullet =+\n(.*)", listed)
    assert all(name in listed for name in envs.TASKS.values())


def test_an_id_may_name_the_module_to_import():
    code = (
        "import gymnasium\n"
        "env = gymnasium.make('envs:bullet/Push-v0')\n"
        "answer = [env.spec.id, env.reset(seed=3)[0]['observation'].tolist()]\n"
    )
    name, observation = in_new_process(code, None)
    env = gym.make("bullet/Push-v0")
    assert name == "bullet/Push-v0"
    assert env.reset(seed=3)[0]["observation"].tolist() == observation
    env.close()


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("bullet/Push-v7", gym.error.VersionNotFound, "`v7`.*bullet/Push.*`v0`"),
        ("bullet/Pusch-v0", gym.error.NameNotFound, "Pusch.*Did you mean.*Push"),
        ("bulet/Push-v0", gym.error.NamespaceNotFound, "bulet.*Did you mean.*bullet"),
    ],
)
def test_an_unknown_id_names_what_there_is(name, error, message):
    with pytest.raises(error, match=message):
        gym.make(name)


def test_a_time_limit_of_ones_own_replaces_the_tasks():
    env = gym.make("bullet/Reach-v0", max_episode_steps=3)
    env.reset(seed=0)
    assert [env.step(AWAY)[2:4] for _ in range(3)] == [(False, False)] * 2 + [(False, True)]
    env.close()


def test_an_episodes_statistics_are_its_return_and_length():
    env = RecordEpisodeStatistics(gym.make("bullet/Reach-v0", reward="dense"))
    for _ in range(2):
        env.reset(seed=0)
        rewards = []
        truncated = False
        while not truncated:
            _, reward, _, truncated, info = env.step(AWAY)
            rewards.append(reward)
        assert info["episode"]["l"] == 50
        assert info["episode"]["r"] == pytest.approx(sum(rewards), abs=1e-3)
    assert list(env.length_queue) == [50, 50]
    env.close()


def test_a_recorded_video_has_a_frame_for_every_step(tmp_path):
    near = envs.Camera((-0.25, 0.0, 0.3), distance=1.0)
    env = gym.make(
        "bullet/Push-v0", render_mode="rgb_array", render_width=96, render_height=64, camera=near
    )
    folder = tmp_path / "videos"
    env = RecordVideo(env, str(folder), episode_trigger=lambda episode: episode == 1)
    for seed in range(2):
        env.reset(seed=seed)
        frames = [env.render()]
        for _ in range(4):
            env.step(np.array([0.0, 1.0, 1.0], np.float32))
            frames.append(env.render())
    env.close()
    (path,) = folder.glob("*.mp4")
    reader = imageio_ffmpeg.read_frames(str(path))
    meta = next(reader)
    read = [np.frombuffer(frame, np.uint8).reshape(64, 96, 3) for frame in reader]
    assert meta["fps"] == 25
    # Which browsers play; MoviePy writes another for an odd size.
    assert meta["pix_fmt"].startswith("yuv420p")
    assert len(read) == 5
    # The video is compressed, but nearer to its own frame than to the first.
    last = [np.abs(read[-1].astype(int) - frame).mean() for frame in (frames[-1], frames[0])]
    assert last[0] < 0.5 * last[1]


@pytest.mark.parametrize("mode", ["rgb_array", "depth_array", "rgbd_tuple", "segmentation_array"])
def test_a_list_mode_gives_all_frames_since_the_last_call(mode):
    size = {"render_width": 24, "render_height": 16}
    env = gym.make("bullet/Reach-v0", render_mode=f"{mode}_list", **size)
    single = gym.make("bullet/Reach-v0", render_mode=mode, **size)
    assert env.render_mode == f"{mode}_list"
    expected = []
    for each, frames in ((single, expected), (env, [])):
        each.reset(seed=0)
        frames.append(each.render() if each is single else None)
        for _ in range(3):
            each.step(AWAY)
            frames.append(each.render() if each is single else None)
    frames = env.render()
    assert len(frames) == 4
    for frame, other in zip(frames, expected, strict=True):
        assert all(map(np.array_equal, frame, other))
    assert env.render() == []
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert again.render_mode == env.render_mode
    again.reset(seed=0)
    assert all(map(np.array_equal, again.render()[0], frames[0]))
    for each in (env, single, again):
        each.close()


@pytest.mark.parametrize("mode", list(AutoresetMode)[:2], ids=lambda mode: mode.name)
def test_processes_reset_where_an_episode_ends_as_one_process_does(mode):
    histories = []
    for kind in ("sync", "async"):
        vector = gym.make_vec(
            "bullet/Push-v0",
            2,
            vectorization_mode=kind,
            vector_kwargs={"autoreset_mode": mode},
            max_episode_steps=3,
        )
        vector.action_space.seed(0)
        vector.reset(seed=5)
        history, ends = [], 0
        for _ in range(8):
            observation, rewards, terminated, truncated, info = vector.step(
                vector.action_space.sample()
            )
            history += [observation[key].tobytes() for key in sorted(observation)]
            history += [array.tobytes() for array in (rewards, terminated, truncated)]
            history += [str(info.get("final_obs")), str(info["is_success"])]
            ends += truncated.sum()
        assert ends == 4
        histories.append(history)
        vector.close()
    assert histories[0] == histories[1]


def test_a_plain_ddpg_loop_trains_on_flat_observations():
    """As in single-file implementations: vectors, flat observations, episodes from `final_info`."""
    torch.manual_seed(0)
    np.random.seed(0)
    vector = gym.vector.SyncVectorEnv(
        [
            lambda: RecordEpisodeStatistics(
                FlattenObservation(gym.make("bullet/Push-v0", reward="dense"))
            )
        ]
        * 2,
        autoreset_mode=AutoresetMode.SAME_STEP,
    )
    space, actions = vector.single_observation_space, vector.single_action_space
    assert isinstance(space, gym.spaces.Box)
    assert (space.shape, space.dtype) == ((24,), np.float32)
    actor = nn.Sequential(nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 3), nn.Tanh())
    critic = nn.Sequential(nn.Linear(27, 16), nn.ReLU(), nn.Linear(16, 1))
    actor_optimizer = torch.optim.Adam(actor.parameters(), 1e-3)
    critic_optimizer = torch.optim.Adam(critic.parameters(), 1e-3)
    buffer = ReplayBuffer(1000, space, actions, "cpu", 2, handle_timeout_termination=False)
    vector.action_space.seed(0)
    observations, _ = vector.reset(seed=0)
    returns, lengths, losses, sums, running = [], [], [], [], np.zeros(2)
    for step in range(150):
        taken = vector.action_space.sample()
        if step >= 25:
            with torch.no_grad():
                taken = (actor(torch.as_tensor(observations)) + 0.1 * torch.randn(2, 3)).numpy()
                taken = taken.clip(actions.low, actions.high)
        following, rewards, terminated, truncated, info = vector.step(taken)
        running += rewards
        if "final_info" in info:
            episodes, ended = info["final_info"]["episode"], info["_final_info"]
            returns += episodes["r"][ended].tolist()
            lengths += episodes["l"][ended].tolist()
            sums += running[ended].tolist()
            running[ended] = 0.0
        real = following.copy()
        for index in np.flatnonzero(truncated | terminated):
            real[index] = info["final_obs"][index]
        buffer.add(observations, real, taken, rewards, terminated, [{}] * 2)
        observations = following
        if step < 25:
            continue
        batch = buffer.sample(32)
        with torch.no_grad():
            after = torch.cat((batch.next_observations, actor(batch.next_observations)), 1)
            target = batch.rewards + 0.95 * (1 - batch.dones) * critic(after)
        loss = nn.functional.mse_loss(
            critic(torch.cat((batch.observations, batch.actions), 1)), target
        )
        critic_optimizer.zero_grad()
        loss.backward()
        critic_optimizer.step()
        gain = critic(torch.cat((batch.observations, actor(batch.observations)), 1)).mean()
        actor_optimizer.zero_grad()
        (-gain).backward()
        actor_optimizer.step()
        losses.append(loss.item())
    vector.close()
    assert len(returns) >= 6
    assert max(lengths) == 50
    assert np.allclose(returns, sums, atol=1e-3)
    assert np.all(np.isfinite(losses))


def table_rows(text):
    """Rows of a Markdown table as (group, first entry, last entry, meaning, range, unit)."""
    rows = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        match = re.fullmatch(r"(?:`(\w+)` *)?(\d+)(?:-(\d+))?", cells[0])
        if match:
            group, first, last = match.groups()
            assert len(cells) == 4, line
            rows.append((group or "", int(first), int(last or first), *cells[1:]))
    return rows


def assert_rows_cover(rows, size, limits):
    """All entries from 0 to `size`, in turn, with a meaning, a range and a unit each."""
    at = 0
    for _, first, last, meaning, listed, unit in rows:
        assert first == at
        assert last >= first
        assert meaning
        assert listed == limits
        assert unit
        at = last + 1
    assert at == size


@pytest.mark.parametrize("name", envs.TASKS)
def test_a_tasks_docstring_lists_every_entry_of_its_observation(name):
    task = envs.TASK_TYPES[name]
    rows = table_rows(task.__doc__)
    assert_rows_cover([row for row in rows if row[0] == ""], task.observation_size, "[-10, 10]")
    for goal in ("achieved_goal", "desired_goal"):
        assert_rows_cover([row for row in rows if row[0] == goal], task.goal_size, "[-10, 10]")


@pytest.mark.parametrize(
    ("name", "control", "gripper"),
    [
        (name, control, gripper)
        for name, robot in envs.ROBOTS.items()
        for control in CONTROLS
        for gripper in {False, robot.has_gripper}
    ],
)
def test_a_robots_docstring_lists_every_entry_of_its_action_and_observation(name, control, gripper):
    robot = envs.ROBOTS[name](control, gripper=gripper)
    parts = re.split(r'(Action, `control="\w+"`|Observation):', type(robot).__doc__)
    tables = {title: table_rows(text) for title, text in zip(parts[1::2], parts[2::2], strict=True)}
    if not gripper:
        for title, rows in tables.items():
            tables[title] = [row for row in rows if "if any" not in row[3]]
    assert_rows_cover(tables[f'Action, `control="{control}"`'], robot.action_size, "[-1, 1]")
    assert_rows_cover(tables["Observation"], robot.observation_size, "[-10, 10]")
