r"""Standard errors, intervals and tests of a multinomial logit, from the data it was fitted to.

Only differences between classes are identified: a common shift of all rows of W and b changes no probability. So what
is reported are contrasts: to a reference class, θₖ = (bₖ, Wₖ) − (b_r, W_r), or to the mean of all classes. With tᵢ the
one-hot label, x̃ᵢ = (1, xᵢ), pᵢ the probabilities without those of the reference, and wᵢ how often a row stands there::

    I(θ) = Σᵢ wᵢ (diag pᵢ − pᵢ pᵢ') ⊗ x̃ᵢ x̃ᵢ'        observed information, which here is the expected one
    uᵢ   = (tᵢ − pᵢ) ⊗ x̃ᵢ                            score of one observation

    classical   I⁻¹
    robust      a I⁻¹ (Σᵢ wᵢ uᵢ uᵢ') I⁻¹                                  [1]_, theorem 3.2
    cluster     a I⁻¹ (Σ_c u_c u_c') I⁻¹,     u_c = Σ_{i ∈ c} wᵢ uᵢ       [2]_, equation 7, for independent working rows

with a = 1 unless a small-sample correction is asked for. Weights are frequencies: a row of weight 3 is three
observations, in the log-likelihood, n = Σ w, and all three matrices. Sampling weights are another matter, and are
``kind='cluster'`` with every row a cluster of its own: that is Σᵢ wᵢ² uᵢ uᵢ'.

References
----------
.. [1] White, "Maximum likelihood estimation of misspecified models", Econometrica 50(1), 1982.
.. [2] Liang, Zeger, "Longitudinal data analysis using generalized linear models", Biometrika 73(1), 1986.
"""

from copy import copy
from dataclasses import dataclass
from functools import cached_property
from numbers import Real

import numpy as np
import pandas as pd
from scipy import linalg, sparse, stats
from sklearn.utils import check_array

from sksoft._validation import check_is_fitted, validate_data
from sksoft.kernels.blocks import serial_blas
from sksoft.linear import inference_diagnoses as diagnoses
from sksoft.linear.inference_columns import Columns, dependencies, orthonormal
from sksoft.linear.inference_input import (
    check_among,
    check_classes,
    check_model,
    check_nested,
    contrasts_of,
    group_codes,
    precision,
)
from sksoft.linear.inference_likelihood import Likelihood
from sksoft.linear.warm_start import one_row_each
from sksoft.metrics.soft_labels import is_soft, shape_of

KINDS = ("classical", "robust", "cluster")
# Standard errors that the coefficients of a fit may be off, and those that are left after the last steps from there.
NEAR_ENOUGH, SETTLED_ENOUGH = 0.1, 1e-6
# A covariance of hypotheses whose least eigenvalue, in units of the variances, is below this is singular.
SINGULAR = 1e-10


@dataclass(frozen=True)
class HypothesisTest:
    """A statistic that is χ² distributed where the hypothesis holds, as n grows.

    Attributes
    ----------
    statistic : float >= 0
    df : int
        Degrees of freedom.
    p_value : float in [0, 1]
    """

    statistic: float
    df: int
    p_value: float

    @classmethod
    def chi2(cls, statistic: float, df: int) -> "HypothesisTest":
        """The test of a statistic with its degrees of freedom."""
        return cls(float(statistic), int(df), float(stats.chi2.sf(statistic, df)))


