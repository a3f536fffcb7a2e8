"""A task for the tests alone: two stacked cubes below the hand, which knocks them about.

They start in contact with the table and each other: a contact left from the last episode shows.
"""

import numpy as np

from envs.tasks.table import add_table
from envs.tasks.task import Task

EIGHTH_TURN = (0.0, 0.0, 0.3826834323650898, 0.9238795325112867)


class StackedCubes(Task):
    goal_size = 3
    observation_size = 26
    threshold = 0.01

    def load(self, simulation, robot):
        self.simulation = simulation
        add_table(simulation)
        self.cubes = [
            simulation.add_box((0.02, 0.02, 0.02), (0.0, 0.0, 0.1), colour, mass=0.5)
            for colour in ((0.9, 0.2, 0.2, 1.0), (0.2, 0.2, 0.9, 1.0))
        ]
        self.marker = simulation.add_marker(0.01, (0.1, 0.9, 0.1, 0.5))

    def reset(self, generator):
        x, y = generator.uniform((0.02, -0.02), (0.06, 0.02)).tolist()
        self.simulation.place(self.cubes[0], (x, y, 0.02))
        self.simulation.place(self.cubes[1], (x, y + 0.01, 0.06), EIGHTH_TURN)
        goal = generator.uniform((-0.2, -0.2, 0.3), (0.2, 0.2, 0.4)).tolist()
        self.simulation.move_marker(self.marker, goal)
        return goal

    def achieved_goal(self):
        return self.simulation.body_motion(self.cubes[0])[0]

    def observe(self):
        motions = [self.simulation.body_motion(cube) for cube in self.cubes]
        # Angular velocities of a flung cube can leave [-10, 10].
        flat = [number for motion in motions for part in motion for number in part]
        return tuple(np.clip(flat, -10.0, 10.0).tolist())
