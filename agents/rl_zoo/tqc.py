"""What `python -m rl_zoo3.train --algo tqc` takes as `--conf-file agents.rl_zoo.tqc`."""

from agents.rl_zoo import zoo_hyperparameters

hyperparams = zoo_hyperparameters("tqc")
