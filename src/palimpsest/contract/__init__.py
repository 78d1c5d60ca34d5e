"""How a stage checks its inputs and writes its artefact."""
