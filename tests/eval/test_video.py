"""Videos: what a player finds in the file, and that a video is not lost."""

import csv
import shutil
from itertools import islice
from multiprocessing.connection import wait

import imageio_ffmpeg
import numpy as np
import pytest

from agents import ConfigError, RunDirectory, RunError
from agents.config import FIRST_EVALUATION_SEED
from eval import compare_phases, record_video, rollouts, video
from eval.drawing import Painters
from eval.rollouts import Rollouts
from eval.video import FRAMES_AFTER, FRAMES_BEFORE

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def filmed(trained_sac, tmp_path_factory):
    """A run whose last agent was filmed in its first evaluation episode; not to be changed."""
    path = tmp_path_factory.mktemp("filmed") / "sac"
    run = RunDirectory.open(shutil.copytree(trained_sac.path, path))
    shutil.rmtree(run.path / "branches")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(video, "ENOUGH_STEPS", 1)
        record_video(run)
    return run


@pytest.fixture
def small_video(monkeypatch):
    """Rendering takes most of the time."""
    monkeypatch.setattr(video, "ENOUGH_STEPS", 1)
    monkeypatch.setattr(video, "WIDTH", 120)
    monkeypatch.setattr(video, "HEIGHT", 80)


def frames(path):
    reader = imageio_ffmpeg.read_frames(str(path))
    width, height = next(reader)["size"]
    return [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader]


def is_near(frame, colour):
    return (np.abs(frame.astype(int) - colour).max(axis=2) < 40).sum()


def test_video_is_one_that_browsers_play(filmed):
    path = filmed.videos_path / "phase-2.mp4"
    facts = next(imageio_ffmpeg.read_frames(str(path)))
    assert facts["codec"] == "h264"
    assert facts["pix_fmt"].startswith("yuv420p")
    assert facts["fps"] == 25
    assert facts["size"] == (720, 544)
    content = path.read_bytes()
    assert 0 < content.find(b"moov") < content.find(b"mdat")  # playing starts before the end loads


def test_video_shows_the_evaluation_episode_in_real_time(filmed):
    compare_phases(filmed, episodes=2)
    with (filmed.evaluation_path / "episodes.csv").open() as file:
        first = next(r for r in csv.DictReader(file) if (r["phase"], r["episode"]) == ("2", "0"))
    count, _ = imageio_ffmpeg.count_frames_and_secs(str(filmed.videos_path / "phase-2.mp4"))
    assert count == FRAMES_BEFORE + int(first["length"]) - 1 + FRAMES_AFTER


def test_outcome_is_written_on_the_last_frames_only(filmed):
    shown = frames(filmed.videos_path / "phase-2.mp4")
    bars = [frame[: video.BAR] for frame in shown]
    outcome = [is_near(bar, video._SUCCESS) + is_near(bar, video._FAILURE) for bar in bars]
    assert max(outcome[:-FRAMES_AFTER]) < 20
    assert min(outcome[-FRAMES_AFTER:]) > 60
    assert all(is_near(bar[:, :360], video._TEXT) > 60 for bar in bars)  # phase and rate


def test_a_video_that_exists_is_kept_unless_told_otherwise(sac, small_video):
    path = sac.videos_path / "phase-0.mp4"
    sac.videos_path.mkdir()
    path.write_bytes(b"precious")
    assert record_video(sac, 0) == path
    assert path.read_bytes() == b"precious"
    assert record_video(sac, 0, overwrite=True) == path
    assert b"moov" in path.read_bytes()
    assert [p.name for p in sac.videos_path.iterdir()] == ["phase-0.mp4"]


def test_the_same_agent_gives_the_same_video(ppo, small_video, capfd):
    first = record_video(ppo, 1).read_bytes()
    assert record_video(ppo, 1, overwrite=True).read_bytes() == first
    assert capfd.readouterr() == ("", "")


def test_pictures_are_the_same_whoever_draws_them(ppo, monkeypatch):
    monkeypatch.setattr(rollouts, "ENOUGH_FOR_ONE", 1)
    size = {"render_mode": "rgb_array", "render_width": 60, "render_height": 40}

    def pictures(player, episode):
        steps = islice(player.steps(FIRST_EVALUATION_SEED + episode), 9)
        return [drawn() for drawn in [player.picture() for _ in steps]]

    with Rollouts(ppo, **size) as alone, Rollouts(ppo, drawing=2, **size) as shared:
        assert np.array_equal(pictures(shared, 0), pictures(alone, 0))
        assert shared._painters is None
        shared._painters_at_hand()
        painters = shared._started
        while not painters.ready():
            wait(painters._waiting)
        expected = pictures(alone, 1)
        assert np.array_equal(pictures(shared, 1), expected)
        assert shared._painters is painters
        assert not np.array_equal(expected[0], expected[8])
        for process in painters._processes:
            process.kill()
            process.wait()
        with pytest.raises(RunError, match="a process that draws pictures has ended"):
            pictures(shared, 2)


def test_a_task_that_other_processes_do_not_know_is_drawn_in_this_one():
    painters = Painters("unheard-of", {"render_mode": "rgb_array"}, 1)
    wait(painters._waiting)
    assert not painters.ready()
    assert not painters.ready()
    painters.close()


def test_a_phase_that_does_not_exist_is_refused(sac):
    with pytest.raises(ConfigError, match="no phase 9: valid phases are 0, 1, 2"):
        record_video(sac, 9)
    assert not sac.videos_path.exists()


def test_a_phase_that_has_not_ended_is_refused(sac):
    shutil.rmtree(sac.snapshots_path / "600")
    with pytest.raises(RunError, match=r"has no agent of phase 2: .* the newest is at step 399"):
        record_video(sac, 2)
    assert not sac.videos_path.exists()


def test_a_damaged_agent_leaves_no_half_video(sac, small_video):
    (sac.snapshots_path / "600" / "agent.zip").write_bytes(b"")
    with pytest.raises(RunError, match=r"agent\.zip"):
        record_video(sac)
    assert not sac.videos_path.exists()


def test_a_folder_that_cannot_be_written_is_named_in_one_line(sac, small_video):
    sac.videos_path.write_text("a file where the folder should be")
    with pytest.raises(RunError, match="videos") as error:
        record_video(sac)
    assert "\n" not in str(error.value)
