"""What `python -m rl_zoo3.train --algo trpo` takes as `--conf-file agents.rl_zoo.trpo`."""

from agents.rl_zoo import zoo_hyperparameters

hyperparams = zoo_hyperparameters("trpo")
