"""The eight data sets of ``benchmarks/linear.py``, read from ../shared/data.

letter, satimage, covtype (a sample of 10 000 rows) and pendigits come as they are in the file; mnist is 5 000 images
with pixels divided by 255; splice is indicator columns already. chinook is 39 regions from 91 single-nucleotide
polymorphisms of salmon: one column for each code (A, C, G, T, deletion) that occurs in each of the two allele columns,
1 where it was read, so that a missing reading (4 %) is a row of zeros. newsgroups is scikit-learn's TF-IDF of the word
counts, rows of length one, sparse.

With "-scaled" behind their names, letter, satimage, covtype and pendigits have their columns standardised: the same
cells for someone who scales first. (With a ridge that is another optimum.)
"""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.preprocessing import StandardScaler

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def table(file, label, scaled):
    """Columns of a csv but the label's, standardised where `scaled`."""
    frame = pd.read_csv(DATA / "multiclass" / file)
    X = frame.drop(columns=label).to_numpy(np.float64)
    return (StandardScaler().fit_transform(X) if scaled else X), frame[label]


def mnist():
    with np.load(DATA / "multiclass" / "mnist_5k.npz") as file:
        return file["X"].reshape(len(file["X"]), -1) / 255.0, file["y"]


def chinook():
    frame = pd.read_csv(DATA / "bio" / "chinook.csv.gz")
    alleles = frame.iloc[:, 4:].astype("category")
    return pd.get_dummies(alleles, dtype=np.float64).to_numpy(), frame["repunit"]


def newsgroups():
    with np.load(DATA / "text" / "newsgroups20_bow.npz") as file:
        counts = sparse.csr_array((file["data"], file["indices"], file["indptr"]), shape=file["shape"])
        return sparse.csr_array(TfidfTransformer().fit_transform(counts.astype(np.float64))), file["y"]


TABLES = {
    "letter": ("letter.csv.gz", "lettr"),
    "satimage": ("satimage.csv.gz", "classes"),
    "covtype": ("covtype_sample10k.csv.gz", "Cover_Type"),
    "pendigits": ("pendigits.csv.gz", "class"),
}
SETS = {
    "letter": partial(table, *TABLES["letter"], scaled=False),
    "satimage": partial(table, *TABLES["satimage"], scaled=False),
    "covtype": partial(table, *TABLES["covtype"], scaled=False),
    "mnist": mnist,
    "splice": partial(table, "splice_dna.csv.gz", "Class", scaled=False),
    "chinook": chinook,
    "newsgroups": newsgroups,
    "pendigits": partial(table, *TABLES["pendigits"], scaled=False),
}
SCALED = {f"{name}-scaled": partial(table, *source, scaled=True) for name, source in TABLES.items()}


def load(name):
    """X (n, p) float64, dense in C order or CSR, and y (n,) of integer codes 0 … K-1."""
    X, labels = (SETS | SCALED)[name]()
    _, codes = np.unique(np.asarray(labels), return_inverse=True)
    return (X if sparse.issparse(X) else np.ascontiguousarray(X)), codes


def n_bytes(X):
    """Bytes X occupies."""
    return X.data.nbytes + X.indices.nbytes + X.indptr.nbytes if sparse.issparse(X) else X.nbytes
