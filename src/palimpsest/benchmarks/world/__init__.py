"""The fictional world, which several benchmarks tell of: its countries, its people, and questions on them."""
