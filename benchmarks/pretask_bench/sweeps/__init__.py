"""Sweeps: grids of runs that are planned first, share what they can, and go on where they stopped."""
