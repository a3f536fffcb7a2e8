"""Milliseconds of processor time a picture takes, by kind and size, of every robot.

    python -m benchmarks.rendering [--pictures 20] [--task push]

Frames and the like are drawn from the full meshes, pixel observations from coarse ones; both in
software, in one thread. A pixel observation is timed as what a step takes longer with it. Films go
by the wall clock, drawn by one process and by one a core, on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from typing import Any

import gymnasium as gym

import envs
from envs.manipulation import RENDER_MODES
from envs.registry import able_robots
from eval.drawing import Painters, default_processes
from eval.video import in_order

SIZES = (84, 128, 256)
FRAMES = ((84, 84), (720, 480), (1280, 720))


def milliseconds(draw: Callable[[], Any], pictures: int) -> float:
    """Median of several, after one that is not counted."""
    draw()
    times = []
    for _ in range(pictures):
        start = time.process_time()
        draw()
        times.append(1e3 * (time.process_time() - start))
    return statistics.median(times)


def step_time(task: str, robot: str, steps: int, **kwargs: Any) -> float:
    env = gym.make(envs.TASKS[task], robot=robot, **kwargs)
    env.reset(seed=0)
    still = 0.0 * env.action_space.sample()
    times = milliseconds(lambda: env.step(still), min(steps, 40))
    env.close()
    return times


def film_rate(task: str, processes: int, pictures: int) -> float:
    """Pictures a second that processes draw of one episode, at 1280 x 720."""
    size = {"render_mode": "rgb_array", "render_width": 1280, "render_height": 720}
    painters = Painters(task, size, processes)
    while not painters.ready():
        wait(painters._waiting)
    painters.reset(0)
    for draw in [painters.picture() for _ in range(processes)]:
        draw()
    start = time.perf_counter()
    shots = ((painters.picture(), 1) for _ in range(pictures))
    for _ in in_order(shots, processes):
        pass
    seconds = time.perf_counter() - start
    painters.close()
    return pictures / seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=20)
    parser.add_argument("--task", choices=envs.TASKS, default="push")
    args = parser.parse_args()
    for robot in able_robots(args.task):
        print(f"{args.task}, {robot}")
        plain = step_time(args.task, robot, args.pictures)
        print(f"  step without a picture           {plain:7.2f} ms")
        for size in SIZES:
            shown = step_time(
                args.task, robot, args.pictures, observation="pixels", pixels_size=size
            )
            print(
                f"  pixels              {size:4} x {size:<4}  {shown - plain:7.2f} ms more a step"
            )
        for mode in RENDER_MODES:
            if mode == "human":
                continue
            for width, height in FRAMES:
                env = gym.make(
                    envs.TASKS[args.task],
                    robot=robot,
                    render_mode=mode,
                    render_width=width,
                    render_height=height,
                )
                env.reset(seed=0)
                taken = milliseconds(env.render, args.pictures)
                print(f"  {mode:18}  {width:4} x {height:<4}  {taken:7.2f} ms, {1e3 / taken:.0f}/s")
                env.close()
    for processes in sorted({1, default_processes()}):
        rate = film_rate(args.task, processes, 2 * args.pictures)
        print(f"film 1280 x 720, {processes} processes  {rate:5.1f} pictures a second")


if __name__ == "__main__":
    main()
