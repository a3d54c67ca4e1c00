"""What penalties with kinks and bounds on signs ask of a fit: which solver, and which parameters go together."""

import numpy as np


def needs_proximal(model) -> bool:
    """Whether a model's fit takes ``proximal_newton``: by its `solver`, or by what it minimises.

    Raises
    ------
    ValueError
        If `solver` names one that needs a smooth objective, and there is none.
    """
    if model.solver in ("newton-cg", "lbfgs"):
        refuse_kinks(model, f"solver={model.solver!r}", "Use solver='proximal-newton' or 'auto'.")
        return False
    kinked = model.l1_ratio > 0.0 and not np.isinf(model.C)
    return model.solver == "proximal-newton" or kinked or model.coef_sign is not None


def is_smooth(model) -> bool:
    """Whether what a model minimises has neither kinks nor bounds; if not, an error names the parameter."""
    refuse_kinks(model, "partial_fit", "Use fit.")
    return True


def refuse_kinks(model, what: str, instead: str) -> None:
    """An error that names what cannot be had with `l1_ratio` or `coef_sign`, where one is given."""
    if model.l1_ratio > 0.0:
        raise ValueError(
            f"{what} fits smooth penalties alone, with l1_ratio=0. Got {model.l1_ratio!r} instead. {instead}"
        )
    if model.coef_sign is not None:
        raise ValueError(f"{what} fits coefficients of any sign, with coef_sign=None. {instead}")


def is_grouped(model) -> bool:
    """Whether a feature's coefficients are zero together.

    Raises
    ------
    ValueError
        For factors by class, which a norm over the classes cannot take.
    """
    if model.l1_group is not None and model.class_penalty is not None:
        raise ValueError(
            "The 'class_penalty' parameter must be None with l1_group='classes', whose groups are one for all classes."
        )
    return model.l1_group is not None


def checked_signs(coef_sign, n_rows: int, n_features: int) -> np.ndarray | None:
    """Signs of ``coef_``, (p,) or (rows, p), or None."""
    if coef_sign is None:
        return None
    signs, shapes = np.asarray(coef_sign), ((n_features,), (n_rows, n_features))
    if signs.shape not in shapes or not np.isin(signs, (-1, 0, 1)).all():
        raise ValueError(
            f"The 'coef_sign' parameter must hold -1, 0 or 1 in shape {shapes[0]} or {shapes[1]}."
            f" Got {coef_sign!r} instead."
        )
    return signs.astype(np.float64)
