"""The questions of the report, a module each: `QUESTION`, `PAPER` and `answer(evidence)`, None where the study has no data for it."""
