"""Which training data is kept, and why the rest is not: rules, duplicates, contamination, cards."""
