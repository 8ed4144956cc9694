"""What segments images in experiments, and the slices on which it does."""
