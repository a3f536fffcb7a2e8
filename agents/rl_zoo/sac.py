"""What `python -m rl_zoo3.train --algo sac` takes as `--conf-file agents.rl_zoo.sac`."""

from agents.rl_zoo import zoo_hyperparameters

hyperparams = zoo_hyperparameters("sac")
