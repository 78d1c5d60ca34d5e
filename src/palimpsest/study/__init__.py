"""The config of a study: its models, its checks, what it comes to, and its reference."""
