"""SQuAD 1.1 and 2.0: questions about documents, answered with a stretch of the document or with nothing."""
