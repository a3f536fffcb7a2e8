"""A robot of another package: KUKA's iiwa without its gripper."""

from envs.robots.robot import Robot

JOINTS = (0, 1, 2, 3, 4, 5, 6)
REST = (0.0, 0.55, 0.0, -1.6, 0.0, 0.99, 0.0)
FORCES = (300.0,) * 7


class BareIiwa(Robot):
    """A 7-joint arm whose flange points down."""

    observation_size = 6

    def __init__(self, control="ee", gripper=False):
        super().__init__(control, gripper)
        self.action_size = 3 if control == "ee" else 7

    def load(self, simulation):
        self._simulation = simulation
        self._body = simulation.load_urdf("kuka_iiwa/model.urdf", (-0.6, 0.0, 0.0))

    def reset(self):
        self._simulation.place_joints(self._body, JOINTS, REST)
        self._simulation.drive_joints(self._body, JOINTS, REST, FORCES)

    def act(self, action):
        simulation, body = self._simulation, self._body
        if self.control == "ee":
            target = [at + 0.05 * by for at, by in zip(self.ee_position, action)]
            angles = simulation.inverse_kinematics(body, 6, target, (0.0, 1.0, 0.0, 0.0))
        else:
            angles = [
                at + 0.05 * by for at, by in zip(simulation.joint_positions(body, JOINTS), action)
            ]
        simulation.drive_joints(body, JOINTS, angles, FORCES)

    def observe(self):
        self.ee_position, velocity = self._simulation.link_motion(self._body, 6)
        return (*self.ee_position, *velocity)
