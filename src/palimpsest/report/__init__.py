"""From evaluation tables to the summary, figures and the report."""
