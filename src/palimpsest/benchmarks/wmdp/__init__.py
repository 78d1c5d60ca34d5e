"""WMDP: hazardous knowledge, judged by multiple-choice questions (arXiv 2403.03218)."""
