"""RWKU: famous people to forget, whom a pretrained model knows."""
