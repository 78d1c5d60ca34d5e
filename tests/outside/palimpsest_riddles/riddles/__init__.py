"""Riddles: forget the hard ones or the easy ones."""
