"""The sources of data: a module each, named after its kind."""
