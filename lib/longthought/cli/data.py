"""Commands on training data: `curate`, `decontaminate`."""
