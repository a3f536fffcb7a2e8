"""What `python -m rl_zoo3.train --algo ppo` takes as `--conf-file agents.rl_zoo.ppo`."""

from agents.rl_zoo import zoo_hyperparameters

hyperparams = zoo_hyperparameters("ppo")
