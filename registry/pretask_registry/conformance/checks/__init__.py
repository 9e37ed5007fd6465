"""The checks of the kit, one file for each kind."""
