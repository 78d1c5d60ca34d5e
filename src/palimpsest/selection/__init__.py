"""Selecting one trial of a method, and the epoch to stop at, by a declared rule."""
