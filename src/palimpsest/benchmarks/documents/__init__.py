"""Documents: texts of your own, or questions with answers, to forget."""
