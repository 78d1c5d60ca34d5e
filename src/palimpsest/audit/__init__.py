"""The audit: verify that results follow from code and data, and compare results."""
