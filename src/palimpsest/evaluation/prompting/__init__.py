"""A suite that asks each forget question in several ways, and counts the way that brings out most of the answer."""
