"""Commands that make long thoughts: `think`."""
