"""Proof that results are what code and data give: what lies on disk, what the study says, and what differs."""
