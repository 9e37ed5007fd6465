"""The built-in plugins of pretask. Each uses core only, and nothing that a third party could not use."""
