"""WMDP: hazardous knowledge, judged by multiple choice (arXiv 2403.03218)."""
