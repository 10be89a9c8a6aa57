"""The shop: four services that know the events of `schemas`, and nothing of each other. See README.md."""
