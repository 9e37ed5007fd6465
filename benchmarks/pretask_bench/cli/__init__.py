"""The command `pretask`: one module for each verb."""
