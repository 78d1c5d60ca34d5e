"""A method, an attack, a metric of TOFU and a benchmark."""
