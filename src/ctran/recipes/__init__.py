"""Recipes (YAML), one experiment each: header = command, hardware, time, expected figure and where it is from."""
