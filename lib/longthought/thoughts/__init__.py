"""How long thoughts are made: a rule-based teacher, and ways that work with any engine, from reformatting to search."""
