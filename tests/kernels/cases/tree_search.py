"""Cases of the search for the most probable leaves: one, some and all, with and without a beam.

The simulator takes seconds for a row: it gets a few rows, other cases have more than it is given.
"""

from cases.tree_paths import shapes, walk_cases


def search_call(k, width=0):
    def call(tree, arguments):
        n_kept = min(k, tree.n_classes)
        return (*arguments, tree.class_of), {"k": n_kept, "width": max(width, n_kept) if width else 0}

    return call


CASES = {
    "best_leaves": [
        *(
            case
            for k, width in ((1, 0), (3, 0), (99, 0), (1, 1), (2, 3))
            for case in walk_cases(search_call(k, width), shapes(few=150))
        ),
        *walk_cases(search_call(3), [("mixed", 5, 0.5, False, 3), ("one", 5, 0.5, False, 2)]),
        *walk_cases(search_call(2, 3), [("broad", 5, 0.5, False, 2)]),
        *walk_cases(search_call(1, 1), [("mixed", 5, 0.5, False, 2), ("mixed", 5, 0.5, False, 0)]),
    ]
}
