"""Measures that the issues ask for, each against a baseline taken in the same run."""
