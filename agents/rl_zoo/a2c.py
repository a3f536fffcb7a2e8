"""What `python -m rl_zoo3.train --algo a2c` takes as `--conf-file agents.rl_zoo.a2c`."""

from agents.rl_zoo import zoo_hyperparameters

hyperparams = zoo_hyperparameters("a2c")
