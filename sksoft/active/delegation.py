"""What a meta-estimator leaves to the classifier inside: predictions, and the metadata of its fit."""

from functools import wraps

from sklearn import get_config
from sklearn.frozen import FrozenEstimator
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import has_fit_parameter

from sksoft._validation import check_is_fitted


def delegated(method):
    """A method that is ``estimator_``'s of the same name, where that has it; of `method` itself only the text is used.

    Arguments that are None are not handed on: a ``sample_weight`` is not for every classifier to take.
    """
    name = method.__name__

    def has(self):
        return hasattr(self.estimator_ if hasattr(self, "estimator_") else self.estimator, name)

    @wraps(method)
    def of_the_classifier(self, *rows, **options):
        check_is_fitted(self)
        given = {key: value for key, value in options.items() if value is not None}
        return getattr(self.estimator_, name)(*rows, **given)

    return available_if(has)(of_the_classifier)


def router_of(owner, estimator) -> MetadataRouter:
    """Which metadata go from the owner's ``fit`` to the classifier's."""
    mapping = MethodMapping().add(caller="fit", callee="fit")
    return MetadataRouter(owner=owner).add_self_request(owner).add(estimator=estimator, method_mapping=mapping)


def fit_metadata(owner, estimator, sample_weight, params) -> dict:
    """What the classifier's ``fit`` gets besides X and y."""
    if get_config()["enable_metadata_routing"]:
        return process_routing(owner, "fit", sample_weight=sample_weight, **params).estimator.fit
    if sample_weight is None:
        return params
    if not isinstance(estimator, FrozenEstimator) and not has_fit_parameter(estimator, "sample_weight"):
        raise ValueError(
            "The 'sample_weight' parameter must be None where the classifier's fit takes no weights, as that of"
            f" {type(estimator).__name__}."
        )
    return {"sample_weight": sample_weight, **params}
