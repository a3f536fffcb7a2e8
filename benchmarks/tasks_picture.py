"""The picture of all tasks in the README: the beginning of one episode each, as `render` shows it.

python -m benchmarks.tasks_picture [docs/images/tasks.jpg]
"""

from __future__ import annotations

import argparse

import gymnasium as gym
from PIL import Image, ImageDraw, ImageFont

import envs

COLUMNS, TILE = 3, (432, 288)
# In which nothing hides anything.
SEEDS = {"reach": 2, "push": 3, "slide": 1, "pick_and_place": 5, "stack": 4, "flip": 1}


def main() -> None:
    """Draw and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", nargs="?", default="docs/images/tasks.jpg")
    path = parser.parse_args().path
    rows = -(-len(SEEDS) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * TILE[0], rows * TILE[1]))
    for index, (task, seed) in enumerate(SEEDS.items()):
        env = gym.make(envs.TASKS[task], render_mode="rgb_array")
        env.reset(seed=seed)
        tile = Image.fromarray(env.render()).resize(TILE, Image.Resampling.LANCZOS)
        env.close()
        ImageDraw.Draw(tile).text((8, 8), task, (20, 20, 30), ImageFont.load_default(20))
        sheet.paste(tile, (index % COLUMNS * TILE[0], index // COLUMNS * TILE[1]))
    sheet.save(path, quality=90)


if __name__ == "__main__":
    main()
