"""Files from strangers: harnesses, what was found with them, and how to search on.

``harnesses`` gives bytes to the readers and says what they must not do; ``test_fuzz`` runs them on
what is kept (findings in ``kept/``, the shortest inputs of a search in ``corpus/``) and on
hypothesis' examples. To search on, guided by coverage, with atheris (which is no dependency:
``pip install atheris``)::

    python -m tests.fuzz.search text FOLDER -- -max_total_time=600

and ``python -m tests.fuzz.seeds FOLDER`` writes the files that a search begins with.
"""
