"""What `python -m rl_zoo3.train --algo ddpg` takes as `--conf-file agents.rl_zoo.ddpg`."""

from agents.rl_zoo import zoo_hyperparameters

hyperparams = zoo_hyperparameters("ddpg")
