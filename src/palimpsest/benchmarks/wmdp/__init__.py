"""WMDP: hazardous knowledge, measured by multiple-choice questions (arXiv 2403.03218)."""
