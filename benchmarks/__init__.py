"""Speed of a training step, ours and the installed peers' in turn in one run."""
