"""LUME: creative texts, private data and biographies to forget, each as sentences to complete and as questions."""
