"""The version of the project: of the programs, of both APIs and of the image."""

VERSION = "2.0.0"
"""Also in pyproject.toml and in the compose files; a test compares them."""
