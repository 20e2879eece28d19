"""The demo's text: prose, in a fixed order."""

from bertworks.text import python_docs


def test_documents_are_prose_in_a_fixed_order() -> None:
    documents = list(python_docs.python_docs())
    sentences = [sentence for document in documents for sentence in document]
    assert len(documents) > 100
    assert sum(map(len, sentences)) > 500_000
    assert all(len(document) >= 2 for document in documents)
    assert not any("\n" in sentence or ">>>" in sentence for sentence in sentences)
    assert documents[:5] == [document for document, _ in zip(python_docs.python_docs(), range(5), strict=False)]


def test_code_and_tables_are_left_out() -> None:
    text = (
        "It does this well here. It does that too, as we saw.\n\n>>> code(1)\n2\n\n+---+\n| a |\n\nx = 1; y = 2; z = 3"
    )
    assert list(python_docs.document(text)) == [["It does this well here.", "It does that too, as we saw."]]