class SoftmaxInference:
    r"""What an unpenalised multinomial logit says about its coefficients, and how surely.

    Estimates θ maximise ℓ(θ) = Σᵢ wᵢ log p_{i,yᵢ}; they are approximately normal with one of three covariances: the
    inverse observed information I(θ)⁻¹, or the sandwich I⁻¹ J I⁻¹ that also holds where the probabilities are
    misspecified [1]_ or observations of a cluster depend on each other [2]_. The module ``sksoft.linear.inference`` has
    the formulae.

    The model keeps no data, as no estimator of scikit-learn does, so they are given again; that they are those of the
    fit is checked, by the distance of the coefficients from the maximum for these data.

    Parameters
    ----------
    model : SoftmaxRegression
        Fitted, with ``C=np.inf``, softmax, and without label smoothing, class weights or a temperature.
    X, y, sample_weight, offset
        As in ``fit``; labels, not soft labels.
    groups : array-like of shape (n,), default=None
        The cluster of each row, for ``kind='cluster'``; labels of any type.
    reference : label, default=None
        Class that the others are contrasted with; the first of ``classes_`` by default.
    contrast : {'reference', 'mean'}, default='reference'
        With ``'mean'``, contrasts of all K classes to their mean, (bₖ, Wₖ) − Σⱼ (bⱼ, Wⱼ) / K: what ``coef_`` and
        ``intercept_`` hold for more than two classes. They sum to zero, so their covariance is singular.
    penalised : {'refuse', 'laplace'}, default='refuse'
        What to do with a ridge, where ``C`` is finite. Shrunk coefficients are biased, so that no interval around them
        has its coverage, and they have no likelihood ratio: an error by default. ``'laplace'`` is the normal
        approximation of the posterior that has the ridge for its prior: covariance (I + Λ)⁻¹ with Λ = f / C at
        coefficients and none at intercepts, intervals of posterior probability, and no p-values, AIC or likelihoods.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
    reference_ : label or None
        None for contrasts to the mean.
    terms_ : list of str
        ``'(intercept)'`` where there is one, then the features.
    params_ : Series of R (p + 1) floats
        The contrasts, by (class, feature); R = K − 1, or K to the mean.
    n_observations_ : float
        n = Σ w.
    n_parameters_ : int
        d = (K − 1)(p + 1), intercepts included.
    log_likelihood_ : float
        ℓ(θ), in nats.

    Raises
    ------
    ValueError
        Where there is no maximum or it is not unique, with the columns that others explain, or the features and classes
        that are separated [3]_; for a model or data as above that have no such inference; for data the model was not
        fitted to.

    Notes
    -----
    Time is O(n K² p² + K³ p³) for each of two or three sweeps; memory beside X is O(K² p²). Where Newton's method does
    not settle there are linear programs to solve (``sksoft.linear.separation``).

    References
    ----------
    .. [1] White, "Maximum likelihood estimation of misspecified models", Econometrica 50(1), 1982, theorem 3.2.
    .. [2] Liang, Zeger, "Longitudinal data analysis using generalized linear models", Biometrika 73(1), 1986.
    .. [3] Albert, Anderson, "On the existence of maximum likelihood estimates in logistic regression models",
       Biometrika 71(1), 1984.
    .. [4] Agresti, "Categorical Data Analysis", 3rd ed., 2013, section 8.1.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from sksoft import SoftmaxRegression
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> X, y = X.iloc[50:, :2], y[50:].map({1: "versicolor", 2: "virginica"})
    >>> model = SoftmaxRegression(C=np.inf).fit(X, y)
    >>> inference = model.inference(X, y)
    >>> inference.summary()[["coefficient", "standard_error", "p"]].round(3).loc["virginica"].rename_axis(None)
                       coefficient  standard_error      p
    (intercept)            -13.046           3.097  0.000
    sepal length (cm)        1.902           0.517  0.000
    sepal width (cm)         0.405           0.863  0.639
    >>> round(inference.log_likelihood_, 3), inference.wald_test("sepal width (cm)").df
    (-55.163, 1)
    """

    def __init__(
        self,
        model,
        X,
        y,
        sample_weight=None,
        offset=None,
        *,
        groups=None,
        reference=None,
        contrast="reference",
        penalised="refuse",
    ):
        check_is_fitted(model)
        check_among("penalised", penalised, ("refuse", "laplace"))
        check_among("contrast", contrast, ("reference", "mean"))
        check_model(model, penalised)
        validate_data(model, X, accept_sparse="csr", dtype=None, reset=False)
        if is_soft(y):
            raise ValueError(
                f"Inference needs labels, one an observation. Got y of shape {shape_of(y)} instead: give rows of counts"
                " as one row for each class, with the counts as sample_weight."
            )
        self._problem = copy(model)._problem(X, y, sample_weight, offset)
        self.classes_ = model.classes_
        check_classes(y, self._problem, model)
        self._groups = group_codes(groups, X, sample_weight)
        self.reference_, self._contrasts = contrasts_of(self.classes_, reference, contrast)
        features = diagnoses.term_names(getattr(model, "feature_names_in_", None), model.n_features_in_)
        self.terms_ = [diagnoses.INTERCEPT, *features] if model.fit_intercept else features
        with serial_blas():
            self._fit(model, features)
        self.n_observations_ = float(self._problem.weights.sum())
        self.n_parameters_ = self._at.theta.size

    def _fit(self, model, features: list[str]) -> None:
        """The maximum from the coefficients of the model, or an error that says why there is none."""
        problem = self._problem
        columns = Columns.centred(problem.X, problem.weights, problem.fit_intercept)
        triangle = columns.triangle()
        found = dependencies(columns, triangle)
        if len(found.dependent):
            reasons = "; ".join(diagnosis.message for diagnosis in diagnoses.of_columns(columns, found, features))
            raise ValueError(f"The coefficients are not unique, so they have no standard errors: {reasons}.")
        whitened, back = orthonormal(columns, triangle, found.independent)
        prior = None if problem.strength == 0.0 else precision(problem, whitened)
        likelihood = Likelihood(whitened, problem.target, problem.weights, problem.offset, prior)
        coef = model.coef_.toarray() if sparse.issparse(model.coef_) else model.coef_
        coef, intercept = one_row_each(coef, model.intercept_)
        start = diagnoses.whitened_contrasts(columns, found.independent, back, coef, intercept)
        maximum = likelihood.maximise(start)
        apart = diagnoses.separation_at(maximum, likelihood, triangle, found.independent) if prior is None else None
        if apart is not None:
            raise ValueError(diagnoses.of_separation(apart, features, self.classes_).message + ".")
        if not maximum.from_start <= NEAR_ENOUGH:
            raise ValueError(
                "X, y, sample_weight and offset must be those the model was fitted to: its coefficients are"
                f" {maximum.from_start:.3g} standard errors from the maximum for these. If they are, fit it with a"
                " lower tol or a higher max_iter."
            )
        if not maximum.distance <= SETTLED_ENOUGH:
            raise ValueError(
                "The information matrix is singular to working precision, though no columns are collinear and no"
                " classes separated. Scale the features, or leave some out."
            )
        self._likelihood, self._at = likelihood, maximum.at
        self._back = whitened.to_raw

    @cached_property
    def params_(self) -> pd.Series:
        theta = self._contrasts @ self._at.theta @ self._back.T
        return pd.Series(theta.ravel(), index=self._index, name="coefficient")

    @property
    def _index(self) -> pd.MultiIndex:
        shown = [label for label in self.classes_.tolist() if self.reference_ is None or label != self.reference_]
        return pd.MultiIndex.from_product([shown, self.terms_], names=["class", "feature"])

    @cached_property
    def _inverse(self) -> np.ndarray:
        """I⁻¹, or (I + Λ)⁻¹, of the whitened columns."""
        factor = linalg.cho_factor(self._at.information, lower=True)
        inverse = linalg.cho_solve(factor, np.eye(self._at.theta.size))
        return 0.5 * (inverse + inverse.T)

    def covariance(self, kind="classical", *, correction=None) -> pd.DataFrame:
        """Estimated covariance matrix of `params_`.

        Parameters
        ----------
        kind : {'classical', 'robust', 'cluster'}, default='classical'
            I⁻¹; the sandwich of single observations, HC0; or that of clusters, which needs `groups`.
        correction : {None, 'units', 'parameters'}, default=None
            Small-sample factor of the sandwiches, with d = ``n_parameters_`` and m units, which are the n = Σ w
            observations or the G clusters: ``'units'`` is m / (m − 1), Stata's for maximum likelihood;
            ``'parameters'`` is n / (n − d), HC1, for observations and G / (G − 1) · (n − 1) / (n − d) for clusters.

        Returns
        -------
        covariance : DataFrame of shape (R (p + 1), R (p + 1))
            Rows and columns by (class, feature).

        Raises
        ------
        ValueError
            For ``'cluster'`` without groups or with one group only, and for a correction where n <= d.

        Notes
        -----
        O(n K² p²) for a sandwich; the classical one is at hand. With fewer clusters than parameters the matrix is
        singular, so that tests of many hypotheses at once cannot be had.
        """
        check_among("kind", kind, KINDS)
        covariance = self._inverse
        if kind != "classical":
            with serial_blas():
                meat = self._meat(kind)
            covariance = self._correction(kind, correction) * covariance @ meat @ covariance
        elif correction is not None:
            raise ValueError(f"The 'correction' parameter is for kind='robust' or 'cluster'. Got {correction!r}.")
        q, m = self._at.theta.shape
        A, T = self._contrasts, self._back
        parts = covariance.reshape(q, m, q, m)
        raw = np.einsum("ra,cb,abde,sd,fe->rcsf", A, T, parts, A, T, optimize=True).reshape(2 * (len(A) * len(T),))
        return pd.DataFrame(0.5 * (raw + raw.T), index=self._index, columns=self._index)

    def _meat(self, kind: str) -> np.ndarray:
        """J of single observations or of clusters."""
        weights, theta = self._problem.weights, self._at.theta
        if kind == "robust":
            return self._likelihood.sandwich(theta, np.sqrt(weights))
        if self._groups is None:
            raise ValueError("kind='cluster' needs the 'groups' parameter: the cluster of each row. Got None instead.")
        return self._likelihood.sandwich(theta, weights, self._groups)

    def _correction(self, kind: str, correction: str | None) -> float:
        if correction is None:
            return 1.0
        check_among("correction", correction, (None, "units", "parameters"))
        n, d = self.n_observations_, self.n_parameters_
        if correction == "parameters" and n <= d:
            raise ValueError(
                f"correction='parameters' needs more observations than parameters, {d}. Got {n:g} instead."
            )
        if kind == "robust":
            return n / (n - d) if correction == "parameters" else n / (n - 1.0)
        assert self._groups is not None
        n_groups = int(self._groups.max()) + 1
        factor = n_groups / (n_groups - 1.0)
        return factor * (n - 1.0) / (n - d) if correction == "parameters" else factor

    def summary(self, kind="classical", *, level=0.95, correction=None) -> pd.DataFrame:
        """Coefficients with their errors, tests, intervals and odds ratios.

        ``odds_ratio`` is exp(coefficient): by what the odds of the class against the reference are multiplied when the
        feature grows by one unit [1]_; Stata calls it the relative risk ratio. Against the mean it is the ratio to the
        geometric mean of all classes.

        Parameters
        ----------
        kind : {'classical', 'robust', 'cluster'}, default='classical'
            Covariance the standard errors come from.
        level : float in (0, 1), default=0.95
            Coverage of the intervals, each by itself.
        correction : {None, 'units', 'parameters'}, default=None
            As in :meth:`covariance`.

        Returns
        -------
        summary : DataFrame of R (p + 1) rows, by (class, feature)
            ``coefficient``, ``standard_error``, ``z``, ``p`` (two-sided, normal), ``lower``, ``upper``, ``odds_ratio``,
            ``odds_ratio_lower``, ``odds_ratio_upper``. Of a penalised model without ``z`` and ``p``.

        References
        ----------
        .. [1] Agresti, "Categorical Data Analysis", 3rd ed., 2013, section 8.1.2.
        """
        if not isinstance(level, Real) or not 0.0 < float(level) < 1.0:
            raise ValueError(f"The 'level' parameter must be a float in the range (0.0, 1.0). Got {level!r} instead.")
        covariance = self.covariance(kind, correction=correction)
        error = np.sqrt(np.maximum(np.diag(covariance), 0.0))
        frame = self.params_.to_frame().assign(standard_error=error)
        if self._problem.strength == 0.0:
            with np.errstate(divide="ignore", invalid="ignore"):
                frame["z"] = frame["coefficient"] / error
            frame["p"] = 2.0 * stats.norm.sf(np.abs(frame["z"]))
        reach = stats.norm.ppf(0.5 + 0.5 * float(level)) * error
        frame["lower"], frame["upper"] = frame["coefficient"] - reach, frame["coefficient"] + reach
        for ratio, column in [("", "coefficient"), ("_lower", "lower"), ("_upper", "upper")]:
            with np.errstate(over="ignore"):
                frame[f"odds_ratio{ratio}"] = np.exp(frame[column])
        return frame

    @property
    def log_likelihood_(self) -> float:
        self._require_likelihood("a log-likelihood at its maximum")
        return self._at.value

    @cached_property
    def null_log_likelihood_(self) -> float:
        """ℓ of intercepts alone, and offsets where there are any, in nats."""
        self._require_likelihood("a null likelihood")
        columns = Columns(self._problem.X[:, :0], np.zeros(0), True)
        problem = self._problem
        null = Likelihood(columns, problem.target, problem.weights, problem.offset)
        shares = np.log(problem.target.shares(problem.weights))
        with serial_blas():
            return null.maximise((shares[1:] - shares[0])[:, None]).at.value

    @property
    def aic_(self) -> float:
        """Akaike's criterion, 2 d − 2 ℓ."""
        return 2.0 * self.n_parameters_ - 2.0 * self.log_likelihood_

    @property
    def bic_(self) -> float:
        """Schwarz's criterion, d log n − 2 ℓ, with n = Σ w."""
        return float(np.log(self.n_observations_)) * self.n_parameters_ - 2.0 * self.log_likelihood_

    def pseudo_r2(self) -> pd.Series:
        """How much likelier the model is than its intercepts alone, ℓ₀.

        McFadden 1 − ℓ / ℓ₀; Cox and Snell 1 − exp(2 (ℓ₀ − ℓ) / n); Nagelkerke the same divided by its largest value,
        1 − exp(2 ℓ₀ / n).

        Returns
        -------
        pseudo_r2 : Series
            By ``'mcfadden'``, ``'cox_snell'`` and ``'nagelkerke'``.
        """
        null, n = self.null_log_likelihood_, self.n_observations_
        cox_snell = -np.expm1(2.0 * (null - self.log_likelihood_) / n)
        return pd.Series(
            {
                "mcfadden": 1.0 - self.log_likelihood_ / null,
                "cox_snell": cox_snell,
                "nagelkerke": cox_snell / -np.expm1(2.0 * null / n),
            },
            name="pseudo_r2",
        )

    def likelihood_ratio_test(self, nested=None) -> HypothesisTest:
        """Test a smaller model against this one: 2 (ℓ − ℓ_nested) is χ² of as many degrees as it has parameters less.

        It takes the likelihood at its word. Where that is in doubt, test with :meth:`wald_test` and a robust or cluster
        covariance.

        Parameters
        ----------
        nested : SoftmaxInference, default=None
            Of a model with fewer columns, fitted to the same rows, labels, weights and offsets; by default the
            intercepts alone.

        Returns
        -------
        test : HypothesisTest

        Raises
        ------
        ValueError
            If the other is not nested: other labels, weights or offsets, or columns that are not combinations of these.
        """
        if nested is None:
            if not self._problem.fit_intercept:
                raise ValueError("A model without an intercept does not have the intercepts alone nested in it.")
            df, null = self.n_parameters_ - len(self.classes_) + 1, self.null_log_likelihood_
        else:
            if not isinstance(nested, SoftmaxInference):
                raise TypeError(
                    f"The 'nested' parameter must be a SoftmaxInference. Got {type(nested).__name__} instead."
                )
            check_nested(nested, self)
            df, null = self.n_parameters_ - nested.n_parameters_, nested.log_likelihood_
        return HypothesisTest.chi2(max(2.0 * (self.log_likelihood_ - null), 0.0), df)

    def wald_test(self, hypotheses, values=0.0, *, kind="classical", correction=None) -> HypothesisTest:
        """Test linear hypotheses H θ = h: (Hθ − h)' (H V H')⁻¹ (Hθ − h) is χ² of as many degrees as H has rows.

        Parameters
        ----------
        hypotheses : array-like of shape (q, R (p + 1)) or (R (p + 1),), or str or list of str
            H, its columns in the order of `params_`; or names of terms, whose coefficients are the same in all classes.
        values : float or array-like of shape (q,), default=0.0
            h.
        kind : {'classical', 'robust', 'cluster'}, default='classical'
        correction : {None, 'units', 'parameters'}, default=None
            As in :meth:`covariance`.

        Returns
        -------
        test : HypothesisTest

        Raises
        ------
        ValueError
            For names that are no terms, and for hypotheses that imply or contradict each other, or more of them than
            clusters determine.
        """
        self._require_likelihood("tests")
        H = self._hypotheses(hypotheses)
        values = np.asarray(values, dtype=np.float64)
        if values.shape not in ((), (len(H),)):
            raise ValueError(f"The 'values' parameter must be a number or have shape ({len(H)},). Got {values.shape}.")
        missed = H @ self.params_.to_numpy() - values
        spread = H @ self.covariance(kind, correction=correction).to_numpy() @ H.T
        size = np.sqrt(np.maximum(np.diag(spread), np.finfo(float).tiny))
        spread = spread / size / size[:, None]
        if np.linalg.eigvalsh(spread)[0] < SINGULAR:
            raise ValueError("The hypotheses are not independent of each other under this covariance: it is singular.")
        missed = missed / size
        return HypothesisTest.chi2(missed @ np.linalg.solve(spread, missed), len(H))

    def _hypotheses(self, given) -> np.ndarray:
        names = [given] if isinstance(given, str) else given
        if not (isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)):
            H = np.atleast_2d(check_array(given, ensure_2d=False, dtype=np.float64, input_name="hypotheses"))
            if H.shape[1] != len(self.params_):
                raise ValueError(
                    f"The 'hypotheses' parameter must have {len(self.params_)} columns, one for each of params_."
                    f" Got {H.shape[1]} instead."
                )
            return H
        unknown = [name for name in names if name not in self.terms_]
        if unknown or not names:
            raise ValueError(f"The 'hypotheses' parameter must name terms among {self.terms_}. Got {given!r} instead.")
        classes = self._index.get_level_values("class").unique()[-(len(self.classes_) - 1) :]
        rows = [self._index.get_loc((label, name)) for label in classes for name in dict.fromkeys(names)]
        return np.eye(len(self.params_))[rows]

    def _require_likelihood(self, what: str) -> None:
        if self._problem.strength > 0.0:
            raise ValueError(f"A penalised model has no {what}: fit it with C=np.inf.")
