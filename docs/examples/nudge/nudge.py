"""A task of another package: push a cube along the table with the hand."""

from envs.tasks.table import add_table
from envs.tasks.task import Task


class Nudge(Task):
    """Push a cube to a point on the table."""

    observation_size = 6
    goal_size = 3
    threshold = 0.05

    def load(self, simulation, robot):
        self._simulation = simulation
        add_table(simulation)
        self._cube = simulation.add_box(
            (0.02, 0.02, 0.02), (0.0, 0.0, 0.02), (0.9, 0.3, 0.2, 1.0), mass=1.0
        )
        self._marker = simulation.add_marker(0.02, (0.1, 0.8, 0.2, 0.75))

    def reset(self, generator):
        x, y = generator.uniform(-0.1, 0.1, 2).tolist()
        self._simulation.place(self._cube, (x, y, 0.02))
        goal = [*generator.uniform(-0.15, 0.15, 2).tolist(), 0.02]
        self._simulation.move_marker(self._marker, goal)
        return goal

    def achieved_goal(self):
        return self._simulation.body_motion(self._cube)[0]

    def observe(self):
        position, _, velocity, _ = self._simulation.body_motion(self._cube)
        return (*position, *velocity)
