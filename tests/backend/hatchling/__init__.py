"""A stand-in for hatchling where it is not installed, so that wheels can be built without a network; see build.py."""
