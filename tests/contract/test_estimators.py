"""scikit-learn's estimator checks, with no expected failure."""

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from tests.contract.not_applicable import reason
from tests.contract.registry import CALIBRATORS, ESTIMATORS

# Many checks draw labels at random: that no temperature helps such scores is the right thing to say.
UNINFORMATIVE = "ignore:TemperatureScaler stopped at temperature_:sklearn.exceptions.ConvergenceWarning"

# Nor is a teacher better there than its student.
NO_BETTER = "ignore:The teacher's log-loss:sksoft.distillation.TeacherWarning"


@pytest.mark.filterwarnings(UNINFORMATIVE, NO_BETTER)
@parametrize_with_checks(ESTIMATORS)
def test_estimator(estimator, check):
    check(estimator)


CALIBRATOR_CHECKS = [
    pytest.param(estimator, check, id=f"{type(estimator).__name__}-{check.func.__name__}-{i}")
    for calibrator in CALIBRATORS
    for i, (estimator, check) in enumerate(estimator_checks_generator(calibrator))
]


@pytest.mark.filterwarnings(UNINFORMATIVE)
@pytest.mark.parametrize(("calibrator", "check"), CALIBRATOR_CHECKS)
def test_calibrator(calibrator, check):
    if reason(check.func.__name__, calibrator) is None:
        check(calibrator)
        return
    with pytest.raises(Exception) as failure:
        check(calibrator)
    assert failure.type is not pytest.skip.Exception
