"""Language: what a model of the next token writes: sampled, or searched for."""
