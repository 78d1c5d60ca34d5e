"""The config of a study: its schema, its checks, its resolution and its reference."""
