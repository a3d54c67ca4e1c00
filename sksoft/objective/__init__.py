"""What is minimised, over which rows: F(w) = Σᵢ sᵢ L(tᵢ, zᵢ(w)) / Σᵢ sᵢ + R(w).

links        scores → distribution and its derivative
losses       the Fenchel–Young loss of a link: gradient in the scores is always p − t
targets      labels or soft labels, seen as rows of a distribution
scores       how parameters become scores: linear, diagonal
temperature  the one parameter that divides all scores
penalties    R(w)
batches      where the rows live, and the one way to add up over them
objective    the sum, as a solver sees it: value, gradient, Hessian product at a point
duality      the proved gap of a ridge-penalised linear fit
"""
