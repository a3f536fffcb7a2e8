"""What `python -m rl_zoo3.train --algo td3` takes as `--conf-file agents.rl_zoo.td3`."""

from agents.rl_zoo import zoo_hyperparameters

hyperparams = zoo_hyperparameters("td3")
