"""Provenance: canonical JSON, code digests, manifests and the record of the environment."""
