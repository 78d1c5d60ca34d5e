"""How a stage checks its inputs and leaves an artefact."""
