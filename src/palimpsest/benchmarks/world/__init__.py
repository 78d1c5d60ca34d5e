"""The fictional world, shared by several benchmarks: its countries, its people, and questions about them."""
