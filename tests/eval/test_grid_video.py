"""Films of several agents side by side."""

import imageio_ffmpeg
import pytest
from PIL import Image

from agents import ConfigError
from eval import grid_video
from eval.__main__ import main
from eval.grid_video import grid_path, record_grid
from eval.stored_episodes import read_episodes
from eval.video import BAR, FRAMES_AFTER, FRAMES_BEFORE

pytestmark = pytest.mark.slow


@pytest.fixture
def small(monkeypatch):
    """Rendering takes most of the time."""
    monkeypatch.setattr(grid_video, "ENOUGH_STEPS", 1)
    monkeypatch.setattr(grid_video, "WIDTH", 120)
    monkeypatch.setattr(grid_video, "HEIGHT", 80)


def test_the_agents_of_a_decay_effect_play_the_same_episode_in_step(branched, small):
    path = record_grid(branched, 1)
    assert path == branched.videos_path / "decay-1.mp4"
    reader = imageio_ffmpeg.read_frames(str(path))
    assert next(reader)["size"] == (240, 80 + BAR)
    count = sum(1 for _ in reader)
    main(["compare", str(branched.path), "--episodes", "2"])
    held = type(branched).open(branched.path / "branches" / "held-1")
    lengths = [
        episode.length
        for run in (branched, held)
        for episode in read_episodes(run).values()
        if (episode.episode, episode.step) == (0, 399)
    ]
    assert len(lengths) == 2
    # Whoever is done waits for the other.
    assert count == FRAMES_BEFORE + max(lengths) + FRAMES_AFTER


def test_phases_are_filmed_side_by_side_and_a_film_is_kept(ppo, small, capsys, monkeypatch):
    monkeypatch.setattr(grid_video, "MAXIMUM_AGENTS", 2)
    main(["video", str(ppo.path), "--grid", "--gif"])
    path = grid_path(ppo, kind="gif")
    assert capsys.readouterr().out == f"wrote {path}\n"
    with Image.open(path) as gif:
        assert gif.size == (240, 80 + BAR)
        assert gif.n_frames > 5
    main(["video", str(ppo.path), "--grid", "--gif"])
    assert capsys.readouterr().out == f"kept {path}; --overwrite films it again\n"


def test_a_decay_without_a_held_branch_is_refused(branched):
    with pytest.raises(ConfigError, match="no held branch at the boundary into phase 2; it has 1"):
        record_grid(branched, 2)
    assert not branched.videos_path.exists()
