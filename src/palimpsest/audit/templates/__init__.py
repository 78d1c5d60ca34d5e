"""Templates of the audit's page."""
