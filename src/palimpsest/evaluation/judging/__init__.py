"""A judge of answers: a model that reads an answer beside the right one and says whether it tells the same."""
